"""Where the data of an inode is: the extent tree of ext4, the indirect blocks of ext2 and ext3.

Source: Documentation/filesystems/ext4/ifork.rst of the Linux kernel; what makes a tree invalid is
in fs/ext4/extents.c (ext4_valid_extent_entries).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from engine.filesystems.ext4.reader_checksums import Checksums
from engine.image.reading import BadFilesystem

EXTENTS_FLAG, INLINE_FLAG = 0x80000, 0x10000000

_EXTENT_MAGIC = 0xF30A
_DIRECTORY, _LINK, _REGULAR = 0o040000, 0o120000, 0o100000
_MAX_DEPTH = 5
_WRITTEN = 32768
"""Blocks of the longest extent; above, it is allocated but not written, and reads as zeros."""
_MAX_EXTENTS = 1 << 20
_EVERYTHING = 1 << 62
_AREA = slice(40, 100)
_FAST_LINK = 60

Run = tuple[int, int, int]
"""First block of the file, first block on the disk, count."""


class BlockMap:
    """The maps of the inodes of one file system."""

    def __init__(
        self, block: Callable[[int], bytes], block_size: int, blocks: int, sums: Checksums
    ) -> None:
        self._block = block
        self._block_size = block_size
        self._blocks = blocks
        self._sums = sums

    def runs(self, number: int, inode: bytes, size: int) -> Iterator[Run]:
        """Yields where the first `size` bytes of an inode's data are, holes left out.

        Raises:
            BadFilesystem: The map is damaged.
        """
        flags = _flags(inode)
        if flags & EXTENTS_FLAG:
            written = (run[:3] for run in self._extents(number, inode) if run[3])
            yield from self._bounded(written)
        else:
            yield from self._bounded(_joined(self._mapped_blocks(inode[_AREA], size)))

    def allocated(self, number: int, inode: bytes) -> Iterator[Run]:
        """Yields all blocks of data that an inode has, whether they were written or not.

        Raises:
            BadFilesystem: The map is damaged.
        """
        if not _has_map(inode):
            return
        if _flags(inode) & EXTENTS_FLAG:
            yield from self._bounded(run[:3] for run in self._extents(number, inode))
        else:
            yield from self._bounded(_joined(self._mapped_blocks(inode[_AREA], _EVERYTHING)))

    def blocks(self, number: int, inode: bytes) -> Iterator[int]:
        """Yields the blocks that hold an inode's map.

        Raises:
            BadFilesystem: The map is damaged.
        """
        if not _has_map(inode):
            return
        if _flags(inode) & EXTENTS_FLAG:
            yield from (block for block, _, _ in self._nodes(number, inode) if block)
        else:
            for slot, block in enumerate(struct.unpack("<3I", inode[88:100])):
                yield from self._pointer_blocks(block, slot, set())

    def _bounded(self, runs: Iterator[Run]) -> Iterator[Run]:
        taken = 0
        for count, (logical, physical, length) in enumerate(runs):
            taken += length
            if count >= _MAX_EXTENTS or physical + length > self._blocks or taken > self._blocks:
                raise BadFilesystem(f"extent of {length} blocks at {physical} of {self._blocks}")
            yield logical, physical, length

    def _nodes(self, number: int, inode: bytes) -> Iterator[tuple[int, bytes, int]]:
        """Yields the nodes of an extent tree in order: block (0: the inode), bytes, depth."""
        pending: list[tuple[int, bytes, int | None, int | None]] = [(0, inode[_AREA], None, None)]
        seen: set[int] = set()
        while pending:
            place, node, wanted, begin = pending.pop()
            magic, entries, most, depth, first = struct.unpack_from("<HHHH4xI", node)
            if (
                magic != _EXTENT_MAGIC or depth > _MAX_DEPTH or wanted not in {None, depth}
                or entries > most or 12 + entries * 12 > len(node) or (depth and not entries)
            ):  # fmt: skip
                raise BadFilesystem(f"extent node: magic {magic:#x}, depth {depth}, {entries}")
            if begin is not None and entries and first != begin:
                raise BadFilesystem(f"extent node at {place}: begins at {first}, not at {begin}")
            if place and not self._sums.extents(number, inode, node):
                raise BadFilesystem(f"extent node at {place} does not match its checksum")
            yield place, node, depth
            if depth:
                below = []
                for at in range(12, 12 + entries * 12, 12):
                    logical, low, high = struct.unpack_from("<IIH", node, at)
                    block = _new(low | high << 32, seen)
                    below.append((block, self._block(block), depth - 1, logical))
                pending += reversed(below)

    def _extents(self, number: int, inode: bytes) -> Iterator[tuple[int, int, int, bool]]:
        """Yields runs, and whether each was written."""
        folder = _kind(inode) == _DIRECTORY
        end = 0
        for _, node, depth in self._nodes(number, inode):
            if depth:
                continue
            (entries,) = struct.unpack_from("<H", node, 2)
            for at in range(12, 12 + entries * 12, 12):
                logical, length, high, low = struct.unpack_from("<IHHI", node, at)
                written = length <= _WRITTEN
                if not length:
                    raise BadFilesystem(f"an extent of no blocks at {logical}")
                if logical < end:
                    raise BadFilesystem("its extents overlap")
                if folder and not written:
                    raise BadFilesystem("a directory with blocks that were never written")
                count = length if written else length - _WRITTEN
                end = logical + count
                yield logical, low | high << 32, count, written

    def _mapped_blocks(self, area: bytes, size: int) -> Iterator[tuple[int, int]]:
        total = -(-size // self._block_size)
        pointers = struct.unpack("<15I", area)
        per_block = self._block_size // 4
        logical = 0
        seen: set[int] = set()
        for slot, block in enumerate(pointers):
            depth = max(slot - 11, 0)
            for at, number in self._leaves(block, depth, logical, seen):
                if at >= total:
                    return
                yield at, number
            logical += per_block**depth

    def _leaves(
        self, block: int, depth: int, logical: int, seen: set[int]
    ) -> Iterator[tuple[int, int]]:
        if not block:
            return
        if depth == 0:
            yield logical, block
            return
        per_block = self._block_size // 4
        step = per_block ** (depth - 1)
        pointers = struct.unpack(f"<{per_block}I", self._block(_new(block, seen)))
        for index, below in enumerate(pointers):
            yield from self._leaves(below, depth - 1, logical + index * step, seen)

    def _pointer_blocks(self, block: int, depth: int, seen: set[int]) -> Iterator[int]:
        if not block:
            return
        yield _new(block, seen)
        if depth:
            for below in struct.unpack(f"<{self._block_size // 4}I", self._block(block)):
                yield from self._pointer_blocks(below, depth - 1, seen)


def _kind(inode: bytes) -> int:
    return int(struct.unpack_from("<H", inode)[0]) & 0o170000


def _flags(inode: bytes) -> int:
    return int(struct.unpack_from("<I", inode, 32)[0])


def _has_map(inode: bytes) -> bool:
    """Whether an inode has blocks of data: a short link's target is where others have their map."""
    flags, kind = _flags(inode), _kind(inode)
    (size,) = struct.unpack_from("<I", inode, 4)
    if kind == _LINK and size < _FAST_LINK and not flags & EXTENTS_FLAG:
        return False
    return kind in {_REGULAR, _DIRECTORY, _LINK} and not flags & INLINE_FLAG


def _new(block: int, seen: set[int]) -> int:
    """Returns a block of a map that was not met before: a map that repeats one has no end."""
    if block in seen:
        raise BadFilesystem(f"block {block} is twice in one file's map")
    seen.add(block)
    return block


def _joined(blocks: Iterator[tuple[int, int]]) -> Iterator[Run]:
    """Yields runs of blocks (of the file, on the disk)."""
    first = place = count = 0
    for logical, physical in blocks:
        if count and (logical, physical) == (first + count, place + count):
            count += 1
            continue
        if count:
            yield first, place, count
        first, place, count = logical, physical, 1
    if count:
        yield first, place, count
