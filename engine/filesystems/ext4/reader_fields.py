"""The structures of ext file systems by the names of their fields.

Source: Documentation/filesystems/ext4 of the Linux kernel (super, group descriptors, inodes).
"""

from __future__ import annotations

import struct

from engine.image.fields import Field, flags, identifier, moment, number, seconds, string

SUPERBLOCK: tuple[Field, ...] = (
    ("inodes", 0x00, 4, number), ("blocks (low)", 0x04, 4, number),
    ("reserved blocks (low)", 0x08, 4, number), ("free blocks (low)", 0x0C, 4, number),
    ("free inodes", 0x10, 4, number), ("first data block", 0x14, 4, number),
    ("log block size", 0x18, 4, number), ("log cluster size", 0x1C, 4, number),
    ("blocks per group", 0x20, 4, number), ("clusters per group", 0x24, 4, number),
    ("inodes per group", 0x28, 4, number), ("mount time", 0x2C, 4, seconds),
    ("write time", 0x30, 4, seconds), ("mount count", 0x34, 2, number),
    ("maximum mount count", 0x36, 2, number), ("magic", 0x38, 2, flags),
    ("state", 0x3A, 2, flags), ("errors", 0x3C, 2, number), ("minor revision", 0x3E, 2, number),
    ("last check", 0x40, 4, seconds), ("check interval", 0x44, 4, number),
    ("creator OS", 0x48, 4, number), ("revision", 0x4C, 4, number),
    ("reserved uid", 0x50, 2, number), ("reserved gid", 0x52, 2, number),
    ("first inode", 0x54, 4, number), ("inode size", 0x58, 2, number),
    ("group of this copy", 0x5A, 2, number), ("compatible features", 0x5C, 4, flags),
    ("incompatible features", 0x60, 4, flags), ("read-only features", 0x64, 4, flags),
    ("uuid", 0x68, 16, identifier), ("label", 0x78, 16, string),
    ("last mounted on", 0x88, 64, string), ("compression algorithms", 0xC8, 4, flags),
    ("preallocated blocks", 0xCC, 2, flags), ("reserved GDT blocks", 0xCE, 2, number),
    ("journal uuid", 0xD0, 16, identifier), ("journal inode", 0xE0, 4, number),
    ("journal device", 0xE4, 4, number), ("last orphan", 0xE8, 4, number),
    ("hash seed", 0xEC, 16, identifier), ("hash version", 0xFC, 1, number),
    ("journal backup type", 0xFD, 1, number), ("descriptor size", 0xFE, 2, number),
    ("mount options", 0x100, 4, flags), ("first metadata group", 0x104, 4, number),
    ("creation time", 0x108, 4, seconds), ("journal backup", 0x10C, 68, bytes.hex),
    ("blocks (high)", 0x150, 4, number), ("reserved blocks (high)", 0x154, 4, number),
    ("free blocks (high)", 0x158, 4, number), ("minimum extra isize", 0x15C, 2, number),
    ("wanted extra isize", 0x15E, 2, number), ("flags", 0x160, 4, flags),
    ("RAID stride", 0x164, 2, number), ("MMP interval", 0x166, 2, number),
    ("MMP block", 0x168, 8, number), ("RAID stripe width", 0x170, 4, number),
    ("log groups per flex group", 0x174, 1, number), ("checksum type", 0x175, 1, number),
    ("kibibytes written", 0x178, 8, number), ("error count", 0x194, 4, number),
    ("last mount options", 0x200, 64, string), ("user quota inode", 0x240, 4, number),
    ("group quota inode", 0x244, 4, number), ("overhead blocks", 0x248, 4, number),
    ("backup groups", 0x24C, 8, bytes.hex), ("encryption algorithms", 0x254, 4, bytes.hex),
    ("encryption salt", 0x258, 16, bytes.hex), ("lost+found inode", 0x268, 4, number),
    ("project quota inode", 0x26C, 4, number), ("checksum seed", 0x270, 4, flags),
    ("encoding", 0x27C, 2, number), ("encoding flags", 0x27E, 2, flags),
    ("orphan file inode", 0x280, 4, number), ("checksum", 0x3FC, 4, flags),
)  # fmt: skip

DESCRIPTOR: tuple[Field, ...] = (
    ("block bitmap (low)", 0x00, 4, number), ("inode bitmap (low)", 0x04, 4, number),
    ("inode table (low)", 0x08, 4, number), ("free blocks (low)", 0x0C, 2, number),
    ("free inodes (low)", 0x0E, 2, number), ("directories (low)", 0x10, 2, number),
    ("flags", 0x12, 2, flags), ("exclude bitmap (low)", 0x14, 4, number),
    ("block bitmap checksum (low)", 0x18, 2, flags),
    ("inode bitmap checksum (low)", 0x1A, 2, flags), ("unused inodes (low)", 0x1C, 2, number),
    ("checksum", 0x1E, 2, flags), ("block bitmap (high)", 0x20, 4, number),
    ("inode bitmap (high)", 0x24, 4, number), ("inode table (high)", 0x28, 4, number),
    ("free blocks (high)", 0x2C, 2, number), ("free inodes (high)", 0x2E, 2, number),
    ("directories (high)", 0x30, 2, number), ("unused inodes (high)", 0x32, 2, number),
    ("exclude bitmap (high)", 0x34, 4, number), ("block bitmap checksum (high)", 0x38, 2, flags),
    ("inode bitmap checksum (high)", 0x3A, 2, flags),
)  # fmt: skip

INODE: tuple[Field, ...] = (
    # Mode, owners, size, time, links, target, map and attributes are compared as what they
    # mean; checksums follow from the rest.
    ("mode, owner, size", 0x00, 8, None), ("times", 0x08, 12, None),
    ("deletion time", 0x14, 4, seconds), ("group, links", 0x18, 4, None),
    ("sectors (low)", 0x1C, 4, number), ("flags", 0x20, 4, flags),
    ("version (low)", 0x24, 4, number), ("map", 0x28, 60, None),
    ("generation", 0x64, 4, flags), ("attribute block, size", 0x68, 8, None),
    ("fragment", 0x70, 4, number), ("sectors (high)", 0x74, 2, number),
    ("attribute block, owner", 0x76, 6, None), ("checksum (low)", 0x7C, 2, None),
    ("reserved", 0x7E, 2, flags), ("extra size", 0x80, 2, number),
    ("checksum (high)", 0x82, 2, None), ("finer times", 0x84, 20, None),
    ("version (high)", 0x98, 4, number), ("project", 0x9C, 4, number),
    ("attributes", 0xA0, 1 << 16, None),
)  # fmt: skip


def inode_times(raw: bytes) -> dict[str, str]:
    """Returns those times of an inode that stat(2) does not call its own."""
    padded = raw.ljust(0xA0, b"\0")
    (extra_size,) = struct.unpack_from("<H", padded, 0x80) if len(raw) > 0x80 else (0,)
    times = {}
    for name, at, more in (
        ("access time", 0x08, 0x8C), ("change time", 0x0C, 0x84), ("birth time", 0x90, 0x94),
    ):  # fmt: skip
        (whole,) = struct.unpack_from("<i", padded, at)
        (extra,) = struct.unpack_from("<I", padded, more)
        if more + 4 > 0x80 + extra_size:
            extra = 0
        if at >= 0x80 and at + 4 > 0x80 + extra_size:
            continue
        times[name] = moment((whole + ((extra & 3) << 32)) * 1_000_000_000 + (extra >> 2))
    return times
