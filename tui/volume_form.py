"""A volume being filled in: what is asked of it, what the answers make, what is wrong. No screen.

Every key of `[[volume]]` has a row here: those below in words of their own, any other in those of
the spec's manual.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from engine.disk import verity
from engine.disk.roles import ROLES
from engine.disk.volume import Volume
from engine.problem import Problem
from engine.spec.choices import VOLUME_COMPRESSIONS
from engine.spec.filesystems import FILESYSTEMS, RAW
from engine.spec.keys import KEYS
from engine.spec.model import ImageSpec, VolumeEntry
from engine.spec.volume_rules import FLAGS, check_values
from tui.text import visible
from tui.typed import pasted
from tui.volumes import FORMATS, OFFERED, holds_files

NOWHERE = "-"
"""What stands for "mounted nowhere", which is not the same as nothing said."""
USUAL = "usual"
"""The rule of a volume of which the spec says no size."""
RULES = (
    (USUAL, "as usual"),
    ("size", "fixed"),
    ("free", "contents + free"),
    ("grow", "a share of the rest"),
)
PATHS = frozenset({"source", "key", "certificate"})
"""Rows that name a file of this machine."""
AMOUNTS = {
    "size": ("Size", "As 8GiB; K, M, G, T are powers of 1024"),
    "free": ("Free", "What its contents need and this much more"),
    "grow": ("Weight", "Twice the weight, twice the share of what the disk has left"),
}
_FIRST = {"size": "1GiB", "free": "256MiB", "grow": "1"}
"""What an amount begins with."""


@dataclass(frozen=True, slots=True)
class Row:
    """One value that is asked for: a text, or one of several choices."""

    key: str
    label: str
    help: str
    choices: bool = False


_ROWS = (
    Row("id", "Id", "Its name in the spec: lower-case letters, digits, hyphens"),
    Row("role", "Role", "", choices=True),
    Row("format", "Format", "Only what a build can make", choices=True),
    Row("source", "Source", "File whose bytes it holds; Right completes, F2 browses"),
    Row("verity", "Hash of", "Id of the volume whose hash tree, or the signature of it, this is"),
    Row("key", "Key", "PEM file without a passphrase that signs the root hash"),
    Row("certificate", "Certificate", "PEM file of the certificate that goes with the key"),
    Row("offset", "At byte", "Outside of all partitions, as 8KiB; empty: in a partition"),
    Row("mount", "Mount", "Contents below it go here; empty: the role's own, - for nowhere"),
    Row("rule", "Size", "What its size follows from", choices=True),
    Row("amount", "", ""),
    Row("min", "At least", "It is never smaller than this"),
    Row("compression", "Compressed", "Where the format knows it", choices=True),
    Row("subvolumes", "Subvolumes", "Between commas, each with its mount: @:/, @home:/home"),
    Row("default_subvolume", "Default", "The subvolume that is mounted where none is named"),
    Row("label", "Label", "Of the file system"),
    Row("flags", "Flags", f"Between commas: {', '.join(FLAGS)}"),
    Row("after", "After", "Id of the volume that it follows on the disk"),
    Row("name", "Part. name", "Of the GPT partition; empty: the role's, or the id"),
    Row("type", "Part. type", "A GUID or 0x83; empty: the role's"),
    Row("guid", "Part. GUID", "Empty: derived from the seed and the id"),
    Row("uuid", "UUID", "Of the file system; empty: derived from the seed and the id"),
)
_ASKED = {row.key for row in _ROWS} | set(AMOUNTS)


def _others() -> Iterator[Row]:
    for key in VolumeEntry.__struct_fields__:
        if key not in _ASKED:
            known = KEYS.get(f"volume[].{key}")
            yield Row(key, key.title(), known.summary if known else "")


ROWS = (*_ROWS, *_others())
"""In the order of the form."""


class VolumeForm:
    """The answers so far, and what they make.

    Attributes:
        role: Of `engine.disk.roles.ROLES`.
        rule: A key of `AMOUNTS`, or `USUAL`.
        texts: What stands in each row that is a text.
    """

    def __init__(
        self,
        entry: VolumeEntry,
        volume: Volume | None,
        *,
        others: tuple[str, ...] = (),
        fixed_id: bool = False,
        gpt: bool = True,
    ) -> None:
        """Begins with what there is.

        Args:
            entry: What the spec says, or is to say.
            volume: What that means now; None for one that is added.
            others: Ids of the other volumes, in disk order.
            fixed_id: The id is the preset's.
            gpt: Partitions have names.
        """
        self.entry, self.volume = entry, volume
        self.others, self.fixed_id, self.gpt = others, fixed_id, gpt
        self.role = entry.role or (volume.role if volume else _role_of(entry.id))
        self.format = entry.format or (volume.format if volume else ROLES[self.role].format)
        if entry.source and entry.format is None and volume is None:
            self.format = RAW
        self.rule = next((key for key in AMOUNTS if getattr(entry, key) is not None), USUAL)
        self.compression = entry.compression or ""
        self.texts = {row.key: self._text_of(row.key) for row in ROWS if not row.choices}

    def _text_of(self, key: str) -> str:
        if key == "amount":
            value = None if self.rule == USUAL else getattr(self.entry, self.rule)
        else:
            value = getattr(self.entry, key)
        if key == "mount" and value == "":
            return NOWHERE
        if isinstance(value, tuple):
            return ", ".join(value)
        return "" if value is None else str(value)

    # ------------------------------------------------------------------ what is asked

    def shows(self, key: str) -> bool:
        """Whether a row fits the role and the format."""
        raw, loose = self.format == RAW, self.is_loose
        known = FILESYSTEMS.get(self.format)
        rules = {
            "role": not self.fixed_id,
            "format": self.role not in {"raw", "bios-boot", "swap"} and not self.is_tree,
            "mount": holds_files(self.format),
            "source": raw and self.role != "bios-boot" and not self.texts["verity"],
            "offset": self.role == "raw",
            "rule": not loose,
            "amount": not loose and self.rule != USUAL,
            "min": not loose and self.rule in {"free", "grow"},
            "compression": bool(self._compressions or self.compression),
            "subvolumes": bool(known and known.subvolumes) or bool(self.texts["subvolumes"]),
            "default_subvolume": bool(self.texts["subvolumes"] or self.texts["default_subvolume"]),
            "verity": self.is_tree,
            "label": bool(known and known.label_bytes) or bool(self.texts["label"]),
            "flags": not loose,
            "after": not loose and bool(self.others),
            "name": not loose and self.gpt,
            "type": not loose,
            "guid": not loose and self.gpt,
            "uuid": bool(known and known.identifier and not raw) or bool(self.texts["uuid"]),
            "key": self.role in verity.SIGNATURES,
            "certificate": self.role in verity.SIGNATURES,
        }
        return rules.get(key, True)

    @property
    def is_loose(self) -> bool:
        """Whether it is outside of all partitions."""
        return self.role == "raw" and bool(self.texts["offset"])

    @property
    def is_tree(self) -> bool:
        """Whether it is a hash tree, or the signature of one."""
        return self.role in verity.FORMATS

    def choices(self, key: str) -> tuple[tuple[str, str], ...]:
        """Returns what can be chosen in a row, each with its title."""
        if key == "role":
            roles = OFFERED if self.role in OFFERED else (*OFFERED, self.role)
            return tuple((one, one) for one in roles)
        if key == "format":  # what holds files, or nothing, or what it has now
            return tuple(
                (one, title)
                for one, title in FORMATS
                if holds_files(one) or one in {RAW, self.format}
            )
        if key == "compression":
            known = self._compressions or VOLUME_COMPRESSIONS
            return tuple((one, one or "the format's") for one in dict.fromkeys(("", *known)))
        # Only what holds something can follow it in size.
        holds = self.shows("mount") or self.shows("source")
        return tuple(one for one in RULES if holds or one[0] not in {"free"} - {self.rule})

    @property
    def _compressions(self) -> tuple[str, ...]:
        known = FILESYSTEMS.get(self.format)
        return known.compressions if known else ()

    def choose(self, key: str, value: str) -> None:
        """Takes a choice; a role brings its format, a rule its amount."""
        setattr(self, key, value)
        if key == "role":
            wanted = ROLES[value].format
            self.format = wanted if wanted in dict(FORMATS) else self.format
        if key == "rule" and value in AMOUNTS:
            given = getattr(self.entry, value)
            self.texts["amount"] = _FIRST[value] if given is None else str(given)

    def chosen(self, key: str) -> str:
        """Returns what is chosen in a row."""
        value = getattr(self, key)
        assert isinstance(value, str)
        return value

    def label(self, row: Row) -> str:
        """Returns what a row is called now."""
        return AMOUNTS[self.rule][0] if row.key == "amount" and self.rule in AMOUNTS else row.label

    def help(self, row: Row) -> str:
        """Returns what helps with a row."""
        if row.key == "amount" and self.rule in AMOUNTS:
            return AMOUNTS[self.rule][1]
        if row.key == "role":
            return ROLES[self.role].purpose
        if row.key in {"after", "verity"} and self.others:
            return f"{row.help}: {', '.join(self.others)}"
        return row.help

    def hint(self, key: str) -> str:
        """Returns what holds where a row is left empty."""
        role = ROLES[self.role]
        known = self.volume if self.volume is not None and self.volume.role == self.role else None
        hints = {
            "mount": (known.mount if known else role.mount) or "nowhere",
            "label": (known.label if known else "") or "none",
            "name": (known.name if known else role.name) or "none",
            "type": "the role's",
            "guid": (known.guid if known else "") or "derived",
            "uuid": (known.uuid if known else "") or "derived",
            "offset": "in a partition",
            "after": "where it is" if self.volume else "the last one",
        }
        return visible(hints.get(key, ""))

    # ------------------------------------------------------------------ what it makes

    def made(self) -> VolumeEntry:
        """Returns the entry as it stands; what does not fit the role is left out."""
        texts = {key: text.strip() if self.shows(key) else "" for key, text in self.texts.items()}
        name, amount = self.texts["id"].strip(), texts["amount"]
        usual = ROLES[self.role].format if self.volume is None else self.volume.format
        kept = self.entry.format if self.entry.format == self.format else None
        extra = {row.key: texts[row.key] or None for row in _others()}
        return msgspec.structs.replace(
            self.entry,
            id=name,
            role=self._role(name),
            format=kept if self.format == usual or self.is_tree else self.format,
            mount="" if texts["mount"] == NOWHERE else texts["mount"] or None,
            size=_kept(self.entry.size, amount) if self.rule == "size" else None,
            free=_kept(self.entry.free, amount) if self.rule == "free" else None,
            grow=_number(amount) if self.rule == "grow" and self.shows("amount") else None,
            min=_kept(self.entry.min, texts["min"]),
            label=texts["label"] or None,
            source=pasted(texts["source"]) or None,
            offset=_kept(self.entry.offset, texts["offset"]),
            flags=_listed(texts["flags"]),
            subvolumes=_listed(texts["subvolumes"]),
            default_subvolume=texts["default_subvolume"] or None,
            compression=(self.compression or None) if self.shows("compression") else None,
            verity=texts["verity"] or None,
            key=pasted(texts["key"]) or None,
            certificate=pasted(texts["certificate"]) or None,
            after=texts["after"] or None,
            name=texts["name"] or None,
            type=texts["type"] or None,
            guid=texts["guid"] or None,
            uuid=texts["uuid"] or None,
            **extra,
        )

    def _role(self, name: str) -> str | None:
        if self.role == (self.entry.role or ""):
            return self.entry.role
        usual = self.volume.role if self.fixed_id and self.volume else _role_of(name)
        return None if self.role == usual else self.role

    def problem(self) -> Problem | None:
        """Returns what is wrong with the entry by itself, or beside the others' ids."""
        entry = self.made()
        if not entry.id:
            return Problem("missing-key", "error", "volume[0].id", "is missing")
        if entry.id in self.others:
            return Problem("volume-id-taken", "error", "volume[0].id", "is another volume's")
        if entry.offset is not None and not entry.source:
            return Problem("offset-needs-source", "error", "volume[0].source", "is missing")
        for key in ("after", "verity"):
            named = getattr(entry, key)
            if named and named not in self.others:
                there = ", ".join(self.others) or "none"
                text = f"is {visible(named)}, but the other volumes are {there}"
                return Problem("unknown-volume", "error", f"volume[0].{key}", text)
        return next(check_values(ImageSpec(volume=(entry,))), None)

    def start(self) -> str:
        """Returns the row to begin with."""
        if self.volume is None:
            if self.shows("verity"):
                return "verity"
            if self.shows("source") and not self.entry.source:
                return "source"
            if self.shows("amount"):
                return "amount"
            return "id"
        return "role" if not self.fixed_id else "id"


def _listed(text: str) -> tuple[str, ...]:
    """Returns what stands between the commas of a text."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _role_of(name: str) -> str:
    """Returns the role of a volume that is told none."""
    return name if name in ROLES else "data"


def _kept(before: int | str | None, text: str) -> int | str | None:
    """Returns a size as it was written where it still is that, else as typed."""
    return before if str(before) == text else text or None


def _number(text: str) -> int:
    """Returns a weight; what is not one is refused as 0 is."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
