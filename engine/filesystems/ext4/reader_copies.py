"""Finds an ext file system whose first superblock is gone, by a copy of that in another group.

Source: Documentation/filesystems/ext4/blockgroup.rst and super.rst of the Linux kernel; mke2fs(8)
for the blocks of a group, which are as many as a block has bits unless it is told otherwise.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from engine.filesystems.ext4.reader import MAGIC, SUPERBLOCK_AT, ExtFilesystem
from engine.image.container import BadImage
from engine.image.copied import Copied, with_copy
from engine.image.reading import Window

_SIZE = 1024
_GROUPS = (1, 3, 5, 7, 9, 25)
"""The first of those that have copies everywhere."""
_BLOCKS = tuple(1 << bits for bits in range(10, 17))
_CLUSTERS = (1, 16)
"""Blocks of a cluster: without bigalloc, and as mke2fs makes them with it."""
_NUMBER_AT = 0x5A


def copied(window: Window) -> Copied | None:
    """Returns what the first copy that fits says, or None if there is none."""
    for block, number, group in _places(window.size):
        at = block * number
        if window.read(at + 0x38, 2) != struct.pack("<H", MAGIC):
            continue
        raw = window.read(at, _SIZE)
        try:
            found = ExtFilesystem(with_copy(window, SUPERBLOCK_AT, raw))
        except (BadImage, struct.error):
            continue
        (own,) = struct.unpack_from("<H", raw, _NUMBER_AT)
        fits = (
            found.block_size == block and found.size <= window.size and own == group
            and found.layout.has_superblock(group) and found.layout.start(group) == number
            and found.sums.superblock()
        )  # fmt: skip
        if fits:
            return Copied(found, "first superblock", at, f"run e2fsck -b {number} -B {block}")
    return None


def _places(size: int) -> Iterator[tuple[int, int, int]]:
    """Yields bytes of a block, the number of one that may have a copy, and its group."""
    for block in _BLOCKS:
        first = 1 if block == _SIZE else 0
        for cluster in _CLUSTERS:
            length = 8 * block * cluster
            last = (size // block - first - 1) // length
            # With sparse_super2 the last group has a copy, and the second one.
            for group in dict.fromkeys((*(one for one in _GROUPS if one < last), last)):
                number = first + group * length
                if group > 0 and block * number + _SIZE <= size:
                    yield block, number, group
