"""An image brought to a disk: written, flushed and read back step by step; the beginning last.

The first chunk of a disk, with its table, goes out at the end, and what was there before becomes
zeros first. A disk on which this did not come to its end therefore shows no partitions, rather
than those of an image that is not all there.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from engine.disk.gpt import SECTOR_SIZES
from engine.flash.compare import Progress, compare_run, placed, runs
from engine.flash.destination import Destination
from engine.flash.medium import READ, Medium
from engine.flash.outcome import Outcome, conclude, failed
from engine.flash.payload import CHUNK, Cancelled, Payload, Report, is_zero
from engine.image.container import BadImage
from engine.pipeline.moving import place
from engine.units import MIB

SAMPLES = 64
"""Chunks read again at the end: a stick that has less than it says wraps around, and then the
later ones lie where the earlier ones were."""
_TRAILER = MIB
"""Bytes at the end of a disk in which a former table's backup lies."""
_DIGEST = 16
_TABLE = 4096
"""Bytes at the beginning without which there is no table and no file system: MBR, GPT header,
boot sector, superblock. They are a sector, or sectors one after the other."""


class _Stopped(Exception):
    """The writing ended early; how is in the outcome."""


def write(
    payload: Payload, destination: Destination, report: Report, cancelled: Cancelled
) -> Outcome:
    """Writes an image and reads it back. Nothing is raised for what media and people do."""
    outcome = Outcome(bytes=payload.size)
    begun = time.monotonic()
    try:
        with _opened(destination, payload.size) as medium:
            _Writing(payload, destination, medium, outcome, report, cancelled).run()
            outcome.direct = medium.direct
            if destination.device is not None:
                medium.reread_table()
    except _Stopped:
        pass
    except (OSError, BadImage) as error:
        failed(outcome, error, destination)
    outcome.seconds = time.monotonic() - begun
    conclude(outcome, destination)
    return outcome


class _Writing:
    """One image on its way to one medium."""

    def __init__(
        self,
        payload: Payload,
        destination: Destination,
        medium: Medium,
        outcome: Outcome,
        report: Report,
        cancelled: Cancelled,
    ) -> None:
        self._payload, self._medium, self._outcome = payload, medium, outcome
        self._destination, self._cancelled = destination, cancelled
        self._blank = destination.kind == "new"
        self._progress = Progress(report, payload.size)
        self._pending: list[tuple[int, bytes]] = []
        self._waiting = 0
        self._hole = 0, 0
        self._digests: dict[int, tuple[int, bytes]] = {}

    def run(self) -> None:
        """Writes all there is.

        Raises:
            _Stopped: It was cancelled, or what was read back is something else.
            OSError: The medium or the image failed.
            BadImage: The image is damaged.
        """
        if not self._blank:
            self._forget()
        first: tuple[int, int, bytes | None] | None = None
        for at, length, piece in placed(self._payload):
            self._check()
            if first is None:
                first = at, length, piece
                continue
            if piece is None and self._hole_grows(at, length):
                continue
            self._fill_hole()
            if piece is None:
                self._hole = at, length
            else:
                self._take(at, length, piece)
            if self._waiting >= self._medium.step:
                self._settle()
            if not self._pending:
                # The first chunk is still to come, and so are zeros that wait.
                done = at - CHUNK if piece is None else at
                self._progress.to(min(done, self._payload.size - CHUNK))
        self._fill_hole()
        self._settle()
        self._check()
        if first is not None:
            self._begin(*first)
        self._sample()
        self._progress.to(self._payload.size)

    def _check(self) -> None:
        if self._cancelled():
            self._outcome.status = "cancelled"
            raise _Stopped

    def _forget(self) -> None:
        """Removes the beginning of what was there, and the backup of its table."""
        self._medium.zero(0, min(_TABLE, self._payload.size))
        self._medium.flush()
        if self._payload.size > _TABLE:
            self._medium.zero(_TABLE, min(CHUNK, self._payload.size) - _TABLE)
        end = self._destination.bytes
        for sector in SECTOR_SIZES:
            at = end // sector * sector - sector
            behind = at >= self._payload.size
            if behind and self._medium.read(at // CHUNK * CHUNK, CHUNK)[at % CHUNK :].startswith(
                b"EFI PART"
            ):
                self._medium.zero(at, sector)
        self._medium.flush()

    def _hole_grows(self, at: int, length: int) -> bool:
        """Whether zeros follow on those that wait to be looked at, and may wait as well."""
        start, so_far = self._hole
        if not so_far or at != start + so_far or so_far + length > READ:
            return False
        self._hole = start, so_far + length
        return True

    def _fill_hole(self) -> None:
        """Sees to it that there are zeros where the image has zeros; reads before it writes."""
        start, length = self._hole
        self._hole = 0, 0
        if not length:
            return
        found = b"" if self._blank else self._medium.read(start, length)
        for at in range(0, length, CHUNK):
            count = min(CHUNK, length - at)
            seen = found[at : at + count]
            if self._blank or (len(seen) == count and is_zero(seen)):
                self._outcome.skipped += count
            else:
                self._medium.zero(start + at, count)
                self._outcome.zeroed += count
                self._wait_for(start + at, bytes(count))

    def _take(self, at: int, length: int, piece: bytes | None) -> None:
        if piece is not None:
            self._medium.write(at, piece)
            self._outcome.written += length
            self._wait_for(at, piece)
        else:
            self._hole = at, length
            self._fill_hole()

    def _begin(self, at: int, length: int, piece: bytes | None) -> None:
        """Writes the first chunk, and of that the sectors that make it a disk at the very end."""
        whole = bytes(length) if piece is None else piece
        if length > _TABLE:
            rest = whole[_TABLE:]
            self._take(_TABLE, len(rest), None if is_zero(rest) else rest)
            self._settle()
        table = whole[:_TABLE]
        self._take(at, len(table), None if is_zero(table) else table)
        self._settle()

    def _wait_for(self, at: int, piece: bytes) -> None:
        self._pending.append((at, piece))
        self._waiting += len(piece)

    def _settle(self) -> None:
        """Has all that was written so far on the medium, and reads it back."""
        if not self._pending:
            return
        self._medium.flush()
        pending = ((at, len(piece), piece) for at, piece in self._pending)
        for begun, pieces in runs(pending):
            compare_run(self._outcome, self._medium, begun, pieces)
            self._confirm()
        for at, piece in self._pending:
            self._digests[at] = len(piece), _digest(piece)
        self._pending.clear()
        self._waiting = 0

    def _sample(self) -> None:
        places = sorted(self._digests)
        for at in places[:: max(len(places) // SAMPLES, 1)]:
            self._check()
            length, digest = self._digests[at]
            if _digest(self._medium.read(at, length)) != digest:
                self._outcome.status, self._outcome.at = "different", at
                self._outcome.different = 1
                self._outcome.message = (
                    f"what was written and read back well at byte {at} has changed since: "
                    f"{self._destination.path} has less room than it says, or is defective"
                )
                raise _Stopped

    def _confirm(self) -> None:
        if self._outcome.different:
            self._outcome.status = "different"
            self._outcome.message = (
                f"{self._destination.path} does not keep what is written to it: what was read back "
                f"differs at byte {self._outcome.at}"
            )
            raise _Stopped


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST).digest()


@contextlib.contextmanager
def _opened(destination: Destination, size: int) -> Iterator[Medium]:
    """Opens what is written to; a new file gets its name when it is complete.

    Raises:
        OSError: It cannot be opened or made.
    """
    if destination.kind != "new":
        with Medium(
            destination.real, writing=True, exclusive=destination.device is not None
        ) as medium:
            yield medium
        return
    part = destination.real.parent / f".{destination.real.name}.diskwright-part"
    handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        # One that a killed process left is taken over; the lock says that none is at work.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(handle, 0)
        try:
            with Medium(part, writing=True, exclusive=False) as medium:
                medium.resize(size)
                yield medium
            os.fsync(handle)
            _name(part, destination.real)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    finally:
        os.close(handle)


def _name(part: Path, final: Path) -> None:
    """Gives a complete file its name, which nothing has, or an empty file."""
    with contextlib.suppress(FileNotFoundError):
        if not final.stat().st_size:
            part.replace(final)
    if part.exists():
        place(part, final)
    handle = os.open(final.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
