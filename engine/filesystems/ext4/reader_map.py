"""Names every block of an ext file system, and tells which of them nothing uses.

Source: Documentation/filesystems/ext4 of the Linux kernel.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.image.reading import BadFilesystem, Node, runs, walk
from engine.problem import text

if TYPE_CHECKING:
    from engine.filesystems.ext4.reader import ExtFilesystem

_RESIZE_INODE, _JOURNAL_INODE = 7, 8
_SUPERBLOCK = 1024
_MAX_GROUPS = 1 << 16
"""8 TiB at 4096-byte blocks; each group has structures of its own."""
_BLOCK_UNINIT = 0x2
_FLAGS_AT = 0x12
_RESERVED_GDT_AT = 0xCE

_Structure = tuple[int, int, str]
"""First byte in the window, bytes, what it is."""


def structures(ext: ExtFilesystem) -> Iterator[_Structure]:
    """See `Described.structures`.

    Raises:
        BadImage: A structure is damaged, or there are more groups than can be mapped.
    """
    if ext.groups > _MAX_GROUPS:
        raise BadFilesystem(f"{ext.groups} groups; at most {_MAX_GROUPS} are mapped")
    unit = ext.block_size
    yield 0, _SUPERBLOCK, "boot block"
    yield 1024, _SUPERBLOCK, "superblock"
    own = {ext.layout.place(group)[0] for group in range(ext.groups)}
    for group in range(ext.groups):
        if group and ext.layout.has_superblock(group):
            yield ext.layout.start(group) * unit, unit, f"backup superblock of group {group}"
        for block in ext.layout.descriptors(group):
            what = "group descriptors"
            what = what if block in own else f"backup {what} of group {group}"
            yield block * unit, unit, what
        block_bitmap, inode_bitmap, _ = ext.tables(group)
        yield block_bitmap * unit, unit, f"block bitmap of group {group}"
        yield inode_bitmap * unit, unit, f"inode bitmap of group {group}"
    names = {_RESIZE_INODE: "resize inode", _JOURNAL_INODE: "journal"}
    for number, what in names.items():
        yield from _of(ext, ext.node(number, b""), what)
    root = ext.lookup(b"")
    assert root is not None
    for node in (root, *walk(ext)):
        if node.inode not in names:
            names[node.inode] = f"/{text(node.path)}"
            kind = "directory" if stat.S_ISDIR(node.mode) else "data"
            yield from _of(ext, node, f"{kind} of {names[node.inode]}")
    yield from _inode_tables(ext, names)


def _inode_tables(ext: ExtFilesystem, names: dict[int, str]) -> Iterator[_Structure]:
    """Yields each inode in use separately, and what lies between them."""
    size = ext.inode_size
    used = sorted(names)
    at = 0
    for group in range(ext.groups):
        table = ext.tables(group)[2] * ext.block_size
        first = group * ext.inodes_per_group + 1
        place, end = table, table + ext.inodes_per_group * size
        rest = f"inodes of group {group} that no name leads to"
        while at < len(used) and used[at] < first + ext.inodes_per_group:
            inode = table + (used[at] - first) * size
            yield place, inode - place, rest
            yield inode, size, f"inode {used[at]} ({names[used[at]]})"
            place = inode + size
            at += 1
        yield place, end - place, rest


def _of(ext: ExtFilesystem, node: Node, what: str) -> Iterator[_Structure]:
    for _, place, length in node.extents:
        yield place, length, what
    for block in ext.map_blocks(node.inode):
        yield block * ext.block_size, ext.block_size, f"{what} (its block map or attributes)"


def unused(ext: ExtFilesystem) -> Iterator[tuple[int, int]]:
    """See `Described.unused`: the blocks that the bitmaps call free."""
    unit = ext.block_size
    yield from ((first * unit, count * unit) for first, count in runs(_free_blocks(ext)))


def _free_blocks(ext: ExtFilesystem) -> Iterator[int]:
    ratio = ext.layout.ratio
    metadata = {block // ratio for block in _placed_metadata(ext)}
    for group in range(ext.groups):
        first = ext.first_block + group * ext.blocks_per_group
        end = min(first + ext.blocks_per_group, ext.blocks)
        (flags,) = struct.unpack_from("<H", ext.descriptor(group), _FLAGS_AT)
        if flags & _BLOCK_UNINIT:
            copies = {block // ratio for block in _copies(ext, group)}
            for block in range(first, end):
                if block // ratio not in copies and block // ratio not in metadata:
                    yield block
            continue
        bitmap = ext.block(ext.tables(group)[0])
        for index, cluster in enumerate(range(first, end, ratio)):
            if not bitmap[index >> 3] >> (index & 7) & 1:
                yield from range(cluster, min(cluster + ratio, end))


def _placed_metadata(ext: ExtFilesystem) -> frozenset[int]:
    """Returns the blocks of all bitmaps and inode tables: flex_bg puts them into any group."""
    table_blocks = -(-ext.inodes_per_group * ext.inode_size // ext.block_size)
    blocks: set[int] = set()
    for group in range(ext.groups):
        block_bitmap, inode_bitmap, table = ext.tables(group)
        blocks |= {block_bitmap, inode_bitmap, *range(table, table + table_blocks)}
    return frozenset(blocks)


def _copies(ext: ExtFilesystem, group: int) -> Iterator[int]:
    """Yields what a group without a bitmap of its own begins with."""
    layout = ext.layout
    copies = layout.descriptors(group)
    if layout.has_superblock(group):
        yield layout.start(group)
    yield from copies
    if layout.meta is None and copies:
        (reserved,) = struct.unpack_from("<H", ext.superblock, _RESERVED_GDT_AT)
        yield from range(copies.stop, copies.stop + reserved)
