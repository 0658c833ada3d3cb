"""What an inode of ext2, ext3 and ext4 says of itself.

Source: Documentation/filesystems/ext4/inodes.rst of the Linux kernel.
"""

from __future__ import annotations

import os
import stat
import struct
from typing import NamedTuple

_OLD_SIZE = 128
"""Bytes of an inode before ext4 added to it; the size of the addition follows."""


class Inode(NamedTuple):
    """The fields of an inode.

    Attributes:
        mode: Type and permissions.
        uid: Owner.
        gid: Group.
        size: Bytes of data; of a directory, its blocks.
        mtime_ns: Time of the last change, in nanoseconds since 1970.
        links: Names that it has.
        flags: `i_flags`.
        area: `i_block`: the map of its blocks, a short target, or a device number.
        attributes_at: Where attributes begin that are stored in it.
        attribute_block: Block that holds its other attributes, or 0.
    """

    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    links: int
    flags: int
    area: bytes
    attributes_at: int
    attribute_block: int

    @property
    def device(self) -> int:
        """The device number in `area`: 16 bits in the first word, or 32 in the second."""
        old, new = struct.unpack_from("<II", self.area)
        if old:
            return os.makedev(old >> 8 & 0xFF, old & 0xFF)
        return os.makedev(new >> 8 & 0xFFF, new & 0xFF | new >> 12 & 0xFFF00)


def inode_of(raw: bytes) -> Inode:
    """Returns the fields of an inode of at least 128 bytes."""
    padded = raw if len(raw) >= 160 else raw.ljust(160, b"\0")
    mode, uid_low, size_low = struct.unpack_from("<HHI", raw, 0)
    (mtime,) = struct.unpack_from("<i", raw, 16)
    gid_low, links = struct.unpack_from("<HH", raw, 24)
    (flags,) = struct.unpack_from("<I", raw, 32)
    (size_high,) = struct.unpack_from("<I", raw, 108)
    uid_high, gid_high = struct.unpack_from("<HH", raw, 120)
    added = struct.unpack_from("<H", padded, 128)[0] if len(raw) > _OLD_SIZE else 0
    extra = struct.unpack_from("<I", padded, 136)[0] if added >= 12 else 0
    wide = stat.S_IFMT(mode) in {stat.S_IFREG, stat.S_IFDIR}
    return Inode(
        mode=mode,
        uid=uid_low | uid_high << 16,
        gid=gid_low | gid_high << 16,
        size=size_low | (size_high << 32 if wide else 0),
        mtime_ns=(mtime + ((extra & 3) << 32)) * 1_000_000_000 + (extra >> 2),
        links=links,
        flags=flags,
        area=raw[40:100],
        attributes_at=_OLD_SIZE + added,
        attribute_block=attribute_block(raw),
    )


def attribute_block(raw: bytes) -> int:
    """Returns the block that holds an inode's attributes, or 0."""
    low, high = struct.unpack_from("<I10xH", raw, 104)
    return int(low | high << 32)
