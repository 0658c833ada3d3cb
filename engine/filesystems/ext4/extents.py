"""How the blocks of a file are mapped, and how many blocks the map itself takes.

Source: Documentation/filesystems/ext4/ifork.rst of the Linux kernel.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.filesystems.ext4.format import BLOCK_SIZE

MAX_EXTENT = 32_768
"""Most blocks of one initialised extent."""

INODE_EXTENTS = 4
"""Extents, or index entries, that the inode itself holds."""

LEAF_EXTENTS = (BLOCK_SIZE - 12) // 12
"""Extents, or index entries, in a block of the tree: 12 bytes each, behind a header of 12."""

DIRECT_BLOCKS = 12
POINTERS = BLOCK_SIZE // 4
"""Block numbers in an indirect block (ext2, ext3)."""

Runs = tuple[tuple[int, int], ...]


def runs(size: int, ranges: tuple[tuple[int, int], ...] | None) -> Runs:
    """Returns the logical block runs (first block, count) that a file's data occupies.

    Args:
        size: Bytes of the file.
        ranges: Its data ranges (`Entry.extents`), or None when it has no holes.
    """
    if ranges is None:
        return ((0, -(-size // BLOCK_SIZE)),) if size else ()
    merged: list[tuple[int, int]] = []
    for offset, length in ranges:
        if not length:
            continue
        first, end = offset // BLOCK_SIZE, -(-(offset + length) // BLOCK_SIZE)
        if merged and first <= sum(merged[-1]):
            end = max(end, sum(merged[-1]))
            first = merged.pop()[0]
        merged.append((first, end - first))
    return tuple(merged)


def extent_count(runs: Runs) -> int:
    """Returns the extents of a file whose every run lies in one piece on the disk."""
    return sum(-(-count // MAX_EXTENT) for _, count in runs)


def tree_levels(extents: int) -> Iterator[int]:
    """Yields the number of blocks on each level of an extent tree, leaves first."""
    nodes = extents
    while nodes > INODE_EXTENTS:
        nodes = -(-nodes // LEAF_EXTENTS)
        yield nodes


def tree_blocks(extents: int) -> int:
    """Returns the blocks of the tree outside the inode."""
    return sum(tree_levels(extents))


def indirect_blocks(runs: Runs) -> int:
    """Returns the indirect blocks of a file of ext2 or ext3."""
    blocks = 0
    for level in range(3):
        span = POINTERS ** (level + 1)
        last = (0, -1)
        for depth, first, end in _areas(runs, level):
            start, stop = first // span, (end - 1) // span + 1
            if (depth, start) == last:
                start += 1
            blocks += stop - start
            last = (depth, stop - 1)
    return blocks


def _areas(runs: Runs, level: int) -> Iterator[tuple[int, int, int]]:
    """Splits runs by the indirect areas that have a given level (0 points to data).

    Yields:
        The area's depth (0 single, 1 double, 2 triple), first block and end within the area.
    """
    for first, count in runs:
        base = DIRECT_BLOCKS
        for depth in range(3):
            length = POINTERS ** (depth + 1)
            low, high = max(first - base, 0), min(first + count - base, length)
            if depth >= level and low < high:
                yield depth, low, high
            base += length
