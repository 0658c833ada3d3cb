"""One pass over a file, whose holes are not read, for all that want its bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from engine.image.whole import BLOCK, fill_whole, zeros
from engine.pipeline.sparse import data_ranges

_CHUNK = 1 << 20
_HOLE_AT_ONCE = 1 << 30


class Taker(Protocol):
    """Takes an image from its first byte to its last."""

    def data(self, piece: memoryview) -> None:
        """Takes the next bytes."""

    def hole(self, length: int) -> None:
        """Takes that many zeros."""


class Sum:
    """SHA-256 of all that was taken."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def data(self, piece: memoryview) -> None:
        """Takes the next bytes."""
        self._digest.update(piece)

    def hole(self, length: int) -> None:
        """Takes that many zeros."""
        for piece in zeros(length):
            self._digest.update(piece)

    def copy(self) -> Sum:
        """Returns another that has taken the same and goes on by itself."""
        other = Sum()
        other._digest = self._digest.copy()
        return other

    def digest(self) -> str:
        """Returns the sum of what was taken so far, in hexadecimal."""
        return self._digest.hexdigest()


def take_all(
    path: Path,
    takers: Iterable[Taker],
    report: Callable[[int, int], None],
    cancelled: Callable[[], bool],
) -> None:
    """Reads an image once, its holes not at all, and hands every piece to all takers."""
    wanted = list(takers)
    with path.open("rb", buffering=0) as reader:
        size = os.fstat(reader.fileno()).st_size
        take_range(reader.fileno(), (0, size), wanted, cancelled, report)
    report(size, size)


def take_range(
    handle: int,
    wanted: tuple[int, int],
    takers: Sequence[Taker],
    cancelled: Callable[[], bool],
    report: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Hands the bytes of a file from one to another, which is at a block or its end, to takers."""
    at, last = wanted
    buffer = memoryview(bytearray(_CHUNK))
    for first, end in _block_ranges(data_ranges(handle, at, last), last):
        _hole(takers, first - at, cancelled)
        at = first
        while at < end and not cancelled():
            piece = buffer[: min(_CHUNK, end - at)]
            fill_whole(handle, piece, at)
            for taker in takers:
                taker.data(piece)
            at += len(piece)
            report(at, last)
    _hole(takers, last - at, cancelled)


def _hole(takers: Iterable[Taker], length: int, cancelled: Callable[[], bool]) -> None:
    """Hands a hole to all takers, in pieces that leave time to be cancelled."""
    while length and not cancelled():
        piece = min(length, _HOLE_AT_ONCE)
        for taker in takers:
            taker.hole(piece)
        length -= piece


def _block_ranges(ranges: Iterable[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """Yields ranges widened to whole blocks and joined where they then meet."""
    start = end = 0
    for begun, ended in ranges:
        first, last = begun // BLOCK * BLOCK, min(-(-ended // BLOCK) * BLOCK, size)
        if first <= end and end:
            end = max(end, last)
            continue
        if end > start:
            yield start, end
        start, end = first, last
    if end > start:
        yield start, end
