"""Reads as much of a damaged file system as can be read, and tells what cannot."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Callable, Iterator
from itertools import chain

from engine.image.container import BadImage
from engine.image.reading import BadFilesystem, Filesystem, Listed, Node, Numbered, lists, walk
from engine.manifest.tar import Ranges
from engine.spec.filesystems import FILESYSTEMS
from engine.units import in_bytes

Damaged = Callable[[bytes, object], None]
"""Told the path of what cannot be read, or not whole, and why."""

_LOGICAL_BLOCKS = 1 << 32
"""Blocks of a file, as ext and EROFS count them."""


def children(filesystem: Filesystem, node: Node, damaged: Damaged) -> Iterator[Node]:
    """Yields those entries of a directory that can be read, sorted by name."""
    try:
        if isinstance(filesystem, Numbered):
            yield from _inodes(filesystem, node, damaged)
        elif lists(filesystem):
            yield from sorted(_entries(filesystem, node, damaged), key=lambda child: child.path)
        else:
            yield from filesystem.children(node)
    except (BadImage, OSError) as error:
        damaged(node.path, error)


def data(filesystem: Filesystem, node: Node, damaged: Damaged) -> Iterator[tuple[int, bytes]]:
    """Yields the data of a file, offset and bytes, up to where it cannot be read."""
    source = filesystem.data(node)
    end = 0
    while True:
        try:
            piece = next(source, None)
        except (BadImage, OSError) as error:
            damaged(node.path, f"zeros from byte {end} on: {error}")
            return
        if piece is None:
            return
        end = piece[0] + len(piece[1])
        yield piece


def least_bytes(filesystem: Filesystem, top: Node, tick: Callable[[], None]) -> int:
    """Returns the bytes of data at and below a node, as far as the tree is sound.

    Args:
        filesystem: Where it is.
        top: A file or directory.
        tick: Called for every entry.
    """
    total = 0
    counted: set[int] = set()
    with contextlib.suppress(BadImage, OSError):
        for node in chain([top], walk(filesystem, top) if stat.S_ISDIR(top.mode) else ()):
            tick()
            if not stat.S_ISREG(node.mode) or node.inode in counted:
                continue
            if node.links > 1:
                counted.add(node.inode)
            total += sum(length for _, length in data_ranges(filesystem, node))
    return total


def keeps_holes(filesystem: Filesystem) -> bool:
    """Whether the extents of a file system's nodes tell where a file has data."""
    row = FILESYSTEMS.get(filesystem.type)
    return row is not None and "holes" in row.keeps


def data_ranges(filesystem: Filesystem, node: Node) -> Ranges:
    """Returns where a file has data: (offset, length), rising, joined where they touch.

    Raises:
        BadFilesystem: No such file can be: it is too large, or its extents overlap.
    """
    if not keeps_holes(filesystem):
        return ((0, node.size),) if node.size else ()
    most = _LOGICAL_BLOCKS * filesystem.block_size
    if node.size > most:
        raise BadFilesystem(f"a size of {in_bytes(node.size)}, {most:,} at most")
    ranges: list[tuple[int, int]] = []
    end = 0
    for offset, _, length in node.extents:
        if offset < end:
            raise BadFilesystem("its extents overlap")
        stored = min(length, node.size - offset)
        if stored <= 0:
            break
        if ranges and offset == end:
            ranges[-1] = ranges[-1][0], ranges[-1][1] + stored
        else:
            ranges.append((offset, stored))
        end = offset + length
    return tuple(ranges)


def _inodes(filesystem: Numbered, node: Node, damaged: Damaged) -> Iterator[Node]:
    prefix = node.path + b"/" if node.path else b""
    last = None
    for name, number in sorted(_names(filesystem, node, damaged)):
        if name == last:
            damaged(prefix + name, "the directory has this name twice; one of the two is kept")
            continue
        last = name
        try:
            child = filesystem.node(number, prefix + name)
        except (BadImage, OSError) as error:
            damaged(prefix + name, error)
        else:
            yield child


def _entries(filesystem: Listed, node: Node, damaged: Damaged) -> Iterator[Node]:
    """Yields what stands in a directory before the first damage."""
    try:
        yield from filesystem.listed(node)
    except (BadImage, OSError) as error:
        damaged(node.path, error)


def _names(filesystem: Numbered, node: Node, damaged: Damaged) -> Iterator[tuple[bytes, int]]:
    """Yields the names of a directory that stand before the first damage."""
    try:
        yield from filesystem.names(node)
    except (BadImage, OSError) as error:
        damaged(node.path, error)
