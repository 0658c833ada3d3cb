"""The fs-verity digest of a file that changed, from what is known of it as it was."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.pipeline.sparse import data_ranges
from engine.pipeline.takeover import Range, Reused
from engine.pipeline.taking import take_range
from engine.provenance.fsverity import BLOCK, DIGEST, GROUP, FsVerity
from engine.reuse.leaves import Leaves


@dataclass(frozen=True, slots=True)
class Changes:
    """How a file differs from what it was.

    Attributes:
        size: Bytes that it had; what was behind its end counts as zeros.
        touched: Ranges that may differ from what was there, in order.
        moved: Of them, what was elsewhere.
    """

    size: int
    touched: Sequence[Range]
    moved: Sequence[Reused] = ()


def verity_again(
    path: Path, groups: dict[int, bytes], leaves: Leaves, changes: Changes, verity: FsVerity,
    cancelled: Callable[[], bool],
) -> FsVerity:  # fmt: skip
    """Has a digest computed of a changed file, reading only what is not known.

    Args:
        path: The file.
        groups: `FsVerity.groups` of what it was.
        leaves: The digests of its blocks, as far as they are known.
        changes: Since then.
        verity: Takes the file.
        cancelled: Asked several times a second.
    """
    with path.open("rb", buffering=0) as reader:
        file = reader.fileno()
        length = os.fstat(file).st_size
        spans = _spans(changes, length)
        again = {
            number
            for first, last in spans
            for start, end in data_ranges(file, first * GROUP, min(last * GROUP, length))
            for number in range(start // GROUP, -(-end // GROUP))
        }
        rehash = _Rehash(file, leaves, _known(changes, length), verity, cancelled)
        stay = [number for number in groups if not _within(number, spans)]
        at = 0
        for number in sorted([*again, *stay]):
            if cancelled():
                break
            verity.hole((number - at) * GROUP)
            if number in again:
                rehash.part(number * GROUP, min((number + 1) * GROUP, length))
            else:
                verity.group(groups[number], leaves.raw(number))
            at = number + 1
        verity.hole(max(length - at * GROUP, 0))
    return verity


def _spans(changes: Changes, length: int) -> list[Range]:
    """Returns ranges of groups that are not the same; so are the last ones, unless they are whole.

    Groups behind the old end are new, those behind the new one are gone.
    """
    first, last = sorted((changes.size // GROUP, length // GROUP))
    found: list[Range] = []
    for start, end in sorted([*changes.touched, (first * GROUP, (last + 1) * GROUP)]):
        begin, behind = start // GROUP, -(-end // GROUP)
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], behind)
        elif begin < behind:
            found.append((begin, behind))
    return found


def _within(number: int, spans: Sequence[Range]) -> bool:
    at = bisect_right(spans, number, key=lambda span: span[0]) - 1
    return at >= 0 and number < spans[at][1]


def _known(changes: Changes, length: int) -> list[Reused]:
    """Returns what the file has of what it was, in order: what stayed, and what moved."""
    found = [one for one in changes.moved if not (one.new - one.old) % BLOCK]
    at, end = 0, min(changes.size, length)
    for start, behind in (*changes.touched, (end, end)):
        if start > at:
            found.append(Reused(at, at, min(start, end) - at))
        at = max(at, behind)
    return sorted(one for one in found if one.length > 0)


class _Rehash:
    """Hands parts of a file to what computes its digest: blocks that are known by their digests."""

    def __init__(
        self, file: int, leaves: Leaves, known: Sequence[Reused], verity: FsVerity,
        cancelled: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._file = file
        self._leaves = leaves
        self._known = known
        self._verity = verity
        self._cancelled = cancelled

    def part(self, start: int, end: int) -> None:
        """Hands over a range that begins with a group and lies within it."""
        at = start
        for here, there, length in self._pieces(start, end):
            number, within = divmod(there, GROUP)
            digests = self._leaves.of(number)
            if digests is None:
                continue
            self._read(at, here)
            if digests:
                first = within // BLOCK * DIGEST
                self._verity.leaves(digests[first : first + length // BLOCK * DIGEST])
            else:
                self._verity.hole(length)
            at = here + length
        self._read(at, end)

    def _pieces(self, start: int, end: int) -> Iterator[Reused]:
        """Yields whole blocks of what is known, each within a group of what was."""
        index = max(bisect_right(self._known, start, key=lambda one: one.new) - 1, 0)
        while index < len(self._known) and self._known[index].new < end:
            one = self._known[index]
            first = -(-max(one.new, start) // BLOCK) * BLOCK
            last = min(one.new + one.length, end) // BLOCK * BLOCK
            while first < last:
                old = first - one.new + one.old
                length = min(last - first, GROUP - old % GROUP)
                yield Reused(first, old, length)
                first += length
            index += 1

    def _read(self, start: int, end: int) -> None:
        if start < end:
            take_range(self._file, (start, end), [self._verity], self._cancelled)
