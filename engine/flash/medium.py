"""Bytes written so that they are known to be on the medium, and read back from there.

Sources: open(2) (O_DIRECT, O_EXCL on block devices), posix_fadvise(2), linux/fs.h (ioctls).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import struct
import time
from pathlib import Path
from typing import Self

from engine.flash.payload import CHUNK
from engine.units import MIB

_BLKRRPART, _BLKZEROOUT = 0x125F, 0x127F
_ALIGNMENT = 4096
READ = 8 * MIB
"""Bytes read at once: devices answer a few large requests sooner than many small ones."""
_LEAST_STEP, _MOST_STEP = MIB, 32 * MIB
_SHORT, _LONG = 0.25, 1.0
"""Seconds of a step that is made larger, and of one that is made smaller: a cancel is answered
between two steps, however slow the medium is."""


class Medium:
    """An open disk or file that is written to, or only read where `writing` is false.

    Attributes:
        direct: Whether reading bypasses the page cache (O_DIRECT).
        step: Bytes to write before the next `flush`.
    """

    def __init__(self, path: Path, *, writing: bool, exclusive: bool) -> None:
        flags = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        self.path = path
        self.step = _LEAST_STEP
        # On a block device without O_CREAT: fails where anything on it is mounted or claimed.
        lock = os.O_EXCL if exclusive else 0
        self._fd = os.open(path, (os.O_RDWR if writing else os.O_RDONLY) | flags | lock)
        try:
            self._reader, self.direct = _reader(path, flags)
        except BaseException:
            os.close(self._fd)
            raise
        self._writer = self._direct_writer(flags) if writing else None
        self._buffer = mmap.mmap(-1, READ + 2 * _ALIGNMENT)

    def close(self) -> None:
        self._buffer.close()
        os.close(self._reader)
        if self._writer is not None:
            os.close(self._writer)
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Writes bytes; they are on the medium once `flush` returns."""
        view = memoryview(data)
        done = self._write_directly(offset, view)
        while done < len(view):
            done += os.pwrite(self._fd, view[done:], offset + done)

    def _write_directly(self, offset: int, data: memoryview) -> int:
        """Writes whole blocks past the page cache, and returns how many bytes: 0 if it cannot.

        Dirty pages would be written by the kernel in its own time and order, several times slower
        where much else is written.
        """
        length = len(data) // _ALIGNMENT * _ALIGNMENT
        if self._writer is None or offset % _ALIGNMENT or not 0 < length <= READ:
            return 0
        self._buffer[:length] = bytes(data[:length])
        with memoryview(self._buffer) as view:
            try:
                return os.pwrite(self._writer, view[:length], offset)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                os.close(self._writer)
                self._writer = None
                return 0

    def _direct_writer(self, flags: int) -> int | None:
        try:
            return os.open(self.path, os.O_WRONLY | os.O_DIRECT | flags)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return None

    def zero(self, offset: int, length: int) -> None:
        """Has the device itself make zeros, where it can (BLKZEROOUT), else writes them."""
        try:
            fcntl.ioctl(self._fd, _BLKZEROOUT, struct.pack("QQ", offset, length))
        except OSError:
            for at in range(offset, offset + length, CHUNK):
                self.write(at, bytes(min(CHUNK, offset + length - at)))

    def flush(self) -> None:
        """Returns once all that was written is on the medium.

        Raises:
            OSError: The medium did not take it.
        """
        begun = time.monotonic()
        os.fdatasync(self._fd)
        took = time.monotonic() - begun
        if took < _SHORT:
            self.step = min(self.step * 2, _MOST_STEP)
        elif took > _LONG:
            self.step = max(self.step // 2, _LEAST_STEP)

    def read(self, offset: int, length: int) -> bytes:
        """Returns `READ` bytes at most as the medium has them, fewer at its end."""
        if not self.direct:
            # What is clean leaves the page cache, so that the medium itself is asked.
            os.posix_fadvise(self._reader, offset, length, os.POSIX_FADV_DONTNEED)
        before = offset % _ALIGNMENT
        done, end = 0, before + length
        while done < end:
            wanted = -(-(end - done) // _ALIGNMENT) * _ALIGNMENT
            with memoryview(self._buffer) as view:
                try:
                    piece = view[done : done + wanted]
                    got = os.preadv(self._reader, [piece], offset - before + done)
                except OSError as error:
                    if error.errno != errno.EINVAL or not self.direct:
                        raise
                    self._indirect()
                    continue
            done += got
            if not got or got % _ALIGNMENT:
                break
        return self._buffer[before : min(done, end)]

    def _indirect(self) -> None:
        """Goes on through the page cache, on a file system without direct reading."""
        os.close(self._reader)
        self._reader = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self.direct = False

    def reread_table(self) -> None:
        """Has the kernel look at the partition table again; udev does it as well, where it runs."""
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._fd, _BLKRRPART)

    def size(self) -> int:
        """Returns the bytes there are."""
        return os.lseek(self._fd, 0, os.SEEK_END)

    def resize(self, length: int) -> None:
        """Sets a file's length; what is new reads as zeros."""
        os.ftruncate(self._fd, length)


def _reader(path: Path, flags: int) -> tuple[int, bool]:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECT | flags), True
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return os.open(path, os.O_RDONLY | flags), False
