"""Where the numbers stand that a reader of an image goes by: at most so many of each structure.

A mutation of such a number gets past what a random byte runs into: the magic, or data of a file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from engine.image.crc32c import crc32c

Field = tuple[int, str]
"""Offset, and how `struct` has the number."""

_MOST = 512


def qcow2(data: bytes) -> Sequence[Field]:
    """The header, the tables of both levels, the refcounts (QEMU, docs/interop/qcow2.txt)."""
    header: list[Field] = [
        (4, ">I"), (8, ">Q"), (16, ">I"), (20, ">I"), (24, ">Q"), (32, ">I"), (36, ">I"),
        (40, ">Q"), (48, ">Q"), (56, ">I"), (60, ">I"), (64, ">Q"), (72, ">Q"), (80, ">Q"),
        (96, ">I"), (100, ">I"), (104, ">B"),
    ]  # fmt: skip
    (bits,) = struct.unpack_from(">I", data, 20)
    entries, first, refcounts = struct.unpack_from(">IQQ", data, 36)
    levels = list(_array(">Q", first, entries, len(data)))
    for at, form in levels[:16]:
        (table,) = struct.unpack_from(form, data, at)
        levels += _array(">Q", table & 0x00FF_FFFF_FFFF_FE00, (1 << bits) // 8, len(data))
    used = [field for field in levels if any(data[field[0] : field[0] + 8])]
    return [*header, *used, *_array(">Q", refcounts, 4, len(data))]


def vdi(data: bytes) -> Sequence[Field]:
    """The header and the map of blocks (QEMU, block/vdi.c)."""
    header = [(at, "<I") for at in (0x44, 0x48, 0x4C, 0x154, 0x158, 0x168, 0x178, 0x17C, 0x180)]
    map_at, count = (struct.unpack_from("<I", data, at)[0] for at in (0x154, 0x180))
    return [*header, (0x170, "<Q"), *_array("<I", map_at, count, len(data))]


def vhd(data: bytes) -> Sequence[Field]:
    """Footer, dynamic header and table of blocks (Virtual Hard Disk Image Format, 1.0)."""
    footer = len(data) - 512
    fields: list[Field] = [
        (footer + at, form)
        for at, form in ((8, ">I"), (12, ">I"), (16, ">Q"), (40, ">Q"), (48, ">Q"), (60, ">I"))
    ]
    (header,) = struct.unpack_from(">Q", data, footer + 16)
    if header > len(data) - 1024:
        return fields
    fields += [(header + 8, ">Q"), (header + 16, ">Q"), (header + 28, ">I"), (header + 32, ">I")]
    table, count = (
        struct.unpack_from(f, data, header + at)[0] for at, f in ((16, ">Q"), (28, ">I"))
    )
    return [*fields, *_array(">I", table, count, len(data))]


def vhd_sums(data: bytes) -> bytes:
    """Makes the sums of a VHD's footer and dynamic header right, and the footer's copy alike."""
    fixed = bytearray(data)
    footer = len(fixed) - 512
    (header,) = struct.unpack_from(">Q", fixed, footer + 16)
    for at, length, inside in ((footer, 512, 64), (header, 1024, 36)):
        if at + length <= len(fixed):
            struct.pack_into(">I", fixed, at + inside, 0)
            struct.pack_into(">I", fixed, at + inside, ~sum(fixed[at : at + length]) & 0xFFFFFFFF)
    if fixed[:8] == b"conectix":
        fixed[:512] = fixed[footer:]
    return bytes(fixed)


BTRFS_SUPERBLOCK, BTRFS_NODE = 0x10000, 4096


def btrfs_nodes(data: bytes) -> Iterator[int]:
    """Yields where nodes of 4096 bytes begin, the superblock among them: they have its UUID."""
    for at in range(BTRFS_SUPERBLOCK, len(data) - BTRFS_NODE + 1, BTRFS_NODE):
        own = data[BTRFS_SUPERBLOCK + 32 : BTRFS_SUPERBLOCK + 48]
        if data[at + 32 : at + 48] == own:
            yield at


def btrfs(data: bytes) -> Sequence[Field]:
    """Superblock, and of every node header, keys, pointers and items (Linux, btrfs_tree.h)."""
    words = (0x48, 0x50, 0x58, 0x60, 0x70, 0x78, 0x80, 0x88)
    fields: list[Field] = [(BTRFS_SUPERBLOCK + at, "<Q") for at in words]
    fields += [(BTRFS_SUPERBLOCK + at, "<I") for at in (0x90, 0x94, 0xA0)]
    fields += [(BTRFS_SUPERBLOCK + 0x32B + at, "<Q") for at in (0, 9, 17, 41, 65, 73)]
    for at in list(btrfs_nodes(data))[1:]:
        fields += [(at + 0x30, "<Q"), (at + 0x50, "<Q"), (at + 0x60, "<I"), (at + 0x64, "<B")]
        (count,) = struct.unpack_from("<I", data, at + 0x60)
        leaf = not data[at + 0x64]
        for item in range(at + 101, at + 101 + min(count, 100) * 25, 25):
            fields += [(item, "<Q"), (item + 8, "<B"), (item + 9, "<Q"), (item + 17, "<I")]
            if leaf and item + 25 <= at + BTRFS_NODE:
                place, length = struct.unpack_from("<II", data, item + 17)
                there = range(at + 101 + place, at + 101 + place + min(length, 64), 8)
                fields += [(each, "<Q") for each in there if each + 8 <= at + BTRFS_NODE]
    return [field for field in fields if field[0] + 8 <= len(data)]


def btrfs_sums(data: bytes) -> bytes:
    """Makes the checksums of a Btrfs' superblock and nodes right."""
    fixed = bytearray(data)
    for at in btrfs_nodes(data):
        value = crc32c(fixed[at + 32 : at + BTRFS_NODE]) ^ 0xFFFFFFFF
        struct.pack_into("<I", fixed, at, value)
    return bytes(fixed)


def ext(data: bytes) -> Sequence[Field]:
    """Superblock, group descriptors, inodes and the entries of their maps (Linux, ext4 docs)."""
    words = (0, 4, 12, 16, 20, 24, 28, 32, 36, 40, 0x4C, 0x54, 0x5C, 0x60, 0x64, 0x150, 0x158)
    shorts = (0x3A, 0x58, 0xCE, 0xFE)
    fields = [(1024 + at, "<I") for at in words] + [(1024 + at, "<H") for at in shorts]
    block = 1024 << struct.unpack_from("<I", data, 1024 + 0x18)[0]
    (inode_size,) = struct.unpack_from("<H", data, 1024 + 0x58)
    groups = (1024 // block + 1) * block
    fields += [*_array("<I", groups, 16, len(data)), (groups + 18, "<H")]
    (table,) = struct.unpack_from("<I", data, groups + 8)
    for inode in range(table * block, min((table + 8) * block, len(data)), inode_size):
        if any(data[inode : inode + 2]):
            fields += [(inode, "<H"), (inode + 4, "<I"), (inode + 32, "<I"), (inode + 104, "<I")]
            fields += [(inode + at, "<H") for at in (40, 42, 46, 128)]
            fields += _array("<I", inode + 40, 15, len(data))
    return fields


def xfs(data: bytes) -> Sequence[Field]:
    """Superblock, headers of the first group, and inodes (Linux, fs/xfs/libxfs/xfs_format.h)."""
    fields = [(at, ">I") for at in (4, 84, 88, 96, 200, 212, 216)]
    fields += [(at, ">Q") for at in (8, 16, 48, 56, 128, 136, 144)]
    fields += [(at, ">H") for at in (100, 102, 104, 106)] + [(at, ">B") for at in range(120, 127)]
    for start in (512, 1024):
        fields += _array(">I", start + 4, 22, len(data))
    for inode in _starts(data, b"IN", 256):
        fields += [(inode + at, ">B") for at in (4, 5, 82, 83)]
        fields += [(inode + 2, ">H"), (inode + 24, ">Q"), (inode + 56, ">Q"), (inode + 64, ">Q")]
        fields += [(inode + 76, ">I"), (inode + 80, ">H"), (inode + 90, ">H"), (inode + 120, ">Q")]
        fields += _array(">I", inode + 176, 12, len(data))
    return fields


_XFS_SUMS = (
    (b"XFSB", 0, 512, 512, 224), (b"XAGF", 0, 512, 512, 216), (b"XAGI", 0, 512, 512, 312),
    (b"XAFL", 0, 512, 512, 32), (b"IN", 0, 512, 512, 100), (b"AB3B", 0, 4096, 4096, 52),
    (b"AB3C", 0, 4096, 4096, 52), (b"IAB3", 0, 4096, 4096, 52), (b"FIB3", 0, 4096, 4096, 52),
    (b"R3FC", 0, 4096, 4096, 52), (b"XDB3", 0, 4096, 4096, 4), (b"XDD3", 0, 4096, 4096, 4),
    (b"\x3d\xf1", 8, 4096, 4096, 12), (b"\x3b\xee", 8, 4096, 4096, 12),
    (b"XARM", 0, 4096, 4096, 12),
)  # fmt: skip
"""Magic number, where it stands, units it is looked for in, bytes that are summed up, the sum's
place."""


def xfs_sums(data: bytes) -> bytes:
    """Makes the sums of an XFS of version 5, of 512-byte sectors and 4096-byte blocks, right."""
    fixed = bytearray(data)
    for magic, at, unit, size, place in _XFS_SUMS:
        for start in _starts(fixed, magic, unit, at):
            if start + size <= len(fixed):
                struct.pack_into("<I", fixed, start + place, 0)
                value = crc32c(fixed[start : start + size]) ^ 0xFFFFFFFF
                struct.pack_into("<I", fixed, start + place, value)
    return bytes(fixed)


def _starts(data: bytes | bytearray, magic: bytes, unit: int, at: int = 0) -> Iterator[int]:
    """Yields the units that have a magic number at a place."""
    found = data.find(magic)
    while found >= 0:
        if found % unit == at:
            yield found - at
        found = data.find(magic, found + 1)


def fat(data: bytes) -> Sequence[Field]:
    """The boot sector, the first table and the root directory (FAT32 specification 1.03)."""
    del data
    bytewise = [(at, "<B") for at in (13, 16)]
    shorts = [(at, "<H") for at in (11, 14, 17, 19, 22, 42, 48)]
    words = [(at, "<I") for at in (32, 36, 44)]
    return bytewise + shorts + words


def _array(form: str, at: int, count: int, end: int) -> Iterator[Field]:
    width = struct.calcsize(form)
    room = max(end - at, 0) // width
    return ((at + index * width, form) for index in range(min(count, room, _MOST)))
