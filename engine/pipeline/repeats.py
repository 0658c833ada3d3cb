"""Digests of images that begin alike, or have the same volumes in the same places.

Images of a fleet that share a volume have the same bytes there, which is known without a look at
them: a part of an image goes by the key of what is in it. SHA-256 is a chain: where two images are
the same up to the end of a part, so is its state there. A Merkle tree knows its branches: those of
a part are the same wherever it lies alike.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from engine.image.whole import BLOCK
from engine.pipeline.taking import Sum, take_range
from engine.plan.model import Plan
from engine.provenance.fsverity import GROUP, FsVerity

_MOST = 64
"""Parts whose branches are kept: some 64 bytes for each 512 KiB."""
_WAIT_SECONDS = 0.05
_WRITES_LATER = frozenset({"hook", "loader-boot-code", "nixos-loader", "nixos-guest"})
"""Verbs of steps that write to volumes after these are made and filled."""


@dataclass(frozen=True, slots=True)
class Part:
    """A range of an image whose bytes follow from a key.

    Attributes:
        end: The byte behind its last.
    """

    key: str
    start: int
    end: int

    @property
    def groups(self) -> range:
        """Numbers of the whole groups of the image in it (`engine.provenance.fsverity.GROUP`)."""
        return range(-(-self.start // GROUP), self.end // GROUP)


class Hashed:
    """What was computed of parts, in one process.

    Attributes:
        states: Of SHA-256 behind a part, by the digest of all before it.
        branches: Of Merkle trees.
        reading: Parts that somebody computes a state of just now.
    """

    def __init__(self) -> None:
        self.reading: set[Part] = set()
        self.states: dict[tuple[str, Part], Sum] = {}
        self.branches: dict[tuple[str, int], dict[int, bytes]] = {}
        self._turns: dict[tuple[str, Part], threading.Lock] = {}

    @contextlib.contextmanager
    def turn(self, what: tuple[str, Part], cancelled: Callable[[], bool]) -> Iterator[None]:
        """Waits while another build of this process computes the same state."""
        lock = self._turns.setdefault(what, threading.Lock())
        while not (held := lock.acquire(timeout=_WAIT_SECONDS)) and not cancelled():
            pass
        try:
            yield
        finally:
            if held:
                lock.release()


@dataclass(slots=True)
class Repeats:
    """What one image has in common with others.

    Attributes:
        hashed: What is known of parts.
        parts: Those of the image.
    """

    hashed: Hashed = field(default_factory=Hashed)
    parts: list[Part] = field(default_factory=list)

    def of(self, plan: Plan) -> tuple[Part, ...]:
        """Returns the parts of the finished image, in order; none if anything else wrote there."""
        if any(step.verb in _WRITES_LATER for step in plan.steps) or plan.hash_trees:
            return ()
        whole = (part for part in self.parts if not part.start % BLOCK and not part.end % BLOCK)
        return tuple(sorted(whole, key=lambda part: part.start))

    def taken(
        self,
        path: Path,
        kinds: Iterable[str],
        parts: Sequence[Part],
        report: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> dict[str, Sum | FsVerity]:
        """Returns what `engine.pipeline.packing.taken` does, and reads no part that is known."""
        return {
            kind: (self._summed if kind == "sha256" else self._branched)(
                path, parts, report, cancelled
            )
            for kind in kinds
        }

    def _summed(
        self,
        path: Path,
        parts: Sequence[Part],
        report: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> Sum:
        taker, at, size = Sum(), 0, path.stat().st_size
        with path.open("rb", buffering=0) as reader:
            take = partial(_take, reader.fileno(), lambda done, _: report(done, size), cancelled)
            for part in parts:
                take(taker, at, part.start)
                before = taker.digest(), part
                with self.hashed.turn(before, cancelled):
                    after = self.hashed.states.get(before)
                    if after is None:
                        self.hashed.reading.add(part)
                        try:
                            take(taker, part.start, part.end)
                        finally:
                            self.hashed.reading.discard(part)
                        if cancelled():
                            return taker
                        after = self.hashed.states[before] = taker.copy()
                taker = after.copy()
                at = part.end
                report(at, size)
            take(taker, at, size)
        report(size, size)
        return taker

    def _branched(
        self,
        path: Path,
        parts: Sequence[Part],
        report: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> FsVerity:
        taker, at, size = FsVerity(), 0, path.stat().st_size
        with path.open("rb", buffering=0) as reader:
            take = partial(_take, reader.fileno(), lambda done, _: report(done, size), cancelled)
            for part in parts:
                known = self.hashed.branches.get((part.key, part.start % GROUP))
                if known is None or not part.groups:
                    continue
                first = part.groups[0]
                take(taker, at, first * GROUP)
                if cancelled():
                    return taker
                for number in part.groups:
                    if number - first in known:
                        taker.group(known[number - first])
                    else:
                        taker.hole(GROUP)
                at = (part.groups[-1] + 1) * GROUP
                report(at, size)
            take(taker, at, size)
        report(size, size)
        if not cancelled():
            self._keep(taker, parts)
        return taker

    def _keep(self, taker: FsVerity, parts: Sequence[Part]) -> None:
        if len(self.hashed.branches) > _MOST:
            self.hashed.branches.clear()
        for part in parts:
            if part.groups:
                first = part.groups[0]
                self.hashed.branches[part.key, part.start % GROUP] = {
                    number - first: taker.groups[number]
                    for number in part.groups
                    if number in taker.groups
                }


def _take(
    handle: int,
    report: Callable[[int, int], None],
    cancelled: Callable[[], bool],
    taker: Sum | FsVerity,
    start: int,
    end: int,
) -> None:
    take_range(handle, (start, end), [taker], cancelled, report)
