"""Which room of a Btrfs is taken, and by what: its block groups and the extents in them.

Source: struct btrfs_block_group_item, btrfs_extent_item and btrfs_extent_inline_ref in
include/uapi/linux/btrfs_tree.h of the Linux kernel.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from engine.filesystems.btrfs.reader_forest import END, Forest
from engine.filesystems.btrfs.reader_superblock import Superblock
from engine.filesystems.btrfs.reader_tree import Key
from engine.image.reading import BadFilesystem
from engine.units import in_bytes

_EXTENT_TREE, _GROUP_TREE = 2, 11
_EXTENT, _METADATA, _GROUP = 168, 169, 192
_HEAD, _BLOCK_INFO = 24, 18
_GROUP_SIZE = 24
_IS_NODE = 2
_TREE_REF = 176
_DATA = 1
_TREES = {
    1: "tree of roots", 2: "tree of extents", 3: "tree of chunks", 4: "tree of devices",
    5: "tree of the files", 7: "tree of checksums", 9: "tree of UUIDs", 10: "tree of free space",
    11: "tree of block groups",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Taken:
    """A run of logical addresses that something takes.

    Attributes:
        what: Which tree's node it is; "" for data of files.
    """

    start: int
    length: int
    what: str


class Room:
    """Reads what the trees of extents and block groups say."""

    def __init__(self, superblock: Superblock, forest: Forest) -> None:
        self._superblock = superblock
        self._forest = forest

    def figures(self) -> dict[str, int]:
        """Returns bytes that chunks have for data and for nodes, and what of these is taken.

        Copies do not count twice.
        """
        found = dict.fromkeys(("data_bytes", "data_used", "metadata_bytes", "metadata_used"), 0)
        tree = self._forest.find(_GROUP_TREE) or self._forest.tree(_EXTENT_TREE)
        for item in self._forest.nodes.items(tree.root, tree.level):
            if item.key.type != _GROUP:
                continue
            if len(item.data) < _GROUP_SIZE:
                raise BadFilesystem(f"Btrfs block group {item.key.object}: it ends early")
            used, _, kind = struct.unpack_from("<QQQ", item.data)
            if used > item.key.offset:
                raise BadFilesystem(
                    f"Btrfs block group {item.key.object}: {used:,} of "
                    f"{in_bytes(item.key.offset)} used"
                )
            # A mixed block group holds both; it counts as one of data.
            name = "data" if kind & _DATA else "metadata"
            found[f"{name}_bytes"] += item.key.offset
            found[f"{name}_used"] += used
        return found

    def taken(self) -> Iterator[Taken]:
        """Yields the extents, rising.

        Raises:
            BadFilesystem: They overlap, or are damaged.
        """
        tree = self._forest.tree(_EXTENT_TREE)
        end = 0
        for item in self._forest.nodes.items(tree.root, tree.level, Key(0, _EXTENT, 0)):
            key = item.key
            if key.type not in {_EXTENT, _METADATA}:
                continue
            length = key.offset if key.type == _EXTENT else self._superblock.node_size
            if key.object < end or not length or key.object + length > END:
                raise BadFilesystem(
                    f"Btrfs: an extent of {in_bytes(length)} at address {key.object}"
                )
            end = key.object + length
            yield Taken(key.object, length, _what(item.data, skinny=key.type == _METADATA))

    def places(self, one: Taken) -> list[int]:
        """Returns where an extent lies in the window, each copy."""
        return self._forest.nodes.places(one.start, one.length)


def _what(raw: bytes, *, skinny: bool) -> str:
    """Returns what an extent is; "" for data."""
    if len(raw) < _HEAD:
        raise BadFilesystem(f"Btrfs: an extent's item of {in_bytes(len(raw))}")
    (flags,) = struct.unpack_from("<Q", raw, 16)
    if not flags & _IS_NODE:
        return ""
    at = _HEAD if skinny else _HEAD + _BLOCK_INFO
    if len(raw) >= at + 9 and raw[at] == _TREE_REF:
        (tree,) = struct.unpack_from("<Q", raw, at + 1)
        return _TREES.get(tree, f"tree of subvolume {tree}")
    return "node that several subvolumes share"


def joined(pieces: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yields first bytes and lengths, rising, of what pieces cover."""
    start = end = 0
    for place, length in sorted(pieces):
        if place > end:
            if end > start:
                yield start, end - start
            start = place
        end = max(end, place + length)
    if end > start:
        yield start, end - start


def between(pieces: list[tuple[int, int]], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yields what of a range no piece covers.

    Args:
        pieces: First bytes and lengths, rising and apart.
        start, end: The range, its end excluded.
    """
    # One that begins before the range may reach into it.
    index = max(bisect_left(pieces, (start, 0)) - 1, 0)
    for place, length in islice(pieces, index, None):
        if place >= end:
            break
        if place > start:
            yield start, place - start
        start = max(start, place + length)
    if start < end:
        yield start, end - start
