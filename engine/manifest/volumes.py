"""Which volume each entry goes to: a tree is split where mount points lie in it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

from engine.manifest.entry import Entry
from engine.manifest.memory import Elsewhere, copy_of, directory
from engine.manifest.part import Part, with_parents

Mounts = Mapping[bytes, str]
"""Volume by mount point, as a path without leading slash; b"" is the root's."""


def mounts(pairs: Sequence[tuple[str, str]]) -> Mounts:
    """Returns mount points from pairs of an absolute path and a volume's id.

    Where nothing is mounted at the root, what lies in no other volume goes to "".
    """
    return {b"": ""} | {path.strip("/").encode(): volume for path, volume in pairs}


def split(part: Part, at: Mounts) -> dict[str, Part]:
    """Returns what a part brings to each volume, with paths as the volume has them.

    The mount point itself becomes the root directory of its volume, and stays as an empty
    directory where it is. Names of one inode that end up on two volumes become two files, each
    with the data.

    Args:
        part: Its entries are not changed.
        at: Where volumes are mounted, b"" among them.
    """
    if set(at) == {b""}:
        return {at[b""]: part}
    shares: dict[str, _Share] = {}
    for entry in part.entries:
        home, path = place(entry.path, at)
        if not path and entry.path:
            above, there = _above(entry.path, at)
            shares.setdefault(above, _Share()).add(entry, there)
        shares.setdefault(home, _Share()).add(entry, path)
    # What is wrong with the part is reported once, even where nothing comes of it.
    first = place(part.target, at)[0]
    shares.setdefault(first, _Share())
    return {
        home: replace(
            part, target=_target(part.target, home, at), entries=share.entries,
            heads=share.heads(part.heads), findings=part.findings if home == first else (),
        )
        for home, share in shares.items()
    }  # fmt: skip


class _Share:
    """What of a part goes to one volume; each inode there is the volume's own."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._source = Elsewhere()
        self._inodes: dict[int, Entry] = {}

    def add(self, entry: Entry, path: bytes) -> None:
        """Takes an entry at its path in the volume."""
        first = entry.link_to or entry
        if first.source is not None:
            self._source.behind[id(first.source)] = first.source
        there = self._inodes.get(id(first))
        if there is None:
            same = first is entry and path == entry.path
            new = entry if same else copy_of(path, first, self._source)
            self._inodes[id(first)] = new
        else:
            new = copy_of(path, first, self._source)
            new.link_to = there
        self.entries.append(new)

    def heads(self, heads: Mapping[Hashable, Entry]) -> dict[Hashable, Entry]:
        """Returns the first names of files with several, as far as they are here."""
        known = self._inodes
        return {inode: known[id(head)] for inode, head in heads.items() if id(head) in known}


def mount_points(points: Iterable[bytes], at: Mounts, mtime_ns: int) -> dict[str, Part]:
    """Returns the directories that volumes are mounted on, as parts of the volumes they lie in."""
    found: dict[str, list[Entry]] = {}
    for point in sorted(points):
        if point:
            volume, path = _above(point, at)
            found.setdefault(volume, []).append(directory(path, mtime_ns=mtime_ns))
    return {
        volume: Part(entries=with_parents(entries, b"", mtime_ns))
        for volume, entries in found.items()
    }


def place(path: bytes, at: Mounts) -> tuple[str, bytes]:
    """Returns the volume that a path lies in, and its path there."""
    point = path
    while point and point not in at:
        point = point.rpartition(b"/")[0]
    return at[point], path[len(point) :].lstrip(b"/")


def _above(point: bytes, at: Mounts) -> tuple[str, bytes]:
    """Returns the volume that a mount point lies in, and its path there."""
    folder, _, name = point.rpartition(b"/")
    volume, path = place(folder, at)
    return volume, b"/".join(filter(None, (path, name)))


def _target(target: bytes, home: str, at: Mounts) -> bytes:
    volume, path = place(target, at)
    return path if volume == home else b""
