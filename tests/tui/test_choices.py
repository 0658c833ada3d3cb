"""Choices by themselves, in a page that has just come."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.geometry import Offset
from textual.widgets import Static

from tui.widgets.choices import Choice, Choices

_LONG = "with details that are one row here, but would be many where nothing has a width yet"


class _Page(App[None]):
    CSS = "Choices { height: auto } VerticalScroll { height: 8 }"

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static("\n" * 2)
            options = (Choice("a", "first", _LONG), Choice("b", "second"))
            yield Choices(options)
            yield Static("\n" * 20)

    def on_mount(self) -> None:
        choices = self.query_one(Choices)
        choices.cursor = 1
        choices.focus()


async def test_the_cursor_finds_its_place_where_the_layout_comes_later() -> None:
    app = _Page()
    async with app.run_test(size=(110, 24)) as pilot:
        await pilot.pause()
        assert app.query_one(VerticalScroll).scroll_y == 0
        assert app.cursor_position == Offset(0, 4)
