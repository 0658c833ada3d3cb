"""Names every part of a FAT file system: boot sectors, tables, whose clusters."""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator

from engine.compare.regions import Region
from engine.filesystems.fat.reader import FatFilesystem
from engine.image.reading import walk
from engine.inspect.report import text

_INFORMATION_AT = 48
"""Number of the information sector in the boot sector; that of the backup follows."""


def regions(fat: FatFilesystem, start: int, where: str) -> Iterator[Region]:
    """Yields the regions of a file system that begins at byte `start` of its disk."""
    yield Region(start, start + fat.sector, f"{where}, FAT boot sector")
    at = fat.sector
    for sector, what in _reserved_sectors(fat):
        yield Region(start + at, start + sector * fat.sector, f"{where}, reserved sectors of FAT")
        at = (sector + 1) * fat.sector
        yield Region(start + sector * fat.sector, start + at, f"{where}, {what}")
    yield Region(start + at, start + fat.table_at, f"{where}, reserved sectors of FAT")
    for number in range(fat.tables):
        at = start + fat.table_at + number * fat.table_size
        yield Region(at, at + fat.table_size, f"{where}, file allocation table {number + 1}")
    root = fat.lookup(b"")
    assert root is not None
    if not root.inode:
        yield Region(start + fat.root_at, start + fat.data_at, f"{where}, root directory")
    taken: set[int] = set()
    for node in (root, *walk(fat)):
        kind = "directory" if stat.S_ISDIR(node.mode) else "data"
        for place in fat.blocks_of(node):
            if place in taken:  # two files in one chain: damage, and no reason to go on with it
                break
            taken.add(place)
            at = start + place
            yield Region(at, at + fat.block_size, f"{where}, {kind} of /{text(node.path)}")


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
