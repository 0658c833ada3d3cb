"""Source and image side by side: a folder of each, and what copying between them appends.

Knows no screen. The image's side is the plan's: every mounted volume in its place, one tree.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.plan.model import Plan
from engine.spec.model import Content
from engine.units import human
from tui.text import visible
from tui.volumes import holds_files

Kind = Literal["folder", "file", "link", "other", "volume"]
LONGEST = 5000
"""Names listed of one folder."""
_ALL = 4096
"""Cells: names have all the room that sizes leave."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name in a folder.

    Attributes:
        name: The last component as the system has it.
        text: How it is shown.
        bytes: Of a file.
    """

    name: bytes
    text: str
    kind: Kind
    bytes: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it can be gone into."""
        return self.kind in {"folder", "volume"}


class Names:
    """Rows of a folder, for a table."""

    titles: tuple[str, ...] = ("Name", f"{'Size':>10}")

    def __init__(self, names: Sequence[Name]) -> None:
        self._names = names
        self.widths: tuple[int, ...] = (_ALL, 10)

    def __len__(self) -> int:
        return len(self._names)

    def cells(self, index: int) -> tuple[str, ...]:
        """Returns a row."""
        one = self._names[index]
        text = f"{one.text}/" if one.kind == "folder" else one.text
        return (text, f"{human(one.bytes):>10}" if one.kind == "file" else "")


def _sorted(names: Sequence[Name]) -> tuple[Name, ...]:
    """Returns names as they are listed: volumes, folders, then the rest."""
    order = {"volume": 0, "folder": 1}
    return tuple(sorted(names, key=lambda one: (order.get(one.kind, 2), one.name)))[:LONGEST]


# ------------------------------------------------------------------ this machine


def folder(path: Path) -> tuple[Name, ...]:
    """Returns what is in a folder of this machine: folders first.

    Raises:
        OSError: It cannot be read.
    """
    found = []
    with os.scandir(os.fsencode(path)) as there:
        for one in there:
            link = one.is_symlink()
            directory = one.is_dir()
            kind: Kind = "folder" if directory else "link" if link else "file"
            if not (directory or link or one.is_file()):
                kind = "other"
            size = one.stat(follow_symlinks=False).st_size if kind == "file" else 0
            found.append(Name(one.name, visible(one.name), kind, size))
    return _sorted(found)


# ------------------------------------------------------------------ the image


@dataclass(frozen=True, slots=True)
class Spot:
    """A folder of the image.

    Attributes:
        volume: Id of a volume that is mounted nowhere; "" for the tree that the system sees.
        path: From there, without a slash at either end; b"" is the top.
    """

    volume: str = ""
    path: bytes = b""

    @property
    def text(self) -> str:
        """What to call it."""
        inside = f"/{visible(self.path)}"
        return f"{self.volume}: {inside}" if self.volume else inside

    def into(self, one: Name) -> Spot:
        """Returns the folder of a name in it."""
        if one.kind == "volume":
            return Spot(os.fsdecode(one.name))
        return Spot(self.volume, self.path + b"/" + one.name if self.path else one.name)

    def up(self) -> Spot:
        """Returns the folder above; from a volume, the top of the tree."""
        if not self.path:
            return Spot()
        return Spot(self.volume, self.path.rpartition(b"/")[0])


class ImageTree:
    """All volumes of a plan that hold files, merged by mount point; built once."""

    def __init__(self, plan: Plan | None) -> None:
        self._folders: dict[Spot, dict[bytes, Name]] = defaultdict(dict)
        self._folders[Spot()] = {}
        if plan is None:
            return
        for one in plan.volumes:
            inside = one.filesystem
            if inside is None or not holds_files(inside.type):
                continue
            mounted = one.mount is not None or (one.role == "root" and one.id == "root")
            at = (one.mount or "/").strip("/").encode() if mounted else b""
            volume = "" if mounted else one.id
            if not mounted:
                name = os.fsencode(one.id)
                self._folders[Spot()][name] = Name(name, f"[{visible(one.id)}]", "volume")
            self._mount_point(Spot(volume, at))
            for entry in plan.mounted(one):
                if entry.path:
                    kind: Kind = (
                        "folder" if entry.is_directory
                        else "link" if entry.is_symlink
                        else "file" if entry.is_regular else "other"
                    )  # fmt: skip
                    self._put(volume, at, entry.path, kind, entry.size)

    def _mount_point(self, spot: Spot) -> None:
        """Makes a folder and those above it, where nobody has."""
        while spot.path:
            above, name = spot.up(), spot.path.rpartition(b"/")[2]
            self._folders[spot]
            self._folders[above].setdefault(name, Name(name, visible(name), "folder"))
            spot = above
        self._folders[spot]

    def _put(self, volume: str, at: bytes, path: bytes, kind: Kind, size: int) -> None:
        parent, _, name = path.rpartition(b"/")
        full = b"/".join(part for part in (at, parent) if part)
        names = self._folders[Spot(volume, full)]
        if kind != "folder" or name not in names:
            names[name] = Name(name, visible(name), kind, size if kind == "file" else 0)
        if kind == "folder":
            self._folders[Spot(volume, full + b"/" + name if full else name)]

    def nearest(self, spot: Spot) -> Spot:
        """Returns a folder that is there: the one asked for, or one above it."""
        while spot not in self._folders and spot != Spot():
            spot = spot.up()
        return spot

    def names(self, spot: Spot) -> tuple[Name, ...]:
        """Returns what is in a folder: folders first."""
        return _sorted(tuple(self._folders.get(spot, {}).values()))


def copied(base: Path, place: Path, one: Name, spot: Spot) -> Content:
    """Returns the entry that copies a name of this machine into a folder of the image.

    Args:
        base: Folder that relative sources start from.
        place: The folder that the name is in.
        one: A file, a link or a folder; a folder goes with its own name, as a file does.
        spot: Where it goes.
    """
    path = place / os.fsdecode(one.name)
    source = os.fspath(path.relative_to(base) if path.is_relative_to(base) else path)
    target = "/" + os.fsdecode(spot.into(Name(one.name, one.text, "file")).path)
    if one.kind == "folder":
        source += "/"
    return Content(source=source, target=target, volume=spot.volume or None)


def why_not(one: Name) -> str:
    """Returns why a name of this machine cannot be copied, or ""."""
    if one.kind == "other":
        return f"{one.text} is neither a file nor a folder"
    try:
        text = one.name.decode()
    except UnicodeDecodeError:
        return f"{one.text} is not UTF-8, as a spec is"
    return f"{one.text} has a *, which a spec takes for a pattern" if "*" in text else ""
