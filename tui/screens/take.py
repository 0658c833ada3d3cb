"""A spec from an image: with its files or without them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input

from engine.importers.image import Takeover
from engine.importers.model import free_archives
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.screens.closing import Dialog
from tui.text import visible
from tui.typed import typed_path
from tui.widgets.choices import Choice, Choices
from tui.widgets.inputs import SafeInput
from tui.widgets.labels import Plain
from tui.widgets.suggest import PathSuggester

_NAMES = {"root": "root", "esp": "the ESP"}
_FEW = 2


class TakeScreen(Dialog[dict[str, Path] | None]):
    """Returns the archives to write, by partition; {} for none; None to do nothing at all."""

    HELP = """
# A spec from an image

Table, sizes, label and identifiers become a spec. Its files can come along: they are written as
archives, with owners, modes, links and extended attributes, and become the spec's contents. What
then stays behind is listed.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("dialog")

    def __init__(self, image: Path, found: Takeover, glyphs: Glyphs = UNICODE) -> None:
        super().__init__()
        self._image, self._found = image, found
        self.glyphs = glyphs
        self._base = Path.cwd()

    def compose(self) -> ComposeResult:
        options = (Choice("yes", f"copy {_what(self._found)}"), Choice("no", "no files"))
        with Vertical(classes="dialog"):
            yield Plain(f"A spec from {visible(self._image.name)}", classes="dialog-title")
            with VerticalScroll(classes="dialog-form", can_focus=False):
                yield Plain("The spec keeps table, sizes and identifiers.", classes="dialog-text")
                with Horizontal(classes="field-row"):
                    yield Plain("Files", classes="field-label")
                    yield Choices(options, glyphs=self.glyphs, id="take-files")
                with Horizontal(classes="field-row", id="take-row"):
                    yield Plain("To the folder", classes="field-label")
                    yield SafeInput(
                        _folder(self._image, self._base),
                        compact=True,
                        select_on_focus=False,
                        suggester=PathSuggester(self._base),
                    )
                yield Plain("", id="take-note", classes="dialog-text")
            with Horizontal(classes="dialog-buttons"):
                yield Button("Design it", id="take-ok", compact=True)
                yield Button("Cancel", id="take-cancel", compact=True)

    def on_mount(self) -> None:
        self.query_one(Choices).chosen = "yes"
        self._show()
        self.query_one("#take-ok").focus()

    @property
    def _takes(self) -> bool:
        return self.query_one(Choices).chosen == "yes"

    def _archives(self) -> dict[str, Path]:
        folder = typed_path(self._base, self.query_one(Input).value.strip())
        stem = self._image.name.partition(".")[0] or "image"
        return free_archives(folder, stem, self._found.suffixes)

    @on(Choices.Chosen)
    def _chosen(self, event: Choices.Chosen) -> None:
        event.stop()
        event.choices.chosen = event.value
        self._show()

    @on(Input.Changed)
    def _show(self) -> None:
        self.query_one("#take-row").display = self._takes
        lines = [Content.styled("The contents are yours to add.", "$muted")]
        if self._takes:
            names = " and ".join(visible(path.name) for path in self._archives().values())
            lines = [Content.styled(f"Written as {names}, which become the contents.", "$muted")]
            if self._found.left:
                lines.append(Content.styled("Not taken:", "$state-warning"))
            lines += [Content(f"{self.glyphs.dot} {visible(line)}") for line in self._found.left]
        self.query_one("#take-note", Plain).show(Content("\n").join(lines))

    @on(Input.Submitted)
    @on(Button.Pressed, "#take-ok")
    def _taken(self) -> None:
        self.dismiss(self._archives() if self._takes else {})

    @on(Button.Pressed, "#take-cancel")
    def action_close(self) -> None:
        self.dismiss(None)


def _what(found: Takeover) -> str:
    """Returns what comes along, in words: the files of one, two or many volumes."""
    names = [_NAMES.get(name, name) for name in found.filesystems]
    if len(names) > _FEW:
        names = [f"{len(names)} volumes"]
    raw = next(iter(found.raw)) if len(found.raw) == 1 else f"{len(found.raw)} others"
    parts = [f"the files of {' and '.join(names)}"] if names else []
    return " and ".join([*parts, f"the bytes of {raw}"] if found.raw else parts)


def _folder(image: Path, base: Path) -> str:
    """Returns the image's folder as it is shortest to read from another one."""
    folder = image.resolve().parent
    inside = folder != base and folder.is_relative_to(base)
    return os.fspath(folder.relative_to(base) if inside else folder)
