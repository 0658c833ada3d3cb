"""The log pane: following, searching, filtering, and text that is anything but plain."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Input

from tests.tui.conftest import shown_on
from tui.loglines import LogLine, Stream
from tui.screens.line import LineScreen
from tui.widgets.log_pane import LogPane
from tui.widgets.log_view import MOST_LINES, LogView


class LogApp(App[None]):
    """A log pane alone."""

    CSS_PATH = "../../tui/screens/build.tcss"

    def __init__(self) -> None:
        super().__init__()
        self.copied = ""

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return {"muted": "#888888", "state-done": "#00ff00", "state-warning": "#ffff00"}

    def compose(self) -> ComposeResult:
        yield LogPane(id="log-pane")

    def on_log_view_wanted(self, event: LogView.Wanted) -> None:
        self.push_screen(LineScreen("a line", event.line.text))

    def copy_to_clipboard(self, text: str) -> None:
        self.copied = text


def lines(first: int, last: int, step: str = "one", stream: Stream = "stdout") -> list[LogLine]:
    return [LogLine(number / 10, step, stream, f"line {number}") for number in range(first, last)]


async def test_it_follows_until_somebody_looks_back() -> None:
    app = LogApp()
    async with app.run_test(size=(80, 24)) as pilot:
        pane = app.query_one(LogPane)
        await pilot.pause()
        pane.add(lines(0, 100))
        await pilot.pause()
        assert "line 99" in shown_on(app)
        assert "TAIL" in shown_on(app)
        pane.view.focus()
        await pilot.press("up")
        pane.add(lines(100, 223))
        await pilot.pause()
        assert "+123 lines" in shown_on(app)
        assert "line 222" not in shown_on(app)
        assert "line 98" in shown_on(app)
        await pilot.press("end")
        await pilot.pause()
        assert "line 222" in shown_on(app)
        assert "TAIL" in shown_on(app)


async def test_old_lines_go_and_what_is_read_stays() -> None:
    app = LogApp()
    async with app.run_test(size=(80, 24)) as pilot:
        view = app.query_one(LogPane).view
        view.add(lines(0, MOST_LINES))
        view.focus()
        await pilot.press("up", "up", "pageup")
        await pilot.pause()
        reading = view.current()
        top = view.lines[int(view.scroll_y)]
        view.add(lines(MOST_LINES, MOST_LINES + 10))
        await pilot.pause()
        assert len(view.lines) <= MOST_LINES
        assert view.current() == reading
        assert view.lines[int(view.scroll_y)] == top


async def test_search_goes_round() -> None:
    app = LogApp()
    async with app.run_test(size=(80, 24)) as pilot:
        pane = app.query_one(LogPane)
        pane.add([*lines(0, 50), LogLine(5, "one", "stderr", "No Space left"), *lines(50, 100)])
        pane.view.focus()
        await pilot.press("slash", *"space")
        await pilot.press("enter")
        await pilot.pause()
        found = pane.view.current()
        assert found is not None
        assert found.text == "No Space left"
        assert not app.query_one(Input).display
        await pilot.press("n")
        assert pane.view.current() == found
        await pilot.press("home", "N")
        assert pane.view.current() == found
        await pilot.press("slash")
        await pilot.press(*"zzz", "enter")
        await pilot.pause()
        assert app.query_one(Input).display
        await pilot.press("escape")
        assert app.focused is pane.view


async def test_filters_by_step_and_stream() -> None:
    app = LogApp()
    async with app.run_test(size=(80, 24)) as pilot:
        pane = app.query_one(LogPane)
        pane.titles = {"one": "First step", "two": "Second step"}
        pane.add([*lines(0, 5), *lines(5, 8, "two"), *lines(8, 9, "two", "stderr")])
        pane.view.focus()
        await pilot.press("f", "f")
        assert len(pane.view.lines) == 4
        assert "Second step" in shown_on(app)
        await pilot.press("s", "s")
        assert [line.text for line in pane.view.lines] == ["line 8"]
        pane.add(lines(9, 11, "two", "stderr"))
        assert len(pane.view.lines) == 3
        pane.add(lines(11, 12, "one", "stderr"))
        assert len(pane.view.lines) == 3
        await pilot.press("f")
        await pilot.press("s", "s", "s")
        assert len(pane.view.lines) == 12


async def test_lines_are_copied_as_they_came() -> None:
    app = LogApp()
    async with app.run_test(size=(80, 24)) as pilot:
        pane = app.query_one(LogPane)
        pane.add([LogLine(0, "one", "stdout", "[b]not bold[/b]")])
        pane.view.focus()
        await pilot.press("c")
        assert app.copied == "[b]not bold[/b]"
        pane.add(lines(0, 20_000))
        await pilot.press("C")
        assert app.copied.endswith("line 19999")
        assert len(app.copied) <= 48 * 1024


HOSTILE = [
    "[/dev/loop0] [bold]x[/] [@click=app.quit]y[/]",
    "\x1b[2J\x1b]0;title\x07 escape",
    "a\tb\rc\x00d\x7f",
    "広い文字" * 30 + " e\u0301\u0301\u0301 \u202e rtl",
    "x" * 100_000,
    "\ud800 surrogate \udcff",
    "",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("size", [(80, 24), (20, 4), (1, 1)], ids=str)
async def test_any_text_is_text(text: str, size: tuple[int, int]) -> None:
    app = LogApp()
    async with app.run_test(size=size) as pilot:
        pane = app.query_one(LogPane)
        pane.add([LogLine(0, text, "stdout", text), *lines(0, 3)])
        pane.view.focus()
        pane.view.find(text[:20])
        await pilot.press("home", "right", "right", "left", "enter")
        await pilot.pause()
        assert isinstance(app.screen, LineScreen)
        if size == (80, 24) and text:
            assert "\x1b" not in shown_on(app)
        await pilot.press("escape", "f", "s", "end")
        await pilot.pause()


async def test_it_stays_at_the_end_when_resized() -> None:
    app = LogApp()
    async with app.run_test(size=(80, 24)) as pilot:
        app.query_one(LogPane).add(lines(0, 100))
        for size in ((40, 12), (10, 3), (120, 40), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            await pilot.pause()
        assert "line 99" in shown_on(app)


async def test_the_mouse_chooses_opens_and_scrolls() -> None:
    app = LogApp()
    async with app.run_test(size=(80, 24)) as pilot:
        view = app.query_one(LogPane).view
        view.add(lines(0, 100))
        await pilot.pause()
        await pilot.click(LogView, offset=(10, 3))
        first = view.current()
        assert first is not None
        assert first.text in shown_on(app)
        assert not view.following
        await pilot.click(LogView, offset=(10, 3), times=2)
        await pilot.pause()
        assert isinstance(app.screen, LineScreen)
