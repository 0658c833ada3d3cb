"""The structures of XFS by the names of their fields.

Source: struct xfs_dsb, xfs_agf, xfs_agi and xfs_dinode in fs/xfs/libxfs/xfs_format.h of the Linux
kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from engine.filesystems.xfs.reader_inode import time_of
from engine.image.fields import Field, big_flags, big_number, identifier, moment, string

_V3, _BIGTIME = 3, 0x8
_MORE_FLAGS = slice(120, 128)

SUPERBLOCK: tuple[Field, ...] = (
    ("magic", 0, 4, string), ("block size", 4, 4, big_number), ("blocks", 8, 8, big_number),
    ("realtime blocks", 16, 8, big_number), ("realtime extents", 24, 8, big_number),
    ("uuid", 32, 16, identifier), ("first block of the log", 48, 8, big_number),
    ("root inode", 56, 8, big_number), ("realtime bitmap inode", 64, 8, big_number),
    ("realtime summary inode", 72, 8, big_number), ("realtime extent size", 80, 4, big_number),
    ("blocks of a group", 84, 4, big_number), ("groups", 88, 4, big_number),
    ("realtime bitmap blocks", 92, 4, big_number), ("blocks of the log", 96, 4, big_number),
    ("version", 100, 2, big_flags), ("sector size", 102, 2, big_number),
    ("inode size", 104, 2, big_number), ("inodes of a block", 106, 2, big_number),
    ("label", 108, 12, string), ("log block size", 120, 1, big_number),
    ("log sector size", 121, 1, big_number), ("log inode size", 122, 1, big_number),
    ("log inodes of a block", 123, 1, big_number), ("log blocks of a group", 124, 1, big_number),
    ("log realtime extents", 125, 1, big_number), ("in progress", 126, 1, big_number),
    ("percent for inodes", 127, 1, big_number), ("inodes", 128, 8, big_number),
    ("free inodes", 136, 8, big_number), ("free blocks", 144, 8, big_number),
    ("free realtime extents", 152, 8, big_number), ("user quota inode", 160, 8, big_number),
    ("group quota inode", 168, 8, big_number), ("quota flags", 176, 2, big_flags),
    ("flags", 178, 1, big_flags), ("shared version", 179, 1, big_number),
    ("inode alignment", 180, 4, big_number), ("stripe unit", 184, 4, big_number),
    ("stripe width", 188, 4, big_number), ("log directory blocks", 192, 1, big_number),
    ("log log sector size", 193, 1, big_number), ("log sector bytes", 194, 2, big_number),
    ("log stripe unit", 196, 4, big_number), ("more features", 200, 4, big_flags),
    ("more features, again", 204, 4, big_flags), ("compatible features", 208, 4, big_flags),
    ("read-only features", 212, 4, big_flags), ("incompatible features", 216, 4, big_flags),
    ("log features", 220, 4, big_flags), ("checksum", 224, 4, None),
    ("sparse inode alignment", 228, 4, big_number), ("project quota inode", 232, 8, big_number),
    ("log sequence", 240, 8, big_flags), ("metadata uuid", 248, 16, identifier),
    ("metadata folder inode", 264, 8, big_number), ("realtime groups", 272, 4, big_number),
)  # fmt: skip

SPACE: tuple[Field, ...] = (
    ("magic", 0, 4, string), ("version", 4, 4, big_number), ("group", 8, 4, big_number),
    ("blocks", 12, 4, big_number), ("root by place", 16, 4, big_number),
    ("root by size", 20, 4, big_number), ("root of owners", 24, 4, big_number),
    ("levels by place", 28, 4, big_number), ("levels by size", 32, 4, big_number),
    ("levels of owners", 36, 4, big_number), ("first set aside", 40, 4, big_number),
    ("last set aside", 44, 4, big_number), ("set aside", 48, 4, big_number),
    ("free blocks", 52, 4, big_number), ("longest run", 56, 4, big_number),
    ("blocks of trees", 60, 4, big_number), ("uuid", 64, 16, identifier),
    ("blocks of owners", 80, 4, big_number), ("blocks of shared", 84, 4, big_number),
    ("root of shared", 88, 4, big_number), ("levels of shared", 92, 4, big_number),
    ("log sequence", 208, 8, big_flags), ("checksum", 216, 4, None),
)  # fmt: skip

INODES: tuple[Field, ...] = (
    ("magic", 0, 4, string), ("version", 4, 4, big_number), ("group", 8, 4, big_number),
    ("blocks", 12, 4, big_number), ("inodes", 16, 4, big_number), ("root", 20, 4, big_number),
    ("levels", 24, 4, big_number), ("free inodes", 28, 4, big_number),
    ("newest", 32, 4, big_number), ("last directory", 36, 4, big_number),
    ("without names", 40, 256, bytes.hex), ("uuid", 296, 16, identifier),
    ("checksum", 312, 4, None), ("log sequence", 320, 8, big_flags),
    ("root of free", 328, 4, big_number), ("levels of free", 332, 4, big_number),
    ("blocks of inodes", 336, 4, big_number), ("blocks of free", 340, 4, big_number),
)  # fmt: skip

_INODE: tuple[Field, ...] = (
    # Mode, owners, links, size, times, target, map and attributes are compared as what they mean.
    ("magic, mode", 0, 4, None), ("version", 4, 1, big_number), ("form", 5, 1, big_number),
    ("links, owners", 6, 14, None), ("project (low)", 20, 2, big_number),
    ("project (high)", 22, 2, big_number), ("extents", 24, 8, None), ("times", 32, 24, None),
    ("size", 56, 8, None), ("blocks", 64, 8, big_number), ("extent size", 72, 4, big_number),
    ("extents of data", 76, 4, None), ("extents of attributes", 80, 2, None),
    ("fork offset", 82, 1, big_number), ("form of attributes", 83, 1, big_number),
    ("events", 84, 6, bytes.hex), ("flags", 90, 2, big_flags), ("generation", 92, 4, big_flags),
    ("next without a name", 96, 4, big_flags),
)  # fmt: skip
_INODE_V3: tuple[Field, ...] = (
    ("checksum", 100, 4, None), ("changes", 104, 8, big_number), ("log sequence", 112, 8, None),
    ("more flags", 120, 8, big_flags), ("extent size of copies", 128, 4, big_number),
    ("padding", 132, 12, bytes.hex), ("birth time", 144, 8, None), ("number", 152, 8, big_number),
    ("uuid", 160, 16, identifier), ("data and attributes", 176, 1 << 16, None),
)  # fmt: skip


def inode(raw: bytes) -> Sequence[Field]:
    """Returns the fields of an inode."""
    return _fields(raw[4] == _V3)


@cache
def _fields(checksums: bool) -> Sequence[Field]:
    rest: tuple[Field, ...] = (("data and attributes", 100, 1 << 16, None),)
    return _INODE + (_INODE_V3 if checksums else rest)


def inode_times(raw: bytes) -> dict[str, str]:
    """Returns those times of an inode that stat(2) does not call its own."""
    checksums = raw[4] == _V3
    long = checksums and bool(int.from_bytes(raw[_MORE_FLAGS], "big") & _BIGTIME)
    times = [("access time", 32), ("change time", 48)]
    if checksums:
        times.append(("birth time", 144))
    return {name: moment(time_of(raw, at, long=long)) for name, at in times}
