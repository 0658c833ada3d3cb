"""Before another tool's file becomes a design: what of it does not come along."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button

from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.opening import Import, Importable
from tui.screens.closing import Dialog
from tui.text import visible
from tui.widgets.labels import Plain


class ImportScreen(Dialog[bool]):
    """Returns whether the spec is to be designed."""

    HELP = """
# An import

The file is not a spec, but one can be made of it. What a spec does not have is listed; the file
itself stays as it is.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("dialog")

    def __init__(self, subject: Importable, found: Import, glyphs: Glyphs = UNICODE) -> None:
        super().__init__()
        self._subject, self._found, self.glyphs = subject, found, glyphs

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Plain(f"Import {visible(self._subject.path.name)}", classes="dialog-title")
            with VerticalScroll(classes="dialog-form", id="import-left"):
                yield Plain(f"This is {self._subject.what}.", classes="dialog-text")
                yield Plain(self._words(), classes="dialog-text")
            with Horizontal(classes="dialog-buttons"):
                yield Button("Design it", id="import-ok", compact=True)
                yield Button("Cancel", id="import-cancel", compact=True)

    def _words(self) -> Content:
        if not self._found.left:
            return Content("Everything in it is carried over.")
        lines = [Content.styled("Not carried over:", "$state-warning")]
        lines += [Content(f"{self.glyphs.dot} {visible(line)}") for line in self._found.left]
        return Content("\n").join(lines)

    def on_mount(self) -> None:
        self.query_one("#import-ok").focus()

    @on(Button.Pressed)
    def _answer(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "import-ok")

    def action_close(self) -> None:
        self.dismiss(False)
