"""Add or edit a volume: the values that fit its role, and what its size comes to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input

from engine.disk import verity
from engine.disk.roles import ROLES
from engine.disk.volume import Volume
from engine.problem import Problem
from engine.spec.filesystems import RAW
from engine.spec.model import ImageSpec, VolumeEntry
from engine.spec.volume_rules import FLAGS, check_values
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.screens.picker import PickerScreen
from tui.text import visible
from tui.typed import pasted
from tui.volumes import FORMATS, OFFERED, holds_files
from tui.widgets.choices import Choice, Choices
from tui.widgets.inputs import SafeInput
from tui.widgets.labels import Plain
from tui.widgets.suggest import PathSuggester

_NOWHERE = "-"
"""What stands for "mounted nowhere", which is not the same as nothing said."""
_USUAL = "usual"
_RULES = (
    Choice(_USUAL, "as usual"),
    Choice("size", "fixed"),
    Choice("free", "contents + free"),
    Choice("grow", "a share of the rest"),
)
_TEXTS = {
    "id": ("Id", "Its name in the spec: lower-case letters, digits, hyphens"),
    "mount": ("Mount", "Contents below it go here; empty: the role's own, - for nowhere"),
    "amount": ("", ""),
    "min": ("At least", "It is never smaller than this"),
    "label": ("Label", "Of the file system"),
    "source": ("Source", "File whose bytes it holds; Right completes, F2 browses"),
    "verity": ("Hash of", "Id of the volume whose hash tree, or the signature of it, this is"),
    "key": ("Key", "PEM file without a passphrase that signs the root hash"),
    "certificate": ("Certificate", "PEM file of the certificate that goes with the key"),
    "offset": ("At byte", "Outside of all partitions, as 8KiB; empty: in a partition"),
    "flags": ("Flags", f"Between commas: {', '.join(FLAGS)}"),
    "name": ("Part. name", "Of the GPT partition; empty: the role's, or the id"),
    "type": ("Part. type", "A GUID or 0x83; empty: the role's"),
    "guid": ("Part. GUID", "Empty: derived from the seed and the id"),
    "uuid": ("UUID", "Of the file system; empty: derived from the seed and the id"),
}
_PATHS = frozenset({"source", "key", "certificate"})
_AMOUNTS = {
    "size": ("Size", "As 8GiB; K, M, G, T are powers of 1024"),
    "free": ("Free", "What its contents need and this much more"),
    "grow": ("Weight", "Twice the weight, twice the share of what the disk has left"),
}


class VolumeScreen(ModalScreen[VolumeEntry | None]):
    """Returns the entry, or None where nothing is to change."""

    HELP = """
# A volume

- **Role**: what it is for; it tells the partition's type and where it is mounted.
- **Format**: only those that a build can make. With `nothing`, the bytes of a file, or none.
- **Mount**: contents below it go to this volume without being told.
- **Size**: *fixed*; *contents + free*, what is put there and some room; or *a share* of what a
  disk of fixed size has left. *As usual*: what the layout and the step Size say.
- **Hash of**: the volume whose hash tree this is, for dm-verity. That volume can then only be read.
- **At byte**: raw bytes outside of all partitions, where a board looks for its boot loader.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("entry")

    def __init__(
        self,
        entry: VolumeEntry,
        volume: Volume | None,
        *,
        taken: frozenset[str],
        gives: Callable[[VolumeEntry], str],
        base: Path,
        fixed_id: bool = False,
        gpt: bool = True,
        glyphs: Glyphs = UNICODE,
    ) -> None:
        """Prepares the form.

        Args:
            entry: What the spec says, or is to say.
            volume: What that means now; None for one that is added.
            taken: Ids of the other volumes.
            gives: Answers what an entry would come to, in words.
            base: Folder that a relative source starts from.
            fixed_id: The id is the preset's.
            gpt: Partitions have names.
            glyphs: What is drawn with.
        """
        super().__init__()
        self.entry, self.volume = entry, volume
        self.taken, self.gives, self.base = taken, gives, base
        self.fixed_id, self.gpt, self.glyphs = fixed_id, gpt, glyphs
        self.role = entry.role or (volume.role if volume else _role_of(entry.id))
        self.format = entry.format or (volume.format if volume else ROLES[self.role].format)
        if entry.source and entry.format is None and volume is None:
            self.format = RAW
        self.rule = next((key for key in _AMOUNTS if getattr(entry, key) is not None), _USUAL)

    # ------------------------------------------------------------------ what is on it

    def compose(self) -> ComposeResult:
        """One row for each value."""
        title = "Edit the volume" if self.volume else "Add a volume"
        with Vertical(classes="dialog volume"):
            yield Plain(title, classes="dialog-title")
            with VerticalScroll(classes="dialog-form", can_focus=False):
                yield self._text("id", self.entry.id, disabled=self.fixed_id)
                roles = OFFERED if self.role in OFFERED else (*OFFERED, self.role)
                yield self._choices("role", "Role", tuple(Choice(key, key) for key in roles))
                yield self._choices("format", "Format", self._formats())
                mount = _NOWHERE if self.entry.mount == "" else self.entry.mount
                yield self._text("source", self.entry.source)
                yield self._text("verity", self.entry.verity)
                yield self._text("key", self.entry.key)
                yield self._text("certificate", self.entry.certificate)
                yield self._text("offset", self.entry.offset)
                yield self._text("mount", mount)
                yield self._choices("rule", "Size", _RULES)
                amount = None if self.rule == _USUAL else getattr(self.entry, self.rule)
                yield self._text("amount", amount)
                yield self._text("min", self.entry.min)
                yield self._text("label", self.entry.label)
                yield self._text("flags", ", ".join(self.entry.flags))
                yield self._text("name", self.entry.name)
                yield self._text("type", self.entry.type)
                yield self._text("guid", self.entry.guid)
                yield self._text("uuid", self.entry.uuid)
            yield Plain("", id="volume-gives", classes="field-note")
            yield Plain("", id="volume-note", classes="field-note")
            with Horizontal(classes="dialog-buttons"):
                yield Button("Accept", id="volume-ok", compact=True)
                yield Button("Browse (F2)", id="volume-browse", compact=True)
                yield Button("Cancel", id="volume-cancel", compact=True)

    def _formats(self) -> tuple[Choice, ...]:
        """Returns what a partition can hold: files, nothing, or what it has now."""
        return tuple(
            Choice(key, title)
            for key, title in FORMATS
            if holds_files(key) or key in {RAW, self.format}
        )

    def _text(self, key: str, value: str | int | None, *, disabled: bool = False) -> Horizontal:
        field = SafeInput(
            "" if value is None else str(value),
            compact=True,
            id=f"volume-{key}",
            disabled=disabled,
            suggester=PathSuggester(self.base) if key in _PATHS else None,
        )
        label = Plain(_TEXTS[key][0], classes="field-label", id=f"label-{key}")
        return Horizontal(label, field, classes="field-row", id=f"row-{key}")

    def _choices(self, key: str, label: str, options: tuple[Choice, ...]) -> Horizontal:
        choices = Choices(options, glyphs=self.glyphs, inline=True, id=f"volume-{key}")
        return Horizontal(
            Plain(label, classes="field-label"), choices, classes="field-row", id=f"row-{key}"
        )

    def on_mount(self) -> None:
        """Shows the choices, and what they leave to be said."""
        self._show()
        wanted = "source" if self._shows()["source"] and not self.entry.source else "amount"
        if self._shows()["verity"]:
            wanted = "verity"
        start = wanted if self.volume is None and self._shows()[wanted] else "role"
        if start == "role" and not self.fixed_id and self.volume is None:
            start = "id"
        self.query_one(f"#volume-{start}").focus()
        self._tell()

    def _shows(self) -> dict[str, bool]:
        """Returns which values fit the role and the format."""
        raw, loose = self.format == RAW, self.role == "raw" and bool(self._typed("offset"))
        files = holds_files(self.format)
        sealed = self.role in verity.FORMATS
        return {
            "id": True,
            "role": not self.fixed_id,
            "format": self.role not in {"raw", "bios-boot", "swap"} and not sealed,
            "mount": files,
            "source": raw and self.role != "bios-boot" and not self._typed("verity"),
            "verity": sealed,
            "key": self.role in verity.SIGNATURES,
            "certificate": self.role in verity.SIGNATURES,
            "offset": self.role == "raw",
            "rule": not loose,
            "amount": not loose and self.rule != _USUAL,
            "min": not loose and self.rule in {"free", "grow"},
            "label": not raw and not sealed,
            "flags": not loose,
            "name": not loose and self.gpt,
            "type": not loose,
            "guid": not loose and self.gpt,
            "uuid": not raw and self.role not in verity.SIGNATURES,
        }

    def _show(self) -> None:
        # Only what holds something can follow it in size.
        holds = self._shows()["mount"] or self._shows()["source"]
        self.query_one("#volume-rule", Choices).options = tuple(
            choice for choice in _RULES if holds or choice.value not in {"free"} - {self.rule}
        )
        self.query_one("#volume-format", Choices).options = self._formats()
        for key in ("role", "format", "rule"):
            self.query_one(f"#volume-{key}", Choices).chosen = getattr(self, key)
        for key, shown in self._shows().items():
            self.query_one(f"#row-{key}").display = shown
        role = ROLES[self.role]
        if self.rule in _AMOUNTS:
            self.query_one("#label-amount", Plain).show(_AMOUNTS[self.rule][0])
        same = self.volume is not None and self.volume.role == self.role
        known = self.volume if same else None
        mount = known.mount if known else role.mount
        self._hint("mount", mount or "nowhere")
        self._hint("label", (known.label if known else "") or "none")
        self._hint("name", (known.name if known else role.name) or "none")
        self._hint("type", "the role's")
        self._hint("guid", (known.guid if known else "") or "derived")
        self._hint("uuid", (known.uuid if known else "") or "derived")
        self._hint("offset", "in a partition")

    def _hint(self, key: str, text: str) -> None:
        self.query_one(f"#volume-{key}", Input).placeholder = visible(text)

    def _typed(self, key: str) -> str:
        return self.query_one(f"#volume-{key}", Input).value.strip()

    # ------------------------------------------------------------------ what is said

    @on(Choices.Chosen)
    def _chosen(self, event: Choices.Chosen) -> None:
        event.stop()
        key = (event.choices.id or "").removeprefix("volume-")
        setattr(self, key, event.value)
        if key == "role":
            wanted = ROLES[event.value].format
            self.format = wanted if wanted in dict(FORMATS) else self.format
        if key == "rule" and event.value in _AMOUNTS:
            given = getattr(self.entry, event.value)
            with self.prevent(Input.Changed):
                self.query_one("#volume-amount", Input).value = str(
                    given if given is not None else {"size": "1GiB", "free": "256MiB"}.get(
                        event.value, 1)
                )  # fmt: skip
        self._show()
        self._tell()

    @on(Input.Changed)
    def _edited(self, event: Input.Changed) -> None:
        event.stop()
        if event.input.id in {"volume-offset", "volume-verity"}:
            self._show()
        self._tell()

    def on_descendant_focus(self) -> None:
        """Shows the help of the focused value."""
        key = (self.focused.id or "").removeprefix("volume-") if self.focused else ""
        text = _TEXTS[key][1] if key in _TEXTS else ""
        if key == "amount" and self.rule in _AMOUNTS:
            text = _AMOUNTS[self.rule][1]
        if key == "role":
            text = ROLES[self.role].purpose
        self.query_one("#volume-note", Plain).show(text)

    def _tell(self) -> None:
        """Shows what the entry would come to, or what is wrong with it."""
        entry = self.made()
        problem = self._problem(entry)
        told = self.query_one("#volume-gives", Plain)
        if problem is None:
            told.show(visible(self.gives(entry)))
        else:
            told.show(self._error(problem))

    def _error(self, problem: Problem) -> Content:
        key = problem.path.rpartition(".")[2]
        text = f"{self.glyphs.error} Error: {key} {problem.message}"
        return Content.styled(visible(text), "$state-error")

    def _problem(self, entry: VolumeEntry) -> Problem | None:
        if not entry.id:
            return Problem("missing-key", "error", "volume[0].id", "is missing")
        if entry.id in self.taken:
            return Problem("volume-id-taken", "error", "volume[0].id", "is another volume's")
        if entry.offset is not None and not entry.source:
            return Problem("offset-needs-source", "error", "volume[0].source", "is missing")
        return next(check_values(ImageSpec(volume=(entry,))), None)

    def made(self) -> VolumeEntry:
        """Returns the entry as the form stands; what does not fit the role is left out."""
        shows = self._shows()
        texts = {key: self._typed(key) if shows.get(key) else "" for key in _TEXTS}
        name = self._typed("id")
        usual = ROLES[self.role].format if self.volume is None else self.volume.format
        kept = self.entry.format if self.entry.format == self.format else None
        weight = texts["amount"]
        return msgspec.structs.replace(
            self.entry,
            id=name,
            role=self.entry.role
            if self.role == (self.entry.role or "")
            else None
            if self.role == (self.volume.role if self.fixed_id and self.volume else _role_of(name))
            else self.role,
            format=kept if self.format == usual or shows["verity"] else self.format,
            mount="" if texts["mount"] == _NOWHERE else texts["mount"] or None,
            size=_kept(self.entry.size, weight) if self.rule == "size" else None,
            free=_kept(self.entry.free, weight) if self.rule == "free" else None,
            grow=_number(weight) if self.rule == "grow" and shows["amount"] else None,
            min=_kept(self.entry.min, texts["min"]),
            label=texts["label"] or None,
            source=pasted(texts["source"]) or None,
            verity=texts["verity"] or None,
            key=pasted(texts["key"]) or None,
            certificate=pasted(texts["certificate"]) or None,
            offset=_kept(self.entry.offset, texts["offset"]),
            flags=tuple(part.strip() for part in texts["flags"].split(",") if part.strip()),
            name=texts["name"] or None,
            type=texts["type"] or None,
            guid=texts["guid"] or None,
            uuid=texts["uuid"] or None,
        )

    # ------------------------------------------------------------------ leaving

    @on(Input.Submitted)
    @on(Button.Pressed, "#volume-ok")
    def action_accept(self) -> None:
        """Takes the values, unless one is wrong by itself."""
        entry = self.made()
        problem = self._problem(entry)
        if problem is None:
            self.dismiss(entry)
            return
        self._tell()
        key = problem.path.rpartition(".")[2]
        fields = self.query(f"#volume-{'amount' if key in _AMOUNTS else key.partition('[')[0]}")
        if fields:
            fields.first().focus()
        self.app.bell()

    @on(Button.Pressed, "#volume-cancel")
    def action_cancel(self) -> None:
        """Changes nothing."""
        self.dismiss(None)

    @on(Button.Pressed, "#volume-browse")
    def action_browse(self) -> None:
        """Chooses the source from a tree."""
        source = self.query_one("#volume-source", Input)
        if not self._shows()["source"]:
            self.app.bell()
            return

        def put(path: str | None) -> None:
            if path:
                source.value = path
                source.focus()

        self.app.push_screen(PickerScreen(self.base, source.value), put)


def _role_of(name: str) -> str:
    """Returns the role of a volume that is told none."""
    return name if name in ROLES else "data"


def _kept(before: int | str | None, text: str) -> int | str | None:
    """Returns a size as it was written where it still is that, else as typed."""
    return before if str(before) == text else text or None


def _number(text: str) -> int:
    """Returns a weight; what is not one is refused as 0 is."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
