"""A spec in the making: volumes with ids of their own, and notes on what has no place in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from engine.disk.roles import ROLES
from engine.problem import Problem
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.model import Content, VolumeEntry
from engine.units import format_exact, in_bytes

_LONGEST_ID = 32


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is said: a file, as people call it, and a line of it."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(slots=True)
class Draft:
    """What an importer collects.

    Attributes:
        volumes: In disk order.
        notes: What is not carried over, in the order in which it was met.
    """

    volumes: list[VolumeEntry] = field(default_factory=list)
    contents: list[Content] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)

    def note(self, where: Place | None, what: str, why: str, hint: str = "") -> None:
        """Adds that something is not carried over, and why."""
        self.say(where, f"{what} is not carried over: {why}", hint)

    def say(self, where: Place | None, message: str, hint: str = "") -> None:
        """Adds a sentence on what becomes different."""
        file = None if where is None else str(where)
        self.notes.append(Problem("not-carried-over", "warning", "", message, hint, file=file))

    def told(self, *files: str) -> tuple[Problem, ...]:
        """Returns the notes in the order of files and lines; what is about no line comes last.

        Args:
            files: Names in the order in which they were read; others follow as they were met.
        """
        met = [note.file.rpartition(":")[0] for note in self.notes if note.file]
        order = {file: index for index, file in enumerate(dict.fromkeys((*files, *met)))}

        def key(note: Problem) -> tuple[int, int]:
            file, _, line = (note.file or "").rpartition(":")
            return order.get(file, len(order)), int(line or "0")

        return tuple(sorted(self.notes, key=key))

    def mounted(self) -> tuple[VolumeEntry, ...]:
        """Returns the volumes; where none is mounted at /, none is mounted at all."""
        if not self.volumes or "/" in mounts(self.volumes):
            return tuple(self.volumes)
        return tuple(
            msgspec.structs.replace(volume, mount="", subvolumes=_unmounted(volume.subvolumes))
            if mount_of(volume)
            else volume
            for volume in self.volumes
        )

    def id_for(self, wanted: str) -> str:
        """Returns an id like a text that no volume has yet."""
        taken = {volume.id for volume in self.volumes}
        clean = re.sub(r"[^a-z0-9]+", "-", wanted.lower()).strip("-")[:_LONGEST_ID] or "data"
        name, number = clean, 2
        while name in taken:
            end = f"-{number}"
            name, number = clean[: _LONGEST_ID - len(end)] + end, number + 1
        return name

    def add(self, entry: VolumeEntry) -> VolumeEntry:
        """Adds a volume whose role is given; what is the default anyway goes unsaid."""
        role = ROLES[entry.role or "data"]
        implied = entry.id if entry.id in ROLES else "data"
        mounted = {mount_of(volume) for volume in self.volumes}
        default = role.mount if role.mount not in mounted else None
        named = role.name if entry.id == role.key else entry.id
        formatted = "none" if entry.source else role.format
        said = msgspec.structs.replace(
            entry,
            role=None if role.key == implied else role.key,
            format=None if entry.format == formatted else entry.format,
            name=None if entry.name == named else entry.name,
            mount=None
            if entry.mount is not None and entry.mount == (default or "")
            else entry.mount,
        )
        self.volumes.append(said)
        return said

    def label(self, where: Place | None, text: str, format_: str) -> str | None:
        """Returns a label if the format has room for it; else notes why not."""
        row = FILESYSTEMS.get(format_)
        size = len(text.encode())
        if not text or row is None or not row.label_bytes:
            return None
        if size > row.label_bytes:
            self.note(
                where, f'the label "{text}" of the file system',
                f"it has {in_bytes(size)}, and {row.title} takes {row.label_bytes:,}",
            )  # fmt: skip
            return None
        return text

    def compression(self, where: Place | None, what: str, method: str, format_: str) -> str | None:
        """Returns a method of compression if a format is written with it; else notes why not."""
        row = FILESYSTEMS.get(format_)
        known = row.compressions if row is not None else ()
        if method in known:
            return method
        if method not in {"", "none"}:
            title = row.title if row is not None else "raw bytes"
            self.note(where, what, f"{title} is written with {' or '.join(known) or 'none'} here")
        return None


def mount_of(volume: VolumeEntry) -> str | None:
    """Returns where a volume is mounted, defaults included."""
    if volume.mount is not None:
        return volume.mount or None
    role = volume.role or (volume.id if volume.id in ROLES else "data")
    return ROLES[role].mount


def _unmounted(subvolumes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(text.partition(":")[0] for text in subvolumes)


def mounts(volumes: Iterable[VolumeEntry]) -> dict[str, str]:
    """Returns the ids of volumes by where they are mounted, the first of each place."""
    found: dict[str, str] = {}
    for volume in volumes:
        mount = mount_of(volume)
        if mount is not None:
            found.setdefault(mount, volume.id)
    return found


def size_text(size: int) -> int | str:
    """Returns a size as a spec has it: 0, or a text with a unit."""
    return format_exact(size) if size else 0
