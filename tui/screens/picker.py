"""Choose a file or a folder from a tree."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from rich.text import Text, TextType
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import DirectoryTree

from tui.keys import bindings
from tui.screens.closing import Dialog
from tui.text import cut_left, visible
from tui.typed import typed_path
from tui.widgets.labels import Plain


class SafeTree(DirectoryTree):
    """A directory tree whose names cannot harm the terminal."""

    ICON_NODE = "+ "
    ICON_NODE_EXPANDED = "- "
    ICON_FILE = "  "

    def process_label(self, label: TextType) -> Text:
        """Shows names as text."""
        return Text(visible(label if isinstance(label, str) else label.plain))

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        """Leaves out what cannot be a source."""
        return [path for path in paths if path.is_file() or path.is_dir()]


class PickerScreen(Dialog[str]):
    """Returns the chosen path, relative to the spec's folder where it is below it, or ""."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("picker")

    def __init__(self, base: Path, start: str = "") -> None:
        super().__init__()
        self.base = base
        place = typed_path(base, start)
        while not os.path.isdir(place):  # noqa: PTH112 - False also for names too long to be
            place = place.parent
        self.place = place

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog picker"):
            yield Plain("Choose a file or folder", classes="dialog-title")
            yield Plain(cut_left(visible(str(self.place)), 60), id="picker-place")
            yield SafeTree(self.place)
            yield Plain(
                "Enter opens a folder or takes a file, Ctrl+S takes a folder, Backspace goes up",
                classes="field-note",
            )

    def on_mount(self) -> None:
        self.query_one(SafeTree).focus()

    @on(DirectoryTree.FileSelected)
    def _file(self, event: DirectoryTree.FileSelected) -> None:
        self.dismiss(self._relative(event.path))

    def action_take(self) -> None:
        """Takes what is highlighted, a folder with its slash."""
        node = self.query_one(SafeTree).cursor_node
        path = node.data.path if node is not None and node.data is not None else self.place
        text = self._relative(path)
        self.dismiss(f"{text}/" if path.is_dir() and not text.endswith("/") else text)

    def action_parent(self) -> None:
        """Shows the folder above."""
        self.place = self.place.parent
        self.query_one(SafeTree).path = self.place
        self.query_one("#picker-place", Plain).show(cut_left(visible(str(self.place)), 60))

    def action_cancel(self) -> None:
        """Chooses nothing."""
        self.dismiss("")

    def _relative(self, path: Path) -> str:
        inside = path.is_relative_to(self.base)
        return os.fspath(path.relative_to(self.base) if inside else path)
