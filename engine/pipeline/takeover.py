"""Puts a new image together from one that is there and what was made anew.

The build has made a whole image but for ranges that the old one already has (`Reused`); those are
holes in it. What is written here are the differences alone, in one of three ways:

    clone     the old image is cloned (FICLONE) where the file system can share blocks, and the
              clone is changed
    in place  the old image itself is moved away from its name and changed: for large ones on file
              systems without clones. What is overwritten is kept until the end, so that a build
              that fails or is cancelled puts the old image back
    copy      what is kept is copied into what was made anew
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from engine.image.whole import read_whole, write_whole
from engine.pipeline.sparse import copy_data, data_ranges

Manner = Literal["clone", "in place", "copy"]

WORTH = 64 << 20
"""Bytes kept from which on an image is changed in place: less is copied in no time."""

_MOST_WRITTEN = 256 << 20
"""Bytes up to which an image is changed in place: what is overwritten is kept meanwhile."""

_BLOCK = 4096
_CHUNK = 1 << 20
_FICLONE = 0x40049409
_KEEP_SIZE, _PUNCH_HOLE = 0x01, 0x02
_UNABLE = frozenset(
    {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM}
)
"""What is said where a call is not for these files: the work is done another way."""

Range = tuple[int, int]
"""First byte, and the one behind the last."""


class Reused(NamedTuple):
    """Bytes of the new image that the old one has; there may be one for each file.

    Attributes:
        new: Where they are to be.
        old: Where they are.
        length: How many, holes included.
    """

    new: int
    old: int
    length: int


def joined(kept: Iterable[Reused]) -> list[Reused]:
    """Returns ranges in order, those in one that follow one another in both images."""
    found: list[Reused] = []
    for one in sorted(kept):
        last = found[-1] if found else None
        if last and last.new + last.length == one.new and last.old + last.length == one.old:
            found[-1] = Reused(last.new, last.old, last.length + one.length)
        else:
            found.append(one)
    return found


@dataclass(slots=True)
class Patch:
    """What of an image differs from another: ranges to write, and ranges to make zero.

    Attributes:
        size: Bytes of the new image.
        cut: Ranges of data of the old image that are behind the end of the new one.
        moved: What the old image has in another place.
    """

    size: int
    writes: list[Range] = field(default_factory=list)
    cut: list[Range] = field(default_factory=list)
    zeros: list[Range] = field(default_factory=list)
    moved: list[Reused] = field(default_factory=list)

    @property
    def written(self) -> int:
        """Bytes to write."""
        return sum(end - start for start, end in self.writes)

    @property
    def touched(self) -> list[Range]:
        """All that differs, or may, in order."""
        moves = ((one.new, one.new + one.length) for one in self.moved)
        return sorted((*self.writes, *self.zeros, *moves))


def compare(
    old: int, made: int, kept: Sequence[Reused], cancelled: Callable[[], bool]
) -> Patch:  # fmt: skip
    """Returns what has to change in an old image for it to become the new one.

    Args:
        old: The old image, open for reading.
        made: The new one, with holes where `kept` is.
        kept: As `joined` returns it.
        cancelled: Asked several times a second.
    """
    size, before = os.fstat(made).st_size, os.fstat(old).st_size
    patch = Patch(
        size,
        cut=list(_data(old, size, before)),
        moved=[one for one in kept if one.old != one.new],
    )
    for start, end in _between([one for one in kept if one.old == one.new], size):
        at = start
        for first, last in data_ranges(made, start, end):
            patch.zeros += _data(old, at, min(first, before))
            _compare(old, made, first, last, before, patch.writes, cancelled)
            at = last
        patch.zeros += _data(old, at, min(end, before))
        if cancelled():
            break
    return patch


def _between(kept: Iterable[Reused], size: int) -> Iterator[Range]:
    at = 0
    for one in kept:
        if one.new > at:
            yield at, one.new
        at = one.new + one.length
    if at < size:
        yield at, size


def _data(file: int, start: int, end: int) -> Iterator[Range]:
    if start < end:
        yield from data_ranges(file, start, end)


def _compare(
    old: int, made: int, start: int, end: int, before: int, writes: list[Range],
    cancelled: Callable[[], bool],
) -> None:  # fmt: skip
    """Adds the blocks within a range that differ; joined where they follow one another."""
    for at in range(start, end, _CHUNK):
        if cancelled():
            return
        length = min(_CHUNK, end - at)
        theirs = read_whole(old, min(length, before - at), at) if at < before else b""
        ours = read_whole(made, length, at)
        if theirs == ours:
            continue
        for first in range(0, length, _BLOCK):
            last = min(first + _BLOCK, length)
            if theirs[first:last] != ours[first:last]:
                if writes and writes[-1][1] == at + first:
                    writes[-1] = writes[-1][0], at + last
                else:
                    writes.append((at + first, at + last))


def apply(
    patch: Patch, old: int, made: int, target: int, cancelled: Callable[[], bool]
) -> None:  # fmt: skip
    """Makes the new image of a clone of the old one, or of the old one itself.

    Args:
        patch: What `compare` returned; without `moved` where the target is the old image itself.
        old: The old image.
        made: What was made anew.
        target: Open for writing; becomes as large as `made`.
        cancelled: Asked several times a second.
    """
    os.ftruncate(target, os.fstat(made).st_size)
    for start, end in patch.zeros:
        punch(target, start, end)
    for start, end in patch.writes:
        for at in range(start, end, _CHUNK):
            write_whole(target, read_whole(made, min(_CHUNK, end - at), at), at)
        if cancelled():
            return
    for one in patch.moved:
        take(old, target, one, cancelled)


def punch(file: int, start: int, end: int) -> None:
    """Makes a range of a file zero, as a hole where the file system has them."""
    result = _libc().fallocate(
        file, _PUNCH_HOLE | _KEEP_SIZE, ctypes.c_longlong(start), ctypes.c_longlong(end - start)
    )
    if not result:
        return
    number = ctypes.get_errno()
    if number not in _UNABLE:
        raise OSError(number, os.strerror(number))
    for at in range(start, end, _CHUNK):
        write_whole(file, bytes(min(_CHUNK, end - at)), at)


def _libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    library.fallocate.argtypes = (
        ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong,
    )  # fmt: skip
    return library


def take(old: int, target: int, kept: Reused, cancelled: Callable[[], bool]) -> None:
    """Takes a range over into a file with zeros there: shares blocks, or copies; keeps holes."""
    copy_data(
        old, target, kept.old, kept.old + kept.length, kept.new - kept.old, cancelled
    )  # fmt: skip


def cloned(old: int, path: Path) -> bool:
    """Makes a new file that shares all blocks of another; whether the file system can."""
    target = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        fcntl.ioctl(target, _FICLONE, old)
    except OSError as error:
        path.unlink()
        if error.errno not in _UNABLE:
            raise
        return False
    finally:
        os.close(target)
    return True


def alone(file: int) -> bool:
    """Whether nobody else has a file open, and it has one name: it may be changed in place.

    A write lease is granted only where no other descriptor is open (fcntl(2)); where there are no
    leases, the answer is no.
    """
    status = os.fstat(file)
    if status.st_nlink != 1:
        return False
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return False
    return True


@dataclass(slots=True)
class Undo:
    """What an image in place had where it is overwritten, in a file, until the build is over.

    Attributes:
        path: The file; made anew.
    """

    path: Path
    _ranges: list[Range] = field(default_factory=list)
    _size: int = 0

    def keep(self, image: int, patch: Patch) -> None:
        """Keeps what a patch overwrites."""
        self._size = os.fstat(image).st_size
        with self.path.open("xb") as file:
            for start, end in sorted((*patch.writes, *patch.zeros, *patch.cut)):
                last = min(end, self._size)
                if start < last:
                    self._ranges.append((start, last))
                    for at in range(start, last, _CHUNK):
                        file.write(read_whole(image, min(_CHUNK, last - at), at))

    def undo(self, image: int) -> None:
        """Puts everything back and has it reach the device.

        Raises:
            OSError: It does not go back.
        """
        os.ftruncate(image, self._size)
        with self.path.open("rb") as file:
            for start, end in self._ranges:
                for at in range(start, end, _CHUNK):
                    write_whole(image, file.read(min(_CHUNK, end - at)), at)
        os.fsync(image)


def in_place(patch: Patch, kept: Iterable[Reused], file: int) -> bool:
    """Whether an image is better changed in place than copied, and may be."""
    worth = sum(one.length for one in kept) >= WORTH
    lost = sum(end - start for start, end in (*patch.zeros, *patch.cut))
    little = patch.written + lost <= _MOST_WRITTEN
    return worth and little and not patch.moved and alone(file)
