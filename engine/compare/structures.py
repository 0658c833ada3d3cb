"""On-disk structures field by field: what differs between two copies of one, by its name.

Sources: Documentation/filesystems/ext4 of the Linux kernel (super, group descriptors, inodes);
Microsoft, "FAT32 File System Specification" 1.03.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from engine.inspect.report import text

Show = Callable[[bytes], str]
Field = tuple[str, int, int, Show | None]
"""Name, offset, length, how its value is told; None: something else tells it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(nanoseconds: int) -> str:
    """Returns a time in UTC with all its digits."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    try:
        day = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")
    except OverflowError:
        day = f"{seconds} s"
    return f"{day}.{rest:09d}"


def differences(
    left: bytes, right: bytes, fields: Sequence[Field]
) -> Iterator[tuple[str, str, str]]:
    """Yields name and both values of each field that differs, then the bytes that have no name.

    Copies of different lengths are compared over the length that both have.
    """
    common = min(len(left), len(right))
    ours, theirs = bytearray(left[:common]), bytearray(right[:common])
    for name, offset, length, show in fields:
        end = min(offset + length, common)
        one, other = bytes(ours[offset:end]), bytes(theirs[offset:end])
        if one != other:
            if show is not None:
                yield name, show(one), show(other)
            theirs[offset:end] = one
    start = 0
    while ours != theirs:
        start = next(at for at in range(start, common) if ours[at] != theirs[at])
        end = next((at for at in range(start, common) if ours[at] == theirs[at]), common)
        yield f"bytes from {start:#x}", ours[start:end].hex(), theirs[start:end].hex()
        theirs[start:end] = ours[start:end]


def number(raw: bytes) -> str:
    """Tells a little-endian number."""
    return str(int.from_bytes(raw, "little"))


def flags(raw: bytes) -> str:
    """Tells a little-endian set of bits."""
    return f"{int.from_bytes(raw, 'little'):#x}"


def _string(raw: bytes) -> str:
    return text(raw.rstrip(b"\0 "))


def _seconds(raw: bytes) -> str:
    return moment(int.from_bytes(raw, "little") * 1_000_000_000)


def _uuid(raw: bytes) -> str:
    return str(uuid.UUID(bytes=raw)) if len(raw) == 16 else raw.hex()


SUPERBLOCK: tuple[Field, ...] = (
    ("inodes", 0x00, 4, number), ("blocks (low)", 0x04, 4, number),
    ("reserved blocks (low)", 0x08, 4, number), ("free blocks (low)", 0x0C, 4, number),
    ("free inodes", 0x10, 4, number), ("first data block", 0x14, 4, number),
    ("log block size", 0x18, 4, number), ("log cluster size", 0x1C, 4, number),
    ("blocks per group", 0x20, 4, number), ("clusters per group", 0x24, 4, number),
    ("inodes per group", 0x28, 4, number), ("mount time", 0x2C, 4, _seconds),
    ("write time", 0x30, 4, _seconds), ("mount count", 0x34, 2, number),
    ("maximum mount count", 0x36, 2, number), ("magic", 0x38, 2, flags),
    ("state", 0x3A, 2, flags), ("errors", 0x3C, 2, number), ("minor revision", 0x3E, 2, number),
    ("last check", 0x40, 4, _seconds), ("check interval", 0x44, 4, number),
    ("creator OS", 0x48, 4, number), ("revision", 0x4C, 4, number),
    ("reserved uid", 0x50, 2, number), ("reserved gid", 0x52, 2, number),
    ("first inode", 0x54, 4, number), ("inode size", 0x58, 2, number),
    ("group of this copy", 0x5A, 2, number), ("compatible features", 0x5C, 4, flags),
    ("incompatible features", 0x60, 4, flags), ("read-only features", 0x64, 4, flags),
    ("uuid", 0x68, 16, _uuid), ("label", 0x78, 16, _string),
    ("last mounted on", 0x88, 64, _string), ("compression algorithms", 0xC8, 4, flags),
    ("preallocated blocks", 0xCC, 2, flags), ("reserved GDT blocks", 0xCE, 2, number),
    ("journal uuid", 0xD0, 16, _uuid), ("journal inode", 0xE0, 4, number),
    ("journal device", 0xE4, 4, number), ("last orphan", 0xE8, 4, number),
    ("hash seed", 0xEC, 16, _uuid), ("hash version", 0xFC, 1, number),
    ("journal backup type", 0xFD, 1, number), ("descriptor size", 0xFE, 2, number),
    ("mount options", 0x100, 4, flags), ("first metadata group", 0x104, 4, number),
    ("creation time", 0x108, 4, _seconds), ("journal backup", 0x10C, 68, bytes.hex),
    ("blocks (high)", 0x150, 4, number), ("reserved blocks (high)", 0x154, 4, number),
    ("free blocks (high)", 0x158, 4, number), ("minimum extra isize", 0x15C, 2, number),
    ("wanted extra isize", 0x15E, 2, number), ("flags", 0x160, 4, flags),
    ("RAID stride", 0x164, 2, number), ("MMP interval", 0x166, 2, number),
    ("MMP block", 0x168, 8, number), ("RAID stripe width", 0x170, 4, number),
    ("log groups per flex group", 0x174, 1, number), ("checksum type", 0x175, 1, number),
    ("kibibytes written", 0x178, 8, number), ("error count", 0x194, 4, number),
    ("last mount options", 0x200, 64, _string), ("user quota inode", 0x240, 4, number),
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
    ("deletion time", 0x14, 4, _seconds), ("group, links", 0x18, 4, None),
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

_BOOT_SECTOR: tuple[Field, ...] = (
    ("jump", 0, 3, bytes.hex), ("OEM name", 3, 8, _string), ("sector size", 11, 2, number),
    ("sectors per cluster", 13, 1, number), ("reserved sectors", 14, 2, number),
    ("tables", 16, 1, number), ("root entries", 17, 2, number),
    ("sectors (16 bits)", 19, 2, number), ("media", 21, 1, flags),
    ("sectors per table (16 bits)", 22, 2, number), ("sectors per track", 24, 2, number),
    ("heads", 26, 2, number), ("hidden sectors", 28, 4, number),
    ("sectors (32 bits)", 32, 4, number),
)  # fmt: skip
_BOOT_SECTOR_32: tuple[Field, ...] = (
    ("sectors per table (32 bits)", 36, 4, number),
    ("table flags", 40, 2, flags),
    ("version", 42, 2, number),
    ("root cluster", 44, 4, number),
    ("information sector", 48, 2, number),
    ("backup boot sector", 50, 2, number),
)


def boot_sector(bits: int) -> tuple[Field, ...]:
    """Returns the fields of the boot sector of a FAT with entries of so many bits."""
    at = 64 if bits == 32 else 36
    return (
        *_BOOT_SECTOR, *(_BOOT_SECTOR_32 if bits == 32 else ()),
        ("drive", at, 1, flags), ("dirty flags", at + 1, 1, flags),
        ("extended signature", at + 2, 1, flags), ("volume id", at + 3, 4, flags),
        ("label of the boot sector", at + 7, 11, _string), ("type", at + 18, 8, _string),
        ("boot code", at + 26, 510 - at - 26, lambda raw: f"{len(raw)} bytes of code"),
        ("signature", 510, 2, flags),
    )  # fmt: skip


def inode_times(raw: bytes) -> dict[str, str]:
    """Returns those times of an inode that stat(2) does not call its own."""
    padded = raw.ljust(0xA0, b"\0")
    (extra_size,) = struct.unpack_from("<H", padded, 0x80) if len(raw) > 0x80 else (0,)
    times = {}
    for name, at, more in (
        ("access time", 0x08, 0x8C), ("change time", 0x0C, 0x84), ("birth time", 0x90, 0x94),
    ):  # fmt: skip
        (seconds,) = struct.unpack_from("<i", padded, at)
        (extra,) = struct.unpack_from("<I", padded, more)
        if more + 4 > 0x80 + extra_size:
            extra = 0
        if at >= 0x80 and at + 4 > 0x80 + extra_size:
            continue
        times[name] = moment((seconds + ((extra & 3) << 32)) * 1_000_000_000 + (extra >> 2))
    return times
