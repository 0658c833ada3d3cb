"""Changes of which blocks a file has, without reading or writing them: fallocate(2).

A hole takes blocks away; a range put in or taken out moves all blocks behind it, which ext4 and XFS
can do where the range is of whole blocks.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from pathlib import Path

from engine.image.whole import write_whole

Extent = tuple[int, int, int]
"""Byte of a file, byte of the device, length."""

UNABLE = frozenset(
    {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM}
)
"""What is said where a call is not for these files: the work is done another way."""

_KEEP_SIZE, _PUNCH_HOLE, _COLLAPSE, _INSERT = 0x01, 0x02, 0x08, 0x20
"""Modes of fallocate(2) (linux/falloc.h)."""
_CHUNK = 1 << 20

_FIEMAP = 0xC020660B
_HEADER = struct.Struct("=QQIIII")
"""`struct fiemap` (linux/fiemap.h): start, length, flags, extents found, room for, reserved."""
_EXTENT = struct.Struct("=QQQ16xI12x")
"""`struct fiemap_extent`: byte of the file, byte of the device, length, reserved, flags."""
_SYNC, _LAST, _UNWRITTEN = 0x1, 0x1, 0x800
_UNPLACED = 0x2 | 0x4 | 0x8 | 0x80 | 0x100 | 0x200 | 0x400
"""Flags of an extent whose place says nothing: unknown, delayed, encoded, encrypted, unaligned,
inline, tail."""
_AT_ONCE = 512


def punch(file: int, start: int, end: int) -> None:
    """Makes a range of a file zero, as a hole where the file system has them.

    Raises:
        OSError: It cannot be written.
    """
    try:
        _fallocate(file, _PUNCH_HOLE | _KEEP_SIZE, start, end - start)
    except OSError as error:
        if error.errno not in UNABLE:
            raise
        for at in range(start, end, _CHUNK):
            write_whole(file, bytes(min(_CHUNK, end - at)), at)


def insert(file: int, at: int, length: int) -> None:
    """Puts a hole into a file before its end; what is behind moves. Both are whole blocks.

    Raises:
        OSError: The file system cannot.
    """
    _fallocate(file, _INSERT, at, length)


def collapse(file: int, at: int, length: int) -> None:
    """Takes a range out of a file, not up to its end; what is behind moves. Both are whole blocks.

    Raises:
        OSError: The file system cannot.
    """
    _fallocate(file, _COLLAPSE, at, length)


def extents(file: int) -> list[Extent]:
    """Returns where a file's blocks are on its device, in order; of those written to.

    Raises:
        OSError: The file system does not say.
    """
    found: list[Extent] = []
    buffer = bytearray(_HEADER.size + _AT_ONCE * _EXTENT.size)
    at = 0
    while True:
        _HEADER.pack_into(buffer, 0, at, (1 << 64) - 1 - at, _SYNC, 0, _AT_ONCE, 0)
        fcntl.ioctl(file, _FIEMAP, buffer)
        count = _HEADER.unpack_from(buffer)[3]
        for number in range(count):
            here, there, length, flags = _EXTENT.unpack_from(
                buffer, _HEADER.size + number * _EXTENT.size
            )
            at = here + length
            if flags & _UNPLACED:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            last = found[-1] if found else None
            if flags & _UNWRITTEN:
                continue
            if last and last[0] + last[2] == here and last[1] + last[2] == there:
                found[-1] = last[0], last[1], last[2] + length
            else:
                found.append((here, there, length))
        if count < _AT_ONCE:
            return found


def movable(folder: Path, block: int) -> bool:
    """Whether files of a folder can have blocks put in and taken out: tries it with one."""
    path = folder / "movable.part"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        write_whole(file, b"1" * block + b"2" * block, 0)
        extents(file)
        insert(file, block, block)
        collapse(file, 0, block)
    except OSError as error:
        if error.errno not in UNABLE:
            raise
        return False
    finally:
        os.close(file)
        path.unlink()
    return True


def _fallocate(file: int, mode: int, start: int, length: int) -> None:
    if _libc().fallocate(file, mode, ctypes.c_longlong(start), ctypes.c_longlong(length)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    library.fallocate.argtypes = (
        ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong,
    )  # fmt: skip
    return library
