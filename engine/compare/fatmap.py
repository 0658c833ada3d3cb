"""Names every part of a FAT file system: boot sectors, tables, whose clusters."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from engine.compare.regions import Region
from engine.inspect.fat import FatFilesystem
from engine.inspect.reading import walk


def regions(fat: FatFilesystem, start: int, where: str) -> Iterator[Region]:
    """Yields the regions of a file system that begins at byte `start` of its disk."""
    yield Region(start, start + fat.sector, f"{where}, FAT boot sector")
    yield Region(start + fat.sector, start + fat.table_at, f"{where}, reserved sectors of FAT")
    for number in range(fat.tables):
        at = start + fat.table_at + number * fat.table_size
        yield Region(at, at + fat.table_size, f"{where}, file allocation table {number + 1}")
    root = fat.lookup(b"")
    assert root is not None
    if not root.inode:
        yield Region(start + fat.root_at, start + fat.data_at, f"{where}, root directory")
    for node in (root, *walk(fat)):
        kind = "directory" if stat.S_ISDIR(node.mode) else "data"
        name = node.path.decode("utf-8", "backslashreplace")
        for cluster in fat.clusters_of(node):
            at = start + fat.place(cluster)
            yield Region(at, at + fat.block_size, f"{where}, {kind} of /{name}")
