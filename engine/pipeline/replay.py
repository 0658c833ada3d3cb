"""A record of a build (`build.jsonl`) read back, whole or as a crash left it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

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

Event = TypeVar("Event")

_HINT = "give the build.jsonl of a build"


def read_record(path: Path) -> tuple[AnyEvent, ...]:
    """Reads a `build.jsonl`.

    A record that breaks off gets an end that says so.

    Raises:
        Refused: The file cannot be read or is not a record of a build.
    """
    events = recorded(path, decode, "a build", _HINT)
    if not any(isinstance(event, BuildStarted) for event in events):
        raise _refused(f"{path} has no build-started event", _HINT)
    return _complete(events)


def recorded(path: Path, read: Callable[[bytes], Event], whose: str, hint: str) -> list[Event]:
    """Returns the events of a record, a line each; a last line that is cut off is passed over.

    Args:
        path: The record.
        read: Makes an event of a line.
        whose: Events it has, as in "a build".
        hint: What to give instead.

    Raises:
        Refused: The file cannot be read, or a line is something else.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise _refused(f"{path} cannot be read: {error.strerror}", hint) from error
    events: list[Event] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            events.append(read(line))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            if number == len(lines) and events:
                break
            what = f"{path} line {number} is not an event of {whose}: {error}"
            raise _refused(what, hint) from error
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


def _refused(message: str, hint: str) -> Refused:
    return Refused([Problem("record", "error", "", message, hint)])
