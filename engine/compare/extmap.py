"""Names every block of an ext file system: superblock, descriptors, tables, journal, whose data."""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator

from engine.compare.regions import Region, RegionMap
from engine.inspect.ext import ExtFilesystem, has_backup
from engine.inspect.reading import Node, walk

_RESIZE_INODE, _JOURNAL_INODE = 7, 8
_SUPERBLOCK = 1024


def regions(ext: ExtFilesystem, start: int, where: str) -> Iterator[Region]:
    """Yields the regions of a file system that begins at byte `start` of its disk.

    Args:
        ext: The file system.
        start: Its first byte on the disk.
        where: What its partition is called in the report.
    """
    unit = ext.block_size

    def region(block: int, count: int, what: str) -> Region:
        at = start + block * unit
        return Region(at, at + count * unit, f"{where}, {what}")

    yield Region(start, start + _SUPERBLOCK, f"{where}, boot block")
    yield Region(start + 1024, start + 1024 + _SUPERBLOCK, f"{where}, superblock")
    first = ext.first_block
    descriptor_blocks = -(-ext.groups * ext.descriptor_size // unit)
    for group in range(ext.groups):
        at = first + group * ext.blocks_per_group
        if group and has_backup(ext, group):
            yield region(at, 1, f"backup superblock of group {group}")
            yield region(at + 1, descriptor_blocks, f"backup group descriptors of group {group}")
        elif group == 0:
            yield region(at + 1, descriptor_blocks, "group descriptors")
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
            names[node.inode] = f"/{node.path.decode('utf-8', 'backslashreplace')}"
            kind = "directory" if stat.S_ISDIR(node.mode) else "data"
            yield from _of(ext, node, start, f"{where}, {kind} of {names[node.inode]}")
    yield from _inode_tables(ext, start, where, names)


def _inode_tables(
    ext: ExtFilesystem, start: int, where: str, names: dict[int, str]
) -> Iterator[Region]:
    """Yields each inode in use by itself, and what lies between them."""
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


SUPERBLOCK_FIELDS: tuple[tuple[str, int, str], ...] = (
    # Name, offset, struct format: Documentation/filesystems/ext4/super.rst.
    ("inodes", 0x00, "<I"), ("blocks (low)", 0x04, "<I"), ("reserved blocks (low)", 0x08, "<I"),
    ("free blocks (low)", 0x0C, "<I"), ("free inodes", 0x10, "<I"),
    ("first data block", 0x14, "<I"), ("log block size", 0x18, "<I"),
    ("blocks per group", 0x20, "<I"), ("inodes per group", 0x28, "<I"),
    ("mount time", 0x2C, "<I"), ("write time", 0x30, "<I"), ("mount count", 0x34, "<H"),
    ("maximum mount count", 0x36, "<H"), ("state", 0x3A, "<H"), ("errors", 0x3C, "<H"),
    ("last check", 0x40, "<I"), ("check interval", 0x44, "<I"), ("creator OS", 0x48, "<I"),
    ("revision", 0x4C, "<I"), ("reserved uid", 0x50, "<H"), ("reserved gid", 0x52, "<H"),
    ("first inode", 0x54, "<I"), ("inode size", 0x58, "<H"), ("compatible features", 0x5C, "<I"),
    ("incompatible features", 0x60, "<I"), ("read-only features", 0x64, "<I"),
    ("uuid", 0x68, "16s"), ("label", 0x78, "16s"), ("last mounted on", 0x88, "64s"),
    ("reserved GDT blocks", 0xCE, "<H"), ("journal uuid", 0xD0, "16s"),
    ("journal inode", 0xE0, "<I"), ("last orphan", 0xE8, "<I"), ("hash seed", 0xEC, "16s"),
    ("hash version", 0xFC, "<B"), ("descriptor size", 0xFE, "<H"),
    ("mount options", 0x100, "<I"), ("creation time", 0x108, "<I"),
    ("journal backup", 0x10C, "68s"), ("blocks (high)", 0x150, "<I"),
    ("free blocks (high)", 0x158, "<I"), ("minimum extra isize", 0x15C, "<H"),
    ("flags", 0x160, "<I"), ("kibibytes written", 0x178, "<Q"), ("error count", 0x194, "<I"),
    ("checksum seed", 0x270, "<I"), ("checksum", 0x3FC, "<I"),
)  # fmt: skip


def superblock_fields(raw: bytes) -> dict[str, str]:
    """Returns the named fields of a superblock, as text."""
    fields = {}
    for name, offset, form in SUPERBLOCK_FIELDS:
        (value,) = struct.unpack_from(form, raw, offset)
        fields[name] = value.hex() if isinstance(value, bytes) else str(value)
    return fields
