"""A dialog closes once, whatever is typed ahead; what lies below it stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.events import Key
from textual.screen import Screen

from engine.spec.model import ImageSpec
from tests.tui.conftest import MakeApp, eventually, settled
from tui.help import KeyHelp
from tui.screens.dialogs import AskScreen, ConfirmScreen, HelpScreen, KeysScreen


def sure() -> ConfirmScreen:
    return ConfirmScreen("Sure?", "No way back.", (("no", "No"), ("yes", "Yes")))


def keys() -> KeysScreen:
    return KeysScreen([KeyHelp("This page", "F9", "f", "Fix", "Fixes it.", ("fix", None))])


def asked() -> AskScreen:
    return AskScreen("A name", "Of what", "value")


DIALOGS: dict[str, Callable[[], Screen[Any]]] = {"ask": asked, "confirm": sure, "keys": keys}


@pytest.mark.parametrize("which", DIALOGS)
async def test_a_second_key_does_not_close_what_is_below(make_app: MakeApp, which: str) -> None:
    app = make_app(ImageSpec(name="kept"))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        key = "f" if which == "keys" else "enter"
        answers: list[object] = []
        await app.push_screen(DIALOGS[which](), answers.append)
        await eventually(pilot, lambda: app.focused is not None)

        for _ in range(3):
            app.post_message(Key(key, key if len(key) == 1 else "\r"))

        await eventually(pilot, lambda: app.screen is screen)
        await pilot.pause()
        assert app.screen is screen
        assert len(answers) == 1


async def test_what_closes_takes_along_what_lies_on_it(make_app: MakeApp) -> None:
    app = make_app(ImageSpec(name="kept"))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        below = sure()
        await app.push_screen(below)
        await app.push_screen(HelpScreen("Help", []))

        below.dismiss("no")

        await eventually(pilot, lambda: app.screen is screen)


async def test_arrows_go_from_button_to_button(make_app: MakeApp) -> None:
    app = make_app(ImageSpec(name="kept"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        answers: list[str | None] = []
        await app.push_screen(sure(), answers.append)
        await eventually(pilot, lambda: app.focused is not None)

        await pilot.press("right", "enter")

        await eventually(pilot, lambda: answers == ["yes"])
