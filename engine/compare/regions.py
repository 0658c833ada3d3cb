"""Which structure a byte of a disk belongs to: disjoint regions, each with a name."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Region:
    """A named range of bytes; `end` is exclusive."""

    start: int
    end: int
    what: str


class RegionMap:
    """Regions of a disk, looked up by position. What lies in none is called by `rest`."""

    def __init__(self, regions: Iterable[Region], rest: str) -> None:
        ordered = sorted((r for r in regions if r.end > r.start), key=lambda r: (r.start, -r.end))
        self._regions: list[Region] = []
        for region in ordered:
            taken = self._regions[-1].end if self._regions else 0
            if region.end > taken:
                self._regions.append(Region(max(region.start, taken), region.end, region.what))
        self._starts = [region.start for region in self._regions]
        self._rest = rest

    def cut(self, start: int, end: int) -> list[Region]:
        """Cuts a range at region borders; every byte of it lies in one of the pieces."""
        pieces: list[Region] = []
        at = start
        index = max(bisect_right(self._starts, start) - 1, 0)
        while at < end:
            while index < len(self._regions) and self._regions[index].end <= at:
                index += 1
            region = self._regions[index] if index < len(self._regions) else None
            if region is None or region.start >= end:
                pieces.append(Region(at, end, self._rest))
                return pieces
            if region.start > at:
                pieces.append(Region(at, region.start, self._rest))
                at = region.start
            stop = min(region.end, end)
            pieces.append(Region(at, stop, region.what))
            at = stop
        return pieces


def merge(pieces: Sequence[Region]) -> list[Region]:
    """Joins pieces of one name that follow one another closely into one."""
    merged: list[Region] = []
    for piece in pieces:
        if merged and merged[-1].what == piece.what:
            merged[-1] = Region(merged[-1].start, piece.end, piece.what)
        else:
            merged.append(piece)
    return merged
