"""Data that moves within an image without being copied: blocks put in before it, or taken out.

Where a file of a volume grows by a block, all behind it moves by a block. In an image that is
changed in its place, that is one hole put in, which moves no byte (`engine.pipeline.falloc`). What
stays where it is between data that moves, such as copies of a superblock, is written again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from engine.pipeline.falloc import collapse, insert
from engine.pipeline.takeover import Range, Reused

COST = 256 << 10
"""Bytes that are as well copied as moved by one shift."""
_MOST_RUNS = 4000
"""Runs that are thought about, the longest."""
_LOOK_BACK = 64
"""Runs before one that it may follow. What is out of order is a few files, as a rule."""


class Shift(NamedTuple):
    """A change of a file's length within it.

    Attributes:
        at: A byte of the file as it is then.
        length: Bytes put in there, or, if negative, taken out from there on.
    """

    at: int
    length: int

    def apply(self, file: int) -> None:
        """Does it.

        Raises:
            OSError: The file system cannot.
        """
        if self.length > 0:
            insert(file, self.at, self.length)
        else:
            collapse(file, self.at, -self.length)

    def undo(self, file: int) -> None:
        """Does the opposite: what was taken out is a hole then.

        Raises:
            OSError: The file system cannot.
        """
        Shift(self.at, -self.length).apply(file)


@dataclass(frozen=True, slots=True)
class Shifts:
    """How a file gets most of what it keeps to where that is to be.

    Attributes:
        shifts: What is done, in this order.
        carried: What is then in its place, in order.
        rest: What has to be copied before.
    """

    shifts: list[Shift]
    carried: list[Reused]
    rest: list[Reused]

    def left(self, size: int) -> Iterator[Range]:
        """Yields the ranges of the old file that are not carried."""
        at = 0
        for one in self.carried:
            if one.old > at:
                yield at, one.old
            at = one.old + one.length
        if at < size:
            yield at, size


def shifts(kept: Sequence[Reused], block: int) -> Shifts:
    """Returns how to move what is kept.

    Args:
        kept: In order of the new file, and not overlapping there.
        block: Bytes of a block of the file system that the file is on.
    """
    likely = sorted(sorted(kept, key=lambda one: one.length)[-_MOST_RUNS:])
    whole = (_trimmed(one, block) for one in likely)
    carried = _chain([one for one in whole if one is not None])
    steps: list[Shift] = []
    last = Reused(0, 0, 0)
    for one in carried:
        before, now = last.new - last.old, one.new - one.old
        if now != before:
            # What is between the two is metadata that has not moved: it stays with what has not.
            behind = one.old + min(before, now) if not before else last.new + last.length
            steps.append(Shift(behind, now - before))
        last = one
    return Shifts(steps, carried, list(_without(kept, carried)))


def _trimmed(one: Reused, block: int) -> Reused | None:
    """Returns the whole blocks of a run, if it moves by whole blocks and has any."""
    if (one.new - one.old) % block:
        return None
    head = -one.new % block
    length = (one.length - head) // block * block
    return Reused(one.new + head, one.old + head, length) if length > 0 else None


def _chain(runs: Sequence[Reused]) -> list[Reused]:
    """Returns the runs, in the same order in both files, that save most bytes.

    Each shift between two counts as `COST`.
    """
    saved: list[int] = []
    before: list[int] = []
    for number, one in enumerate(runs):
        shift = one.new - one.old
        best, where = -COST if shift else 0, -1
        for other in range(max(number - _LOOK_BACK, 0), number):
            there = runs[other]
            if there.old + there.length <= one.old:
                gain = saved[other] - (COST if there.new - there.old != shift else 0)
                if gain > best:
                    best, where = gain, other
        saved.append(best + one.length)
        before.append(where)
    found: list[Reused] = []
    at = max(range(len(runs)), key=saved.__getitem__, default=-1)
    while at >= 0:
        found.append(runs[at])
        at = before[at]
    return found[::-1]


def _without(kept: Iterable[Reused], carried: Iterable[Reused]) -> Iterator[Reused]:
    """Yields what is kept and not carried, in order."""
    inside = iter(carried)
    next_ = next(inside, None)
    for one in kept:
        at, end = one.new, one.new + one.length
        while next_ is not None and next_.new < end:
            if next_.new > at:
                yield Reused(at, at - one.new + one.old, next_.new - at)
            at = next_.new + next_.length
            next_ = next(inside, None)
        if at < end:
            yield Reused(at, at - one.new + one.old, end - at)
