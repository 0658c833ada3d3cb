"""Reads and writes of files that do all that they are asked for.

The kernel may read or write less than that in one call: near a full disk, beyond 2 GiB, or where a
signal comes in between (pread(2), pwrite(2)).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

BLOCK = 4096
"""Bytes of the pieces in which an image is looked at for holes and by block maps."""
_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)


def write_whole(descriptor: int, data: bytes | bytearray | memoryview, at: int) -> None:
    """Writes all bytes of a buffer into a file.

    Args:
        descriptor: The file, open for writing.
        data: What is written.
        at: Byte of the file where it goes.

    Raises:
        OSError: A write failed; what was written before stays.
    """
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, at)
        rest = rest[written:]
        at += written


def fill_whole(descriptor: int, buffer: memoryview, at: int) -> None:
    """Fills a buffer with bytes of a file.

    Args:
        descriptor: The file, open for reading.
        buffer: Where they go.
        at: Byte of the file where they begin.

    Raises:
        OSError: A read failed, or the file ends before.
    """
    done = 0
    while done < len(buffer):
        got = os.preadv(descriptor, [buffer[done:]], at + done)
        if not got:
            raise OSError(errno.EIO, f"the file ends at byte {at + done}")
        done += got


def read_whole(descriptor: int, length: int, at: int) -> bytes:
    """Returns bytes of a file, as many as asked for.

    Args:
        descriptor: The file, open for reading.
        length: Bytes.
        at: Byte of the file where they begin.

    Raises:
        OSError: A read failed, or the file ends before.
    """
    data = os.pread(descriptor, length, at)
    if len(data) == length:
        return data
    whole = bytearray(length)
    whole[: len(data)] = data
    fill_whole(descriptor, memoryview(whole)[len(data) :], at + len(data))
    return bytes(whole)


def zeros(count: int) -> Iterator[bytes]:
    """Yields `count` zero bytes in pieces of at most 1 MiB."""
    while count > 0:
        yield _ZEROS if count >= _CHUNK else bytes(count)
        count -= _CHUNK
