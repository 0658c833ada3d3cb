"""What is large in an image: the bytes and entries below every directory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from engine.manifest.entry import Entry

Kind = Literal["directory", "file", "link", "other"]
Path = bytes


@dataclass(frozen=True, slots=True)
class Item:
    """A name in a directory.

    Attributes:
        size: Apparent bytes of regular files at and below it; an inode with several names
            counts under the first.
        entries: Names at and below it.
    """

    path: Path
    kind: Kind
    size: int
    entries: int

    @property
    def name(self) -> Path:
        """The last component."""
        return self.path.rpartition(b"/")[2]


class Usage:
    """Sums over a manifest, computed once; directories answer with their children by size."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        everything = list(entries)
        size: dict[bytes, int] = defaultdict(int)
        count: dict[bytes, int] = defaultdict(int)
        children: dict[bytes, list[Entry]] = defaultdict(list)
        # Manifest order has every directory before what is in it, so backwards each sum is
        # complete when it is added to its parent's.
        for entry in reversed(everything):
            if entry.is_regular and entry.link_to is None:
                size[entry.path] += entry.size
            count[entry.path] += 1
            if entry.path:
                children[entry.parent].append(entry)
                size[entry.parent] += size[entry.path]
                count[entry.parent] += count[entry.path]
        self._size, self._count, self._children = size, count, children

    def total(self, path: bytes = b"") -> Item:
        """Returns the sums of a directory."""
        return Item(path, "directory", self._size.get(path, 0), self._count.get(path, 0))

    def children(self, path: bytes = b"") -> tuple[Item, ...]:
        """Returns what is in a directory, the largest first, names by byte among equals."""
        items = [
            Item(entry.path, _kind(entry), self._size[entry.path], self._count[entry.path])
            for entry in self._children.get(path, ())
        ]
        return tuple(sorted(items, key=lambda item: (-item.size, item.path)))


def _kind(entry: Entry) -> Kind:
    if entry.is_directory:
        return "directory"
    if entry.is_regular:
        return "file"
    return "link" if entry.is_symlink else "other"
