"""Finds an XFS whose first superblock is gone, by the copy that its second group begins with.

Source: "XFS Algorithms & Data Structures", 3rd edition, chapter "Allocation Groups"; mkfs.xfs(8),
which makes four groups of a disk, unless that is small, large or told to be one of several.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from engine.filesystems.xfs.reader import Xfs
from engine.filesystems.xfs.reader_superblock import MAGIC, SIZE, sector_size
from engine.image.container import BadImage
from engine.image.copied import Copied, with_copy
from engine.image.reading import Window

_BLOCKS = (4096, 1024, 512, 2048)
_MOST_GROUPS = 32


def copied(window: Window) -> Copied | None:
    """Returns what the copy says if it fits, or None."""
    for at in _places(window.size):
        if window.read(at, len(MAGIC)) != MAGIC:
            continue
        try:
            raw = window.read(at, sector_size(window.read(at, SIZE)))
            found = Xfs(with_copy(window, 0, raw))
        except (BadImage, struct.error):
            continue
        superblock = found.superblock
        second = superblock.group_blocks * superblock.block_size == at
        if second and superblock.groups > 1 and found.size <= window.size:
            return Copied(found, "first superblock", at, "run xfs_repair, which looks for copies")
    return None


def _places(size: int) -> Iterator[int]:
    """Yields where the second group may begin, of as many as there may be."""
    places = (
        -(-(size // block) // groups) * block
        for groups in (4, *range(2, _MOST_GROUPS + 1))
        for block in _BLOCKS
    )
    return (at for at in dict.fromkeys(places) if at + SIZE <= size)
