"""Traps that newcomers fell into: each test is one, with the input that showed it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from textual._xterm_parser import XTermParser
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Input

from engine.spec.model import ImageSpec, Layout, Size
from tests.tui.conftest import MakeApp, settled, shown, type_text
from tui.widgets.partition_table import PartitionTable


async def send(pilot: Pilot[int], data: str) -> None:
    """Feeds the bytes of a terminal: what a key press of the pilot leaves out, the character."""
    parser = XTermParser()
    found: Iterable[object] = [*parser.feed(data), *parser.feed("")]
    for event in found:
        if isinstance(event, Key):
            event.set_sender(pilot.app)
            assert pilot.app._driver is not None
            pilot.app._driver.send_message(event)
            await pilot.pause()


# ---- Alt with a digit, and digits alone


async def test_alt_and_a_digit_in_a_text_field_goes_to_the_step(make_app: MakeApp) -> None:
    app = make_app(ImageSpec(size=Size(disk="67MiB")))
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await settled(pilot)
        await pilot.press("alt+2", "tab")
        field = screen.query_one("#field-size-disk Input", Input)
        assert app.focused is field
        await send(pilot, "\x1b1")
        assert screen.step == "layout"
        await send(pilot, "\x1b4")
        assert screen.step == "contents"
        assert (field.value, screen.spec.size.disk) == ("67MiB", "67MiB")


async def test_alt_and_a_digit_is_not_typed_into_a_dialog(make_app: MakeApp) -> None:
    app = make_app(ImageSpec())
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot)
        await pilot.press("alt+4", "a")
        await send(pilot, "\x1b4")
        assert app.screen.query_one("#entry-source", Input).value == ""
        await send(pilot, "4")
        assert app.screen.query_one("#entry-source", Input).value == "4"


async def test_a_digit_goes_to_its_step_where_no_text_is_typed(make_app: MakeApp) -> None:
    app = make_app(ImageSpec(name="a"))
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await settled(pilot)
        await send(pilot, "6")
        assert screen.step == "review"
        await send(pilot, "5")
        assert screen.step == "output"
        screen.query_one("#field-name Input", Input).focus()
        await pilot.pause()
        await send(pilot, "4")
        await settled(pilot)
        assert (screen.step, screen.spec.name) == ("output", "4")


# ---- the table in full


@pytest.mark.parametrize(
    "size", [(40, 12), (60, 20), (80, 24), (80, 40), (80, 50), (100, 50), (110, 34), (115, 34)]
)
async def test_the_table_in_full_is_never_blank(make_app: MakeApp, size: tuple[int, int]) -> None:
    app = make_app(ImageSpec(layout=Layout(table="efi")))
    async with app.run_test(size=size) as pilot:
        screen = await settled(pilot)
        await pilot.press("f7")
        await pilot.pause()
        table = screen.query_one("#table-widget", PartitionTable)
        assert screen.find_widget(table).visible_region.height >= min(4, size[1] - 9)
        assert "root" in shown(app)
        await pilot.press("f7")
        await pilot.pause()
        assert "UEFI" in shown(app)


# ---- what stands below a field


async def test_no_figures_of_an_earlier_plan_stand_below_a_field(make_app: MakeApp) -> None:
    app = make_app(ImageSpec(layout=Layout(table="efi"), size=Size(disk="798MiB")))
    async with app.run_test(size=(100, 40)) as pilot:
        screen = await settled(pilot)
        await pilot.press("alt+2", "tab")
        field = screen.query_one("#field-size-disk Input", Input)
        field.value = "100MiB"
        await settled(pilot)
        assert screen.preview.stale
        note = str(screen.query_one("#field-size-disk #note").render())
        assert "Error" in note
        assert app.focused is field
        assert "rounded" not in note
        boot = str(screen.query_one("#field-size-boot #note").render())
        assert boot == "= 256.0 MiB, 268,435,456 bytes"


async def test_text_that_is_not_a_size_has_no_figures_of_its_beginning(make_app: MakeApp) -> None:
    app = make_app(ImageSpec(size=Size(disk="4GiB")))
    async with app.run_test(size=(100, 40)) as pilot:
        screen = await settled(pilot)
        await pilot.press("alt+2", "tab")
        screen.query_one("#field-size-disk Input", Input).value = ""
        await type_text(pilot, "2many")
        await settled(pilot)
        note = str(screen.query_one("#field-size-disk #note").render())
        assert "2,097,152" not in note
        await pilot.press("tab")
        await pilot.pause()
        assert "Error" in str(screen.query_one("#field-size-disk #note").render())


@pytest.mark.parametrize("size", [(120, 40), (100, 30)])
async def test_an_error_below_a_field_is_whole(make_app: MakeApp, size: tuple[int, int]) -> None:
    app = make_app(ImageSpec(size=Size(disk="4GiB")))
    async with app.run_test(size=size) as pilot:
        screen = await settled(pilot)
        await pilot.press("alt+2", "tab")
        screen.query_one("#field-size-disk Input", Input).value = "many " * 12
        await pilot.press("tab")
        await pilot.pause()
        problem = screen.preview.problems[0]
        words = problem.message.split()
        text = " ".join(shown(app).split())
        assert words[-1].rstrip(")") in text
        note = screen.query_one("#field-size-disk #note")
        assert note.virtual_size.height <= note.size.height
