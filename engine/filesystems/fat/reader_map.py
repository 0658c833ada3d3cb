"""Names every part of a FAT file system, and tells which of its clusters nothing uses."""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.image.reading import runs, walk
from engine.problem import text

if TYPE_CHECKING:
    from engine.filesystems.fat.reader import FatFilesystem

_INFORMATION_AT = 48
"""Number of the information sector in the boot sector; that of the backup follows."""


def structures(fat: FatFilesystem) -> Iterator[tuple[int, int, str]]:
    """See `Described.structures`."""
    yield 0, fat.sector, "FAT boot sector"
    at = fat.sector
    for sector, what in _reserved_sectors(fat):
        yield at, sector * fat.sector - at, "reserved sectors of FAT"
        yield sector * fat.sector, fat.sector, what
        at = (sector + 1) * fat.sector
    yield at, fat.table_at - at, "reserved sectors of FAT"
    for number in range(fat.tables):
        at = fat.table_at + number * fat.table_size
        yield at, fat.table_size, f"file allocation table {number + 1}"
    root = fat.lookup(b"")
    assert root is not None
    if not root.inode:
        yield fat.root_at, fat.data_at - fat.root_at, "root directory"
    taken: set[int] = set()
    for node in (root, *walk(fat)):
        kind = "directory" if stat.S_ISDIR(node.mode) else "data"
        for place in fat.blocks_of(node):
            if place in taken:  # two files in one chain: damage, and no reason to go on with it
                break
            taken.add(place)
            yield place, fat.block_size, f"{kind} of /{text(node.path)}"


def unused(fat: FatFilesystem) -> Iterator[tuple[int, int]]:
    """See `Described.unused`: the clusters that the first table calls free."""
    for first, count in runs(fat.free_clusters()):
        yield fat.place(first), count * fat.block_size


def _reserved_sectors(fat: FatFilesystem) -> list[tuple[int, str]]:
    """Returns the numbers of those reserved sectors that have a use, rising."""
    if fat.bits != 32:
        return []
    information, backup = struct.unpack_from("<HH", fat.boot_sector, _INFORMATION_AT)
    named = {
        information: "FAT information sector",
        backup: "backup of the FAT boot sector",
        backup + 1: "backup of the FAT information sector",
    }
    return sorted((at, what) for at, what in named.items() if 0 < at * fat.sector < fat.table_at)
