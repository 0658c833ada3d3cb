"""Add or edit an entry of the contents."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Input

from engine.manifest.oci.recognise import is_image_archive, is_image_folder
from engine.spec.choices import CONTENT_PARTITIONS
from engine.spec.model import Content as Entry
from engine.spec.modes import EXAMPLES
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.screens.closing import Dialog
from tui.screens.picker import PickerScreen
from tui.text import visible
from tui.typed import pasted, typed_path
from tui.widgets.choices import Choice, Choices
from tui.widgets.inputs import SafeInput
from tui.widgets.labels import Plain
from tui.widgets.map_parts import name_of
from tui.widgets.suggest import PathSuggester

_TEXTS = (
    ("source", "Source", "File, folder/, glob with *, or an archive; Tab completes, F2 browses"),
    ("target", "Target", "Where it goes in the image, from /"),
    ("mode", "Mode", f"Empty keeps the source's; {', '.join(EXAMPLES)}"),
    ("user", "User", "Name or number, with a group; empty: the source's rules"),
    ("group", "Group", "Name or number, with a user"),
    ("exclude", "Exclude", "Patterns between commas, as *.pyc, .git"),
)
_CONTAINER = (
    ("image", "Image", "Name or tag; empty where there is one only"),
    ("platform", "Platform", "As linux/arm64; empty: the only one, or linux/amd64"),
    ("service", "Service", "Name of a systemd unit that runs what the image says; empty for none"),
)
_EXTRACT: dict[str, bool | str | None] = {"no": None, "yes": True, "oci": "oci"}
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst")


class EntryScreen(Dialog[Entry | None]):
    """Returns the entry, or None where nothing is to change."""

    HELP = """
# An entry

- **Source**: of a folder, what is in it goes to the target. `~` is the home folder.
- **Target**: a file goes into a folder under its own name where the target ends in `/`.
- **Mode**: octal as `755`, or rsync's form as `D755,F644`.
- **User and group**: looked up in the image's own `/etc/passwd` and `/etc/group`.
- **Goes to**: the volume that is mounted at or above its target, or the one named: its target
  then begins there. A FAT, as the ESP is, takes files only, without owners and modes.
- **Unpack**: owners, modes and extended attributes come from the archive's headers. A container
  image is an OCI layout or a `docker save`; its layers are applied.
- **Replaces**: what it brings takes the place of what entries above it bring.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("entry")

    def __init__(
        self,
        entry: Entry | None,
        base: Path,
        glyphs: Glyphs = UNICODE,
        *,
        volumes: tuple[str, ...] = ("esp",),
    ) -> None:
        """Prepares the form.

        Args:
            entry: What is edited, or None for a new one.
            base: Folder that a relative source starts from.
            glyphs: What is drawn with.
            volumes: Ids of those that an entry can be told to go to.
        """
        super().__init__()
        self.entry = entry or Entry(source="", target="/")
        self.is_new = entry is None
        self._volume = self.entry.volume or self.entry.partition or ""
        there = self._volume in volumes or not self._volume
        self.volumes = volumes if there else (*volumes, self._volume)
        self.base = base
        self.glyphs = glyphs
        self._doubted = self.entry.source
        self._told = ""

    def compose(self) -> ComposeResult:
        values = {
            "source": self.entry.source,
            "target": self.entry.target,
            "mode": self.entry.mode or "",
            "user": "" if self.entry.user is None else str(self.entry.user),
            "group": "" if self.entry.group is None else str(self.entry.group),
            "exclude": ", ".join(self.entry.exclude),
            "image": self.entry.image or "",
            "platform": self.entry.platform or "",
            "service": self.entry.service or "",
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
                        (
                            Choice("yes", "an archive"),
                            Choice("oci", "a container image"),
                            Choice("no", "no"),
                        ),
                        glyphs=self.glyphs,
                        inline=True,
                        id="entry-extract",
                    )
                for key, label, _help in _CONTAINER:
                    with Horizontal(classes="field-row", id=f"row-{key}"):
                        yield Plain(label, classes="field-label")
                        yield SafeInput(values[key], compact=True, id=f"entry-{key}")
                with Horizontal(classes="field-row"):
                    yield Plain("Replaces", classes="field-label")
                    yield Choices(
                        (Choice("no", "nothing"), Choice("yes", "what is there")),
                        glyphs=self.glyphs,
                        inline=True,
                        id="entry-replace",
                    )
                with Horizontal(classes="field-row"):
                    yield Plain("Goes to", classes="field-label")
                    yield Choices(
                        (
                            Choice("", "by its target"),
                            *(Choice(name, name_of(name)) for name in self.volumes),
                        ),
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
        extract = "oci" if self.entry.extract == "oci" else "yes" if self.entry.extract else "no"
        self._unpack(extract)
        self.query_one("#entry-replace", Choices).chosen = "yes" if self.entry.replace else "no"
        self.query_one("#entry-partition", Choices).chosen = self._volume
        self.query_one("#entry-source").focus()

    def on_descendant_focus(self) -> None:
        if self._told:
            self.query_one("#entry-note", Plain).show(self._told)
            self._told = ""
            return
        focused = self.focused.id if self.focused else ""
        for key, _label, text in (*_TEXTS, *_CONTAINER):
            if focused == f"entry-{key}":
                self.query_one("#entry-note", Plain).show(text)

    @on(Choices.Chosen)
    def _chosen(self, event: Choices.Chosen) -> None:
        event.choices.chosen = event.value
        if event.choices.id == "entry-extract":
            self._unpack(event.value)

    def _unpack(self, how: str) -> None:
        """Shows how the source is unpacked, and what goes with that."""
        self.query_one("#entry-extract", Choices).chosen = how
        for key, *_ in _CONTAINER:
            self.query_one(f"#row-{key}").display = how == "oci"

    @on(Input.Changed, "#entry-source")
    def _guess(self, event: Input.Changed) -> None:
        if not self.is_new:
            return
        if event.value and is_image_folder(os.fsencode(typed_path(self.base, event.value))):
            self._unpack("oci")
        elif event.value.endswith(_ARCHIVES):
            path = typed_path(self.base, event.value)
            self._unpack("oci" if is_image_archive(os.fsencode(path)) else "yes")

    @on(Input.Submitted)
    @on(Button.Pressed, "#entry-ok")
    def action_accept(self) -> None:
        """Takes the values; what is wrong with them, the preview tells."""
        keys = [key for key, *_ in (*_TEXTS, *_CONTAINER)]
        text = {key: self.query_one(f"#entry-{key}", Input).value.strip() for key in keys}
        text["source"] = pasted(text["source"])
        if not text["source"]:
            self._tell(f"{self.glyphs.error} Error: an entry needs a source")
            return
        if text["source"] != self._doubted and not _is_there(self.base, text["source"]):
            self._doubted = text["source"]
            self._tell(
                f"{self.glyphs.warning} Warning: {visible(text['source'])} is not there now; "
                "accept again to keep it all the same"
            )
            return
        how = self.query_one("#entry-extract", Choices).chosen
        if how != "oci":
            text |= {key: "" for key, *_ in _CONTAINER}
        volume = self.query_one("#entry-partition", Choices).chosen
        partition, named = self.entry.partition, self.entry.volume
        if volume != self._volume:
            older = volume in CONTENT_PARTITIONS  # which earlier versions read, too
            partition, named = (volume, None) if older else (None, volume or None)
        self.dismiss(
            Entry(
                source=text["source"],
                target=text["target"] or "/",
                mode=text["mode"] or None,
                user=_owner(text["user"]),
                group=_owner(text["group"]),
                extract=_EXTRACT[how or "no"],
                exclude=tuple(part.strip() for part in text["exclude"].split(",") if part.strip()),
                partition=partition,
                volume=named,
                replace=self.query_one("#entry-replace", Choices).chosen == "yes" or None,
                image=text["image"] or None,
                platform=text["platform"] or None,
                service=text["service"] or None,
            )
        )

    def _tell(self, text: str) -> None:
        """Says what is wrong with the source, and goes there."""
        source = self.query_one("#entry-source")
        self._told = "" if source.has_focus else text
        self.query_one("#entry-note", Plain).show(text)
        source.focus()

    @on(Button.Pressed, "#entry-cancel")
    def action_cancel(self) -> None:
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


def _is_there(base: Path, source: str) -> bool:
    """Whether a source is there; of a pattern, the folder that it looks in."""
    path = typed_path(base, source.partition("*")[0])
    try:
        return os.path.lexists(path.parent if "*" in source else path)
    except ValueError:
        return False


def _owner(text: str) -> str | int | None:
    if not text:
        return None
    return int(text) if text.isascii() and text.isdigit() else text
