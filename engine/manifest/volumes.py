"""Which volume each entry goes to: a tree is split where mount points lie in it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

from engine.manifest.entry import Entry
from engine.manifest.memory import copy, copy_of, directory
from engine.manifest.part import Part

Mounts = Mapping[bytes, str]
"""Volume by mount point, as a path without leading slash; b"" is the root's."""


def mounts(pairs: Sequence[tuple[str, str]]) -> Mounts:
    """Returns mount points from pairs of an absolute path and a volume's id."""
    return {path.strip("/").encode(): volume for path, volume in pairs}


def split(part: Part, at: Mounts) -> dict[str, Part]:
    """Returns what a part brings to each volume, with paths as the volume has them.

    The mount point itself becomes the root directory of its volume, and stays as an empty
    directory where it is. Names of one inode that end up on two volumes become two files, each
    with the data.

    Args:
        part: Its entries are not changed.
        at: Where volumes are mounted.
    """
    if set(at) <= {b""}:
        return {at[b""]: part} if at else {}
    # What is wrong with the part is told once, even where nothing comes of it.
    first = _place(part.target, at)[0] if b"" in at else next(iter(at.values()))
    entries: dict[str, list[Entry]] = {first: []}
    moved: dict[tuple[str, int], Entry] = {}
    for entry in part.entries:
        home, path = _place(entry.path, at)
        if not path and entry.path:
            above, there = _above(entry.path, at)
            kept = copy(entry)
            kept.path = there
            entries.setdefault(above, []).append(kept)
        entries.setdefault(home, []).append(_moved(entry, path, home, moved))
    heads = {home: _heads(part.heads, home, moved) for home in entries}
    return {
        home: replace(
            part, target=_target(part.target, home, at), entries=found, heads=heads[home],
            findings=part.findings if home == first else (),
        )
        for home, found in entries.items()
    }  # fmt: skip


def mount_points(at: Mounts, mtime_ns: int) -> dict[str, Part]:
    """Returns the directories that volumes are mounted on, as parts of the volumes they lie in."""
    found: dict[str, list[Entry]] = {}
    for point in sorted(at):
        if point:
            volume, path = _above(point, at)
            found.setdefault(volume, []).append(directory(path, mtime_ns=mtime_ns))
    return {volume: Part(entries=entries) for volume, entries in found.items()}


def _place(path: bytes, at: Mounts) -> tuple[str, bytes]:
    """Returns the volume that a path lies in, and its path there."""
    point = path
    while point and point not in at:
        point = point.rpartition(b"/")[0]
    return at[point], path[len(point) :].lstrip(b"/")


def _above(point: bytes, at: Mounts) -> tuple[str, bytes]:
    """Returns the volume that a mount point lies in, and its path there."""
    folder, _, name = point.rpartition(b"/")
    volume, path = _place(folder, at)
    return volume, b"/".join(filter(None, (path, name)))


def _target(target: bytes, home: str, at: Mounts) -> bytes:
    volume, path = _place(target, at)
    return path if volume == home else b""


def _moved(entry: Entry, path: bytes, home: str, moved: dict[tuple[str, int], Entry]) -> Entry:
    """Returns an entry at its place in a volume; its inode is the one that this volume has."""
    first = entry.link_to
    if first is None:
        if path == entry.path:
            moved[home, id(entry)] = entry
            return entry
        new = copy(entry)
        new.path = path
        moved[home, id(entry)] = new
        return new
    there = moved.get((home, id(first)))
    if there is None:
        new = copy_of(path, first)
        moved[home, id(first)] = new
        return new
    if there is first and path == entry.path:
        return entry
    new = copy(entry)
    new.path, new.link_to = path, there
    return new


def _heads(
    heads: Mapping[Hashable, Entry], home: str, moved: Mapping[tuple[str, int], Entry]
) -> dict[Hashable, Entry]:
    """Returns the first names of files with several, as far as a volume has them."""
    return {
        inode: moved[home, id(head)] for inode, head in heads.items() if (home, id(head)) in moved
    }
