"""Add or edit an entry of the contents."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input

from engine.spec.model import Content as Entry
from engine.spec.modes import EXAMPLES
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.screens.picker import PickerScreen
from tui.widgets.choices import Choice, Choices
from tui.widgets.inputs import SafeInput
from tui.widgets.labels import Plain
from tui.widgets.suggest import PathSuggester

_TEXTS = (
    ("source", "Source", "File, folder/, glob with *, or an archive; Right completes, F2 browses"),
    ("target", "Target", "Where it goes in the image, from /"),
    ("mode", "Mode", f"Empty keeps the source's; {', '.join(EXAMPLES)}"),
    ("user", "User", "Name or number, with a group; empty: the source's rules"),
    ("group", "Group", "Name or number, with a user"),
    ("exclude", "Exclude", "Patterns between commas, as *.pyc, .git"),
)
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst")


class EntryScreen(ModalScreen[Entry | None]):
    """Returns the entry, or None where nothing is to change."""

    HELP = """
# An entry

- **Source**: a folder ending in `/` gives what is in it; otherwise the folder itself goes below
  the target.
- **Mode**: octal as `755`, or rsync's form as `D755,F644`.
- **User and group**: looked up in the image's own `/etc/passwd` and `/etc/group`.
- **Goes to**: the ESP takes files only, without owners and modes: FAT has none.
- **Unpack**: owners, modes and extended attributes come from the archive's headers.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("entry")

    def __init__(self, entry: Entry | None, base: Path, glyphs: Glyphs = UNICODE) -> None:
        super().__init__()
        self.entry = entry or Entry(source="", target="/")
        self.is_new = entry is None
        self.base = base
        self.glyphs = glyphs

    def compose(self) -> ComposeResult:
        """One row for each value."""
        values = {
            "source": self.entry.source,
            "target": self.entry.target,
            "mode": self.entry.mode or "",
            "user": "" if self.entry.user is None else str(self.entry.user),
            "group": "" if self.entry.group is None else str(self.entry.group),
            "exclude": ", ".join(self.entry.exclude),
        }
        with Vertical(classes="dialog entry"):
            yield Plain("Add an entry" if self.is_new else "Edit the entry", classes="dialog-title")
            with VerticalScroll(classes="dialog-form", can_focus=False):
                for key, label, _help in _TEXTS:
                    with Horizontal(classes="field-row"):
                        yield Plain(label, classes="field-label")
                        yield SafeInput(
                            values[key],
                            compact=True,
                            id=f"entry-{key}",
                            suggester=PathSuggester(self.base) if key == "source" else None,
                        )
                with Horizontal(classes="field-row"):
                    yield Plain("Unpack", classes="field-label")
                    yield Choices(
                        (Choice("yes", "yes, it is an archive"), Choice("no", "no")),
                        glyphs=self.glyphs,
                        inline=True,
                        id="entry-extract",
                    )
                with Horizontal(classes="field-row"):
                    yield Plain("Goes to", classes="field-label")
                    yield Choices(
                        (Choice("root", "root"), Choice("esp", "the ESP")),
                        glyphs=self.glyphs,
                        inline=True,
                        id="entry-partition",
                    )
            yield Plain("", id="entry-note", classes="field-note")
            with Horizontal(classes="dialog-buttons"):
                yield Button("Accept", id="entry-ok", compact=True)
                yield Button("Browse (F2)", id="entry-browse", compact=True)
                yield Button("Cancel", id="entry-cancel", compact=True)

    def on_mount(self) -> None:
        """Shows whether it is an archive, and where it goes."""
        self.query_one("#entry-extract", Choices).chosen = "yes" if self.entry.extract else "no"
        self.query_one("#entry-partition", Choices).chosen = self.entry.partition or "root"
        self.query_one("#entry-source").focus()

    def on_descendant_focus(self) -> None:
        """Shows the help of the focused value."""
        focused = self.focused.id if self.focused else ""
        for key, _label, text in _TEXTS:
            if focused == f"entry-{key}":
                self.query_one("#entry-note", Plain).show(text)

    @on(Choices.Chosen)
    def _chosen(self, event: Choices.Chosen) -> None:
        event.choices.chosen = event.value

    @on(Input.Changed, "#entry-source")
    def _guess(self, event: Input.Changed) -> None:
        if self.is_new and event.value.endswith(_ARCHIVES):
            self.query_one("#entry-extract", Choices).chosen = "yes"

    @on(Input.Submitted)
    @on(Button.Pressed, "#entry-ok")
    def action_accept(self) -> None:
        """Takes the values; what is wrong with them, the preview tells."""
        text = {key: self.query_one(f"#entry-{key}", Input).value.strip() for key, *_ in _TEXTS}
        if not text["source"]:
            self.query_one("#entry-note", Plain).show(
                f"{self.glyphs.error} Error: an entry needs a source"
            )
            self.query_one("#entry-source").focus()
            return
        extract = self.query_one("#entry-extract", Choices).chosen == "yes"
        partition = self.query_one("#entry-partition", Choices).chosen
        self.dismiss(
            Entry(
                source=text["source"],
                target=text["target"] or "/",
                mode=text["mode"] or None,
                user=_owner(text["user"]),
                group=_owner(text["group"]),
                extract=extract or None,
                exclude=tuple(part.strip() for part in text["exclude"].split(",") if part.strip()),
                partition=None if partition == "root" else partition,
            )
        )

    @on(Button.Pressed, "#entry-cancel")
    def action_cancel(self) -> None:
        """Changes nothing."""
        self.dismiss(None)

    @on(Button.Pressed, "#entry-browse")
    def action_browse(self) -> None:
        """Chooses the source from a tree."""
        source = self.query_one("#entry-source", Input)

        def put(path: str | None) -> None:
            if path:
                source.value = path
                source.focus()

        self.app.push_screen(PickerScreen(self.base, source.value), put)


def _owner(text: str) -> str | int | None:
    if not text:
        return None
    return int(text) if text.isascii() and text.isdigit() else text
