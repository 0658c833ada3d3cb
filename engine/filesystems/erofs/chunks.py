"""Files with holes: the chunks that an EROFS keeps them in.

A chunk is a power of two of blocks, and is stored or is a hole as a whole; each takes four bytes
of index. Larger chunks have a shorter index but store some of the holes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.filesystems.erofs.format import BLOCK_SIZE, MAX_CHUNK_BITS

Runs = tuple[tuple[int, int], ...]
"""First and number, of blocks or of chunks; rising, apart from one another."""

_INDEX_ENTRY = 4


@dataclass(frozen=True, slots=True)
class Chunks:
    """How a file is cut.

    Attributes:
        bits: Logarithm of the blocks of a chunk.
        count: Chunks of the file.
        runs: Those that are stored.
        blocks: Blocks of the file.
    """

    bits: int
    count: int
    runs: Runs
    blocks: int

    @property
    def index_bytes(self) -> int:
        """Bytes of the index."""
        return self.count * _INDEX_ENTRY

    def pieces(self) -> list[tuple[int, int]]:
        """Returns first and number of the blocks of each run; the file may end in a chunk."""
        ends = (min((first + count) << self.bits, self.blocks) for first, count in self.runs)
        return [
            (first << self.bits, end - (first << self.bits))
            for (first, _), end in zip(self.runs, ends, strict=True)
        ]

    @property
    def stored(self) -> int:
        """Blocks that are stored."""
        return sum(count for _, count in self.pieces())


def block_runs(extents: Iterable[tuple[int, int]]) -> Runs:
    """Returns the blocks that data ranges (offset, length) touch."""
    return _merged(
        (offset // BLOCK_SIZE, -(-(offset + length) // BLOCK_SIZE))
        for offset, length in extents
        if length
    )


def chunks(size: int, extents: Iterable[tuple[int, int]]) -> Chunks:
    """Returns the chunks of a file that take the least room, the largest of those."""
    blocks = -(-size // BLOCK_SIZE)
    runs = block_runs(extents)
    bits = _common_bits(runs, blocks)
    best = _cut(bits, runs, blocks)
    least = _cost(best)
    # No cut can save more than the index takes, so that a small one ends the search.
    while bits < MAX_CHUNK_BITS and best.index_bytes > BLOCK_SIZE:
        bits += 1
        cut = _cut(bits, runs, blocks)
        if _cost(cut) <= least:
            best, least = cut, _cost(cut)
        elif cut.stored * BLOCK_SIZE > least:
            break
    return best


def _cost(cut: Chunks) -> int:
    return cut.index_bytes + cut.stored * BLOCK_SIZE


def _cut(bits: int, runs: Runs, blocks: int) -> Chunks:
    merged = _merged((first >> bits, -(-(first + count) >> bits)) for first, count in runs)
    return Chunks(bits, -(-blocks >> bits), merged, blocks)


def _common_bits(runs: Runs, blocks: int) -> int:
    """Returns the logarithm of the largest chunk at whose borders all runs begin and end."""
    borders = 1 << MAX_CHUNK_BITS
    for first, count in runs:
        end = first + count
        borders |= first | (end if end < blocks else 0)
    return (borders & -borders).bit_length() - 1


def _merged(spans: Iterable[tuple[int, int]]) -> Runs:
    """Joins spans (first, end), rising, that touch; returns runs."""
    merged: list[tuple[int, int]] = []
    for first, end in spans:
        if merged and first <= merged[-1][0] + merged[-1][1]:
            start = merged[-1][0]
            merged[-1] = start, max(end, start + merged[-1][1]) - start
        else:
            merged.append((first, end - first))
    return tuple(merged)
