"""Sets what mkfs.xfs takes from the clock or at random, and the root directory's owner and mode.

Random are, from xfsprogs 6.13 on, the generations of inodes, which tell them from those of a file
system that was there before: what derives from the UUID does so too.

Source: struct xfs_dsb and xfs_dinode in fs/xfs/libxfs/xfs_format.h of the Linux kernel; all numbers
are big endian but the checksums.
"""

from __future__ import annotations

import os
import stat
import struct
import uuid
from pathlib import Path

from engine.filesystems.driver import FilesystemPlan
from engine.filesystems.populate import PopulateFailed
from engine.filesystems.xfs.driver import INODES
from engine.image.crc32c import crc32c
from engine.image.whole import write_whole

_MAGIC, _INODE_MAGIC = b"XFSB", b"IN"
_SECOND_NS = 1_000_000_000
_EPOCH_S = 1 << 31
"""Seconds that times of the long form begin before 1970."""
_BIGTIME = 1 << 3
_MODE_AT, _UID_AT, _MTIME_AT, _GENERATION_AT, _CRC_AT, _FLAGS2_AT = 2, 8, 40, 92, 100, 120
_TIMES_AT = (32, _MTIME_AT, 48, 144)
"""Of access, modification, change and birth."""


def settle(file: Path, planned: FilesystemPlan, epoch: int) -> None:
    """Makes what mkfs.xfs left in a file the same every time.

    Args:
        file: The file system alone.
        planned: It, as it was planned.
        epoch: Seconds since 1970, for all of its times.

    Raises:
        PopulateFailed: It is not what mkfs.xfs is known to make.
        OSError: It cannot be read or written.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    try:
        head = os.pread(descriptor, 264, 0)
        if not head.startswith(_MAGIC):
            raise PopulateFailed("mkfs.xfs left no superblock")
        (root,) = struct.unpack_from(">Q", head, 56)
        (count,) = struct.unpack_from(">Q", head, 128)
        if count != INODES:
            raise PopulateFailed(f"mkfs.xfs left {count} inodes, not {INODES}")
        generation = uuid.UUID(planned.uuid).int & 0xFFFFFFFF
        for number in range(root, root + INODES):
            place, size = _place(head, number)
            inode = bytearray(os.pread(descriptor, size, place))
            _settle(inode, epoch * _SECOND_NS, generation)
            if number == root:
                _own(inode, planned)
            inode[_CRC_AT : _CRC_AT + 4] = bytes(4)
            struct.pack_into("<I", inode, _CRC_AT, crc32c(inode) ^ 0xFFFFFFFF)
            write_whole(descriptor, inode, place)
    finally:
        os.close(descriptor)


def _place(head: bytes, number: int) -> tuple[int, int]:
    """Returns the first byte of an inode, and its bytes."""
    (block_size,) = struct.unpack_from(">I", head, 4)
    (group_blocks,) = struct.unpack_from(">I", head, 84)
    (size,) = struct.unpack_from(">H", head, 104)
    per_block, group_bits = head[123], head[124]
    block, index = number >> per_block, number & (1 << per_block) - 1
    group, within = block >> group_bits, block & (1 << group_bits) - 1
    return (group * group_blocks + within) * block_size + index * size, size


def _settle(inode: bytearray, time_ns: int, generation: int) -> None:
    """Sets times and generation of an inode; one that is free has the latter alone."""
    (mode,) = struct.unpack_from(">H", inode, _MODE_AT)
    (flags,) = struct.unpack_from(">Q", inode, _FLAGS2_AT)
    if inode[:2] != _INODE_MAGIC or (mode and not flags & _BIGTIME):
        raise PopulateFailed("mkfs.xfs left an inode of another form than it is known to")
    struct.pack_into(">I", inode, _GENERATION_AT, generation)
    for at in _TIMES_AT if mode else ():
        struct.pack_into(">Q", inode, at, time_ns + _EPOCH_S * _SECOND_NS)


def _own(inode: bytearray, planned: FilesystemPlan) -> None:
    """Gives the root directory what the contents say of it."""
    entry = planned.manifest.get(b"")
    if entry is None:
        return
    last = (1 << 64) - 1
    time = min(max(entry.mtime_ns + _EPOCH_S * _SECOND_NS, 0), last)
    struct.pack_into(">H", inode, _MODE_AT, stat.S_IFDIR | stat.S_IMODE(entry.mode))
    struct.pack_into(">II", inode, _UID_AT, entry.uid, entry.gid)
    struct.pack_into(">Q", inode, _MTIME_AT, time)
