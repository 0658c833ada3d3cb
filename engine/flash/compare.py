"""Holds what is on a disk against an image, chunk by chunk."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from engine.flash.destination import Destination
from engine.flash.medium import READ, Medium
from engine.flash.outcome import Outcome, failed
from engine.flash.payload import CHUNK, Cancelled, Payload, Report
from engine.image.container import BadImage
from engine.units import human

_REPORT_SECONDS = 0.05


def compare(
    payload: Payload, destination: Destination, report: Report, cancelled: Cancelled
) -> Outcome:
    """Compares a disk with an image, to the end; writes nothing."""
    outcome = Outcome(bytes=payload.size)
    begun = time.monotonic()
    progress = Progress(report, payload.size)
    try:
        with Medium(destination.real, writing=False, exclusive=False) as medium:
            for at, pieces in runs(placed(payload)):
                if cancelled():
                    outcome.status = "cancelled"
                    outcome.message = f"cancelled after {human(at)} of {human(payload.size)}"
                    break
                compare_run(outcome, medium, at, pieces)
                progress.to(min(at + sum(map(len, pieces)), payload.size))
            outcome.direct = medium.direct
    except (OSError, BadImage) as error:
        failed(outcome, error, destination)
    outcome.seconds = time.monotonic() - begun
    if outcome.status == "ok" and outcome.different:
        outcome.status = "different"
        outcome.message = (
            f"{destination.path} differs from the image from byte {outcome.at} on, in "
            f"{outcome.different} of {-(-payload.size // CHUNK)} MiB"
        )
    return outcome


def placed(payload: Payload) -> Iterator[tuple[int, int, bytes | None]]:
    """Yields chunks with where they go and how long they are, zeros as None.

    Raises:
        BadImage: There are more or fewer than before.
    """
    count = 0
    for piece in payload.pieces():
        at = count * CHUNK
        length = min(CHUNK, payload.size - at)
        if length <= 0 or (piece is not None and len(piece) != length):
            raise BadImage(f"{payload.path.name} changed while it was read")
        yield at, length, piece
        count += 1
    if count * CHUNK < payload.size:
        raise BadImage(f"{payload.path.name} changed while it was read")
    for at, piece in payload.tail:
        yield at, len(piece), piece


def runs(placed: Iterator[tuple[int, int, bytes | None]]) -> Iterator[tuple[int, list[bytes]]]:
    """Yields chunks that follow one another, as many as are read at once."""
    start, pieces, length = 0, list[bytes](), 0
    for at, count, piece in placed:
        if pieces and (at != start + length or length + count > READ):
            yield start, pieces
            pieces, length = [], 0
        if not pieces:
            start = at
        pieces.append(bytes(count) if piece is None else piece)
        length += count
    if pieces:
        yield start, pieces


def compare_run(outcome: Outcome, medium: Medium, at: int, pieces: Sequence[bytes]) -> None:
    """Compares chunks that follow one another with what a medium has, in one reading."""
    found = memoryview(medium.read(at, sum(map(len, pieces))))
    done = 0
    for piece in pieces:
        _compare(outcome, at + done, piece, bytes(found[done : done + len(piece)]))
        done += len(piece)


def _compare(outcome: Outcome, at: int, wanted: bytes, found: bytes) -> None:
    outcome.compared += len(wanted)
    if wanted == found:
        return
    outcome.different += 1
    if outcome.at is None:
        pairs = enumerate(zip(wanted, found, strict=False))
        outcome.at = at + next((n for n, (a, b) in pairs if a != b), len(found))


class Progress:
    """Reports at most twenty times a second, and the end."""

    def __init__(self, report: Report, total: int) -> None:
        self._report, self._total, self._said = report, total, 0.0

    def to(self, done: int) -> None:
        now = time.monotonic()
        if done >= self._total or now - self._said >= _REPORT_SECONDS:
            self._said = now
            self._report(done, self._total)
