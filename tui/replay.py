"""A recorded build (`build.jsonl`) played again, at its own pace or another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from engine.events import AnyEvent, BuildFinished, BuildStarted, Emit, StepStarted, decode
from engine.problem import Problem, Refused

LONGEST_PAUSE = 3.0
"""Seconds that a silence in the record lasts at most."""


def read_record(path: Path) -> tuple[AnyEvent, ...]:
    """Reads a `build.jsonl`.

    A record that breaks off, as a crash leaves it, gets an end that says so.

    Raises:
        Refused: The file cannot be read or is no record of a build.
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
        except msgspec.DecodeError as error:
            if number == len(lines) and events:
                break
            raise _refused(f"{path} line {number} is no event of a build: {error}") from error
    if not events or not isinstance(events[0], BuildStarted):
        raise _refused(f"{path} does not begin with a build-started event")
    return events


def _complete(events: list[AnyEvent]) -> tuple[AnyEvent, ...]:
    last = events[-1]
    if isinstance(last, BuildFinished):
        return tuple(events)
    step = next((e.id for e in reversed(events) if isinstance(e, StepStarted)), None)
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


class ReplayJob:
    """Emits recorded events at the times they were recorded."""

    outdir: Path | None = None

    def __init__(self, events: Iterable[AnyEvent], *, pace: float = 1.0, title: str = "") -> None:
        """Prepares a replay.

        Args:
            events: What was recorded.
            pace: 2 plays twice as fast; 0 without any pause.
            title: What to call it before the first event is out.
        """
        self.events = tuple(events)
        self.pace = pace
        self.title = title
        self.refused: tuple[Problem, ...] = ()

    async def run(self, emit: Emit) -> None:
        """Plays to the end."""
        before = 0.0
        for event in self.events:
            pause = min(event.time - before, LONGEST_PAUSE)
            before = event.time
            if self.pace and pause > 0:
                await asyncio.sleep(pause / self.pace)
            emit(event)
