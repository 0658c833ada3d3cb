"""Names every block of an ext file system: superblock, descriptors, tables, journal, whose data."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from engine.compare.regions import Region, RegionMap
from engine.filesystems.ext4.reader import ExtFilesystem
from engine.image.reading import BadFilesystem, Node, walk
from engine.inspect.report import text

_RESIZE_INODE, _JOURNAL_INODE = 7, 8
_SUPERBLOCK = 1024
_MAX_GROUPS = 1 << 16
"""8 TiB at 4096-byte blocks; each group has regions of its own."""


def regions(ext: ExtFilesystem, start: int, where: str) -> Iterator[Region]:
    """Yields the regions of a file system that begins at byte `start` of its disk.

    Args:
        ext: The file system.
        start: Its first byte on the disk.
        where: What its partition is called in the report.

    Raises:
        BadImage: A structure is damaged, or there are more groups than can be mapped.
    """
    if ext.groups > _MAX_GROUPS:
        raise BadFilesystem(f"{ext.groups} groups; at most {_MAX_GROUPS} are mapped")
    unit = ext.block_size

    def region(block: int, count: int, what: str) -> Region:
        at = start + block * unit
        return Region(at, at + count * unit, f"{where}, {what}")

    yield Region(start, start + _SUPERBLOCK, f"{where}, boot block")
    yield Region(start + 1024, start + 1024 + _SUPERBLOCK, f"{where}, superblock")
    own = {ext.layout.place(group)[0] for group in range(ext.groups)}
    for group in range(ext.groups):
        if group and ext.layout.has_superblock(group):
            yield region(ext.layout.start(group), 1, f"backup superblock of group {group}")
        for block in ext.layout.descriptors(group):
            what = "group descriptors"
            yield region(block, 1, what if block in own else f"backup {what} of group {group}")
        block_bitmap, inode_bitmap, _ = ext.tables(group)
        yield region(block_bitmap, 1, f"block bitmap of group {group}")
        yield region(inode_bitmap, 1, f"inode bitmap of group {group}")
    names = {_RESIZE_INODE: "resize inode", _JOURNAL_INODE: "journal"}
    for number, what in names.items():
        yield from _of(ext, ext.node(number, b""), start, f"{where}, {what}")
    root = ext.lookup(b"")
    assert root is not None
    for node in (root, *walk(ext)):
        if node.inode not in names:
            names[node.inode] = f"/{text(node.path)}"
            kind = "directory" if stat.S_ISDIR(node.mode) else "data"
            yield from _of(ext, node, start, f"{where}, {kind} of {names[node.inode]}")
    yield from _inode_tables(ext, start, where, names)


def _inode_tables(
    ext: ExtFilesystem, start: int, where: str, names: dict[int, str]
) -> Iterator[Region]:
    """Yields each inode in use separately, and what lies between them."""
    size = ext.inode_size
    used = sorted(names)
    at = 0
    for group in range(ext.groups):
        table = start + ext.tables(group)[2] * ext.block_size
        first = group * ext.inodes_per_group + 1
        known = []
        while at < len(used) and used[at] < first + ext.inodes_per_group:
            place = table + (used[at] - first) * size
            what = f"{where}, inode {used[at]} ({names[used[at]]})"
            known.append(Region(place, place + size, what))
            at += 1
        rest = f"{where}, inodes of group {group} that no name leads to"
        yield from RegionMap(known, rest).cut(table, table + ext.inodes_per_group * size)


def _of(ext: ExtFilesystem, node: Node, start: int, what: str) -> Iterator[Region]:
    for _, place, length in node.extents:
        yield Region(start + place, start + place + length, what)
    for block in ext.map_blocks(node.inode):
        at = start + block * ext.block_size
        yield Region(at, at + ext.block_size, f"{what} (its block map or attributes)")
