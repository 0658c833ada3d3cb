"""A file of an image, looked at: its text or its bytes."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input

from engine.units import in_bytes
from tui.excerpt import Excerpt
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.loglines import LogLine
from tui.screens.closing import Page
from tui.screens.line import LineScreen
from tui.text import visible
from tui.widgets.bars import KeyBar, TitleBar
from tui.widgets.inputs import SafeInput
from tui.widgets.labels import Plain
from tui.widgets.log_view import LogView


class FileView(LogView):
    """Lines of a file."""

    HELP = """
# A file

Its first 64 KiB, as text where it is text, as bytes otherwise; **T** changes between them. What
cannot be printed shows as an escape and does nothing.

`/` searches, `n` and `N` go on, Enter shows a long line in full. Escape goes back.
"""


class ViewScreen(Page[None]):
    """Shows the beginning of a file; changes nothing."""

    CSS_PATH = "build.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("view")

    def __init__(self, name: str, data: bytes, size: int, glyphs: Glyphs = UNICODE) -> None:
        """Prepares the page.

        Args:
            name: What the file is called; safe text.
            data: Its first bytes.
            size: How many it has.
            glyphs: What to draw with.
        """
        super().__init__()
        self.file, self.excerpt = name, Excerpt(data, size)
        self.glyphs = glyphs

    def compose(self) -> ComposeResult:
        yield TitleBar(self.glyphs, id="title")
        yield FileView(self.glyphs, timed=False, id="log")
        search = SafeInput(placeholder="Find", compact=True, id="log-search")
        search.display = False
        yield search
        yield Plain("", id="view-note")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        title = self.query_one(TitleBar)
        title.file, title.figure = self.file, f"{in_bytes(self.excerpt.size)}, read only"
        self._show()
        self._view.focus()

    @property
    def _view(self) -> FileView:
        return self.query_one(FileView)

    def _show(self) -> None:
        lines = self.excerpt.lines()
        self._view.replace([LogLine(0, "", "stdout", line) for line in lines])
        self.query_one("#view-note", Plain).show(self.excerpt.note(len(lines)))

    def action_bytes(self) -> None:
        """Shows the bytes instead of the text, or the text again."""
        self.excerpt.as_text = not self.excerpt.as_text
        self._show()

    def action_find(self) -> None:
        """Asks what to look for."""
        search = self.query_one(Input)
        search.display = True
        search.focus()

    def action_again(self, by: int) -> None:
        """Goes to the next or the previous line found."""
        if not self._view.needle or not self._view.find(self._view.needle, by):
            self.app.bell()

    @on(Input.Submitted)
    def _find(self, event: Input.Submitted) -> None:
        self.query_one(Input).display = False
        self._view.focus()
        if not event.value or not self._view.find(event.value):
            self.query_one("#view-note", Plain).show(f"Not in it: {visible(event.value)}")
            self.app.bell()

    @on(LogView.Wanted)
    def _line_wanted(self, event: LogView.Wanted) -> None:
        self.app.push_screen(LineScreen(f"A line of {self.file}", event.line.text))

    def action_back(self) -> None:
        """Closes the search, then goes back."""
        search = self.query_one(Input)
        if search.display:
            search.display = False
            self._view.focus()
        else:
            self.dismiss(None)
