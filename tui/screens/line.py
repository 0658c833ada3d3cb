"""A line of the log in full, however long."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll

from tui.keys import bindings
from tui.screens.closing import Dialog
from tui.text import visible
from tui.widgets.labels import Plain

_MOST = 20_000


class LineScreen(Dialog[None]):
    """Shows one line, wrapped; Escape closes it."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("dialog")

    def __init__(self, title: str, line: str) -> None:
        super().__init__()
        self._title, self._line = title, line

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog line", id="line-body"):
            yield Plain(visible(self._title), classes="dialog-title")
            text = visible(self._line[:_MOST])
            more = len(self._line) - _MOST
            yield Plain(text + (f" [{more:,} more]" if more > 0 else ""), id="line-text")

    def on_mount(self) -> None:
        self.query_one("#line-body").focus()

    def action_close(self) -> None:
        self.dismiss(None)
