"""Finding the bytes in which two disks differ, at the speed of reading what is allocated."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from engine.image.container import Disk

_PIECE = 1 << 20
_GRAIN = 64
"""Differing bytes closer than this are reported as one range."""

_DIFFERENT = re.compile(rb"[^\0]")
_EQUAL = bytes(_GRAIN)

Range = tuple[int, int]
"""Start and end (exclusive), in bytes."""


def union(left: Iterable[Range], right: Iterable[Range]) -> Iterator[Range]:
    """Yields the ranges that either side covers, merged. Ranges are (offset, length)."""
    spans = sorted([(a, a + n) for a, n in left] + [(a, a + n) for a, n in right])
    start = end = -1
    for first, last in spans:
        if first > end:
            if end > start:
                yield start, end
            start, end = first, last
        else:
            end = max(end, last)
    if end > start:
        yield start, end


Reached = Callable[[int, int], None]
"""Told the bytes compared and their sum; what it raises ends the comparison."""


def unwatched(_done: int, _total: int) -> None:
    """Lets a comparison run on."""


def differing(a: Disk, b: Disk, reached: Reached = unwatched) -> Iterator[Range]:
    """Yields the ranges in which two disks differ, over the length that both have.

    Bytes that neither disk allocates are equal: both read as zeros.
    """
    common = min(a.size, b.size)
    pending: Range | None = None
    for start, end in union(a.allocated(), b.allocated()):
        for at in range(start, min(end, common), _PIECE):
            reached(at, common)
            length = min(_PIECE, min(end, common) - at)
            left, right = a.read(at, length), b.read(at, length)
            if left == right:
                continue
            for first, last in _runs(left, right):
                if pending and at + first - pending[1] < _GRAIN:
                    pending = (pending[0], at + last)
                else:
                    if pending:
                        yield pending
                    pending = (at + first, at + last)
    if pending:
        yield pending


def _runs(left: bytes, right: bytes) -> Iterator[Range]:
    """Yields differing runs of two equally long, unequal pieces."""
    mixed = int.from_bytes(left, "little") ^ int.from_bytes(right, "little")
    delta = mixed.to_bytes(len(left), "little")
    end = len(delta.rstrip(b"\0"))
    found = _DIFFERENT.search(delta)
    while found:
        gap = delta.find(_EQUAL, found.start(), end)
        if gap < 0:
            yield found.start(), end
            return
        yield found.start(), gap
        found = _DIFFERENT.search(delta, gap)
