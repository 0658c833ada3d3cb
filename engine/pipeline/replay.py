"""A record of a build (`build.jsonl`) read back, whole or as a crash left it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.events import (
    AnyEvent,
    BuildFinished,
    BuildStarted,
    StepFinished,
    StepStarted,
    decode,
)
from engine.problem import Problem, Refused


def read_record(path: Path) -> tuple[AnyEvent, ...]:
    """Reads a `build.jsonl`.

    A record that breaks off gets an end that says so.

    Raises:
        Refused: The file cannot be read or is not a record of a build.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise _refused(f"{path} cannot be read: {error.strerror}") from error
    return _complete(_decoded(path, lines))


def _decoded(path: Path, lines: Sequence[bytes]) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            events.append(decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            if number == len(lines) and events:
                break
            raise _refused(f"{path} line {number} is not an event of a build: {error}") from error
    if not any(isinstance(event, BuildStarted) for event in events):
        raise _refused(f"{path} has no build-started event")
    return events


def _complete(events: list[AnyEvent]) -> tuple[AnyEvent, ...]:
    last = events[-1]
    if isinstance(last, BuildFinished):
        return tuple(events)
    over = {event.id for event in events if isinstance(event, StepFinished)}
    begun = [event.id for event in events if isinstance(event, StepStarted)]
    step = next((key for key in begun if key not in over), begun[-1] if begun else None)
    return (
        *events,
        BuildFinished(
            time=last.time,
            status="failed",
            seconds=last.time,
            step=step,
            message="the record breaks off here",
            hint="the build that wrote it was ended from outside; build again",
        ),
    )


def _refused(message: str) -> Refused:
    return Refused([Problem("record", "error", "", message, "give the build.jsonl of a build")])
