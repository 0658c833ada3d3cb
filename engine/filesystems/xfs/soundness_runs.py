"""Finds blocks of an XFS that two things have."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Run(NamedTuple):
    """Some blocks, by the number of the first, and what has them."""

    block: int
    blocks: int
    what: str


def overlaps(runs: Sequence[Run], shared: Sequence[Run]) -> Iterator[tuple[int, str, str]]:
    """Yields blocks that two runs have, with what both are; one for each pair that touches.

    Args:
        runs: What has which blocks.
        shared: Blocks that several files may have.
    """
    allowed = _merged(shared)
    starts = [start for start, _ in allowed]
    before = Run(0, 0, "")
    for run in sorted(runs):
        end = before.block + before.blocks
        if run.block < end:
            last = min(end, run.block + run.blocks)
            at = bisect_right(starts, run.block) - 1
            if at < 0 or last > allowed[at][1]:
                yield run.block, before.what, run.what
        if run.block + run.blocks > end:
            before = run


def _merged(runs: Sequence[Run]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for block, count, _ in sorted(runs):
        if merged and block <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], block + count)
        else:
            merged.append((block, block + count))
    return merged
