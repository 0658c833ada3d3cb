"""Which bytes of a disk no table and no file system uses: their contents do not matter."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from engine.filesystems.ext4.reader import ExtFilesystem
from engine.filesystems.fat.reader import FatFilesystem
from engine.image.container import BadImage
from engine.image.reading import describes_itself
from engine.inspect.image import Image, Part

_BLOCK_UNINIT = 0x2
_FLAGS_AT = 0x12
_RESERVED_GDT_AT = 0xCE
_RESERVED_FOR_TABLE = 128 * 128


def unused(image: Image) -> Iterator[tuple[int, int]]:
    """Yields the unused ranges (offset, length) of a disk, rising.

    What lies between partitions counts as unused, but for the room of a table and its backup; a
    partition whose contents no reader knows counts as used whole.
    """
    reserved = 0
    if image.table.kind != "none":
        reserved = 2 * image.table.sector_size + _RESERVED_FOR_TABLE
    at = reserved
    for part in sorted(image.parts, key=lambda part: part.window.start):
        start, end = part.window.start, part.window.start + part.window.size
        if start > at:
            yield at, start - at
        for offset, length in _unused_of(part):
            yield start + offset, length
        at = max(at, end)
    if image.disk.size - reserved > at:
        yield at, image.disk.size - reserved - at


def _unused_of(part: Part) -> Iterator[tuple[int, int]]:
    """Yields the unused ranges of a partition; none, if its file system is damaged."""
    filesystem = part.content
    try:
        if isinstance(filesystem, ExtFilesystem):
            found = list(_runs(_free_blocks(filesystem)))
            yield from ((at * filesystem.block_size, n * filesystem.block_size) for at, n in found)
        elif isinstance(filesystem, FatFilesystem):
            for first, count in list(_runs(filesystem.free_clusters())):
                yield filesystem.place(first), count * filesystem.block_size
        elif describes_itself(filesystem):
            yield from list(filesystem.unused())
    except (BadImage, struct.error):
        return


def _runs(numbers: Iterator[int]) -> Iterator[tuple[int, int]]:
    """Joins rising numbers into runs (first, count)."""
    first = count = 0
    for number in numbers:
        if count and number == first + count:
            count += 1
            continue
        if count:
            yield first, count
        first, count = number, 1
    if count:
        yield first, count


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
