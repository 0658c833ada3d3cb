"""What is typed while a step's form is made is for that form."""

from __future__ import annotations

import asyncio

import pytest
from textual.events import Key, Paste
from textual.widgets import Input

from engine.spec.model import ImageSpec
from tests.tui.conftest import MakeApp, eventually, settled
from tui.panes.output import OutputPane
from tui.widgets.messages import StepWanted


@pytest.mark.parametrize("by", ["step", "field"])
async def test_keys_wait_for_the_form_that_they_are_for(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()
    make = OutputPane.make

    async def slow(pane: OutputPane) -> None:
        begun.set()
        await may_end.wait()
        await make(pane)

    monkeypatch.setattr(OutputPane, "make", slow)
    app = make_app(ImageSpec(name="kept"))
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await settled(pilot)
        await screen.go_to("layout.label")
        await eventually(pilot, lambda: isinstance(app.focused, Input))
        old = app.focused
        assert isinstance(old, Input)
        before = old.value

        if by == "step":
            screen.post_message(StepWanted("output", enter=True))
        else:
            screen.call_later(screen.go_to, "name")
        await begun.wait()
        app.post_message(Key("z", "z"))
        app.post_message(Paste("-pasted"))
        app.post_message(Key("y", "y"))
        await asyncio.sleep(0)
        may_end.set()

        await eventually(pilot, lambda: screen.step == "output" and app.focused is not old)
        new = app.focused
        assert isinstance(new, Input)
        await eventually(pilot, lambda: new.value.endswith("y"))
        assert (old.value, new.value) == (before, "z-pastedy")
        await pilot.press("x")
        assert new.value == "z-pastedyx"
