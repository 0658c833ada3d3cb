"""Files with holes: what of them is data, copied without reading the holes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.image.whole import read_whole, write_whole

_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)
_AT_ONCE = 64 << 20
_FICLONERANGE = 0x4020940D
_RANGE = struct.Struct("=qQQQ")
"""`struct file_clone_range` (linux/fs.h): file, its offset, bytes, offset in the target."""
_UNABLE = frozenset({errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM})
"""What is said where a call is not for these files: the work is done another way."""


def data_ranges(handle: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yields the ranges (first, end) of a file that are not holes, within [start, end)."""
    at = start
    while at < end:
        try:
            first = os.lseek(handle, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        if first >= end:
            return
        at = min(os.lseek(handle, first, os.SEEK_HOLE), end)
        yield first, at


def copy_data(
    source: int, target: int, start: int, end: int, shift: int, cancelled: Callable[[], bool]
) -> int:
    """Copies what is not a hole in a range of a file into another, which has zeros there.

    Blocks are shared where the file system can (FICLONERANGE), else the kernel copies them.

    Args:
        source: Open for reading.
        target: Open for writing, and long enough.
        start: First byte of the range.
        end: The byte behind its last.
        shift: What is added to an offset to get that in the target.
        cancelled: Asked several times a second.

    Returns:
        Bytes of data.
    """
    total = 0
    for first, last in data_ranges(source, start, end):
        total += last - first
        if _shared(source, target, first, last, shift):
            continue
        at = first
        while at < last:
            if cancelled():
                return total
            at += _copied(source, target, at, min(last - at, _AT_ONCE), at + shift)
    return total


def _shared(source: int, target: int, first: int, last: int, shift: int) -> bool:
    with contextlib.suppress(OSError):
        fcntl.ioctl(target, _FICLONERANGE, _RANGE.pack(source, first, last - first, first + shift))
        return True
    return False


def _copied(source: int, target: int, at: int, length: int, to: int) -> int:
    """Copies up to so many bytes, within the kernel where it can; returns how many."""
    try:
        copied = os.copy_file_range(source, target, length, at, to)
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        copied = 0
    if not copied:
        data = read_whole(source, min(length, _CHUNK), at)
        write_whole(target, data, to)
        copied = len(data)
    return copied


def copy_range(
    source: Path, offset: int, length: int, target: Path, cancelled: Callable[[], bool]
) -> None:
    """Copies part of a file into a new file of that length, holes kept."""
    with source.open("rb") as reader, target.open("xb") as writer:
        writer.truncate(length)
        for first, end in data_ranges(reader.fileno(), offset, offset + length):
            for at in range(first, end, _CHUNK):
                if cancelled():
                    return
                data = read_whole(reader.fileno(), min(_CHUNK, end - at), at)
                write_whole(writer.fileno(), data, at - offset)


def copy_into(source: Path, target: Path, offset: int, cancelled: Callable[[], bool]) -> None:
    """Copies a whole file into another one, which has zeros there, but for its holes and zeros.

    Args:
        source: The file.
        target: What it goes into.
        offset: The byte at which it will begin there.
        cancelled: Asked several times a second.
    """
    with source.open("rb") as reader, target.open("r+b") as writer:
        for first, end in data_ranges(reader.fileno(), 0, os.fstat(reader.fileno()).st_size):
            for at in range(first, end, _CHUNK):
                if cancelled():
                    return
                data = read_whole(reader.fileno(), min(_CHUNK, end - at), at)
                if data != _ZEROS[: len(data)]:
                    write_whole(writer.fileno(), data, offset + at)
