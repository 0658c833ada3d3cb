"""Ask for a path: typed, completed, or chosen from a tree."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input

from tui.keys import bindings
from tui.screens.closing import Dialog
from tui.screens.picker import PickerScreen
from tui.text import visible
from tui.typed import typed_path
from tui.widgets.inputs import SafeInput
from tui.widgets.labels import Plain
from tui.widgets.suggest import PathSuggester


class PathScreen(Dialog[Path | None]):
    """Returns a path, relative ones counted from a folder; None where none was given."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("path")

    def __init__(
        self, title: str, text: str, *, base: Path, value: str = "", button: str = "Open"
    ) -> None:
        super().__init__()
        self._title, self._text, self._value, self._button = title, text, value, button
        self._base = base

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Plain(visible(self._title), classes="dialog-title")
            yield Plain(visible(self._text), classes="dialog-text")
            yield SafeInput(
                self._value,
                compact=True,
                select_on_focus=False,
                suggester=PathSuggester(self._base),
            )
            with Horizontal(classes="dialog-buttons"):
                yield Button(self._button, id="path-ok", compact=True)
                yield Button("Browse (F2)", id="path-browse", compact=True)
                yield Button("Cancel", id="path-cancel", compact=True)

    @on(Input.Submitted)
    @on(Button.Pressed, "#path-ok")
    def _take(self) -> None:
        text = self.query_one(Input).value.strip()
        self.dismiss(typed_path(self._base, text) if text else None)

    @on(Button.Pressed, "#path-browse")
    def action_browse(self) -> None:
        """Chooses from a tree."""
        box = self.query_one(Input)

        def put(path: str | None) -> None:
            if path:
                box.value = path
                box.focus()

        self.app.push_screen(PickerScreen(self._base, box.value), put)

    @on(Button.Pressed, "#path-cancel")
    def action_close(self) -> None:
        """Gives no path."""
        self.dismiss(None)
