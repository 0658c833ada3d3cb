"""Puts a new image together from one that is there and what was made anew.

The build has made a whole image but for ranges that the old one already has (`Reused`); those are
holes in it. What is written here are the differences alone, in one of these ways:

    clone     the old image is cloned (FICLONE) where the file system can share blocks, and the
              clone is changed
    in place  the old image itself is moved away from its name and changed: for large ones on file
              systems without clones. What is overwritten is kept until the end, so that a build
              that fails or is cancelled puts the old image back
    shift     the same, where data moves: the file system moves blocks without copying them
              (`engine.pipeline.shifting`)
    copy      what is kept is copied into what was made anew
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from engine.image.whole import read_whole, write_whole
from engine.pipeline.falloc import UNABLE, punch
from engine.pipeline.sparse import copy_data, data_ranges

Manner = Literal["clone", "in place", "shift", "copy"]

WORTH = 64 << 20
"""Bytes kept from which on an image is changed in place: less is copied in no time."""

MOST_WRITTEN = 256 << 20
"""Bytes up to which an image is changed in place: what is overwritten is kept meanwhile."""

_BLOCK = 4096
_CHUNK = 1 << 20
_FICLONE = 0x40049409

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
        add(found, one)
    return found


def add(kept: list[Reused], one: Reused) -> None:
    """Adds a range, or makes the last one longer if it follows that in both images."""
    last = kept[-1] if kept else None
    if last and last.new + last.length == one.new and last.old + last.length == one.old:
        kept[-1] = Reused(last.new, last.old, last.length + one.length)
    else:
        kept.append(one)


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
    def overwritten(self) -> list[Range]:
        """All of the old image that is gone once it was changed in its place, in order."""
        return sorted((*self.writes, *self.zeros, *self.cut))

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
        if error.errno not in UNABLE:
            raise
        return False
    finally:
        os.close(target)
    return True


def alone(file: int) -> bool:
    """Whether a file may be changed in place: nobody else has it open, and it has one name.

    A write lease is granted only where no other descriptor is open (fcntl(2)); where there are no
    leases, the answer is no.
    """
    status = os.fstat(file)
    if status.st_nlink != 1 or not os.access(f"/proc/self/fd/{file}", os.W_OK):
        return False
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return False
    return True


def in_place(patch: Patch, kept: Iterable[Reused], file: int) -> bool:
    """Whether an image is better changed in place than copied, and may be."""
    lost = sum(end - start for start, end in (*patch.zeros, *patch.cut))
    little = patch.written + lost <= MOST_WRITTEN
    return not patch.moved and little and worth(kept) and alone(file)


def worth(kept: Iterable[Reused]) -> bool:
    """Whether so much is kept that copying it takes time."""
    return sum(one.length for one in kept) >= WORTH
