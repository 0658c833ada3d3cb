"""A record of a fleet (`fleet.jsonl`) read back, whole or as a crash left it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec

from engine.fleet.events import FleetEvent, FleetFinished, FleetStarted, RowFinished, State, decode
from engine.problem import Problem, Refused

_FIRST = b'{"event":"fleet-started"'


def is_fleet_record(path: Path) -> bool:
    """Whether a file begins as the record of a fleet does."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(_FIRST)) == _FIRST
    except OSError:
        return False


def read_fleet_record(path: Path) -> tuple[FleetEvent, ...]:
    """Reads a `fleet.jsonl`; one that breaks off gets an end that says so.

    Raises:
        Refused: The file cannot be read or is not a record of a fleet.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise _refused(f"{path} cannot be read: {error.strerror}") from error
    events: list[FleetEvent] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            events.append(decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            if number == len(lines) and events:
                break
            raise _refused(f"{path} line {number} is not an event of a fleet: {error}") from error
    return _complete(events)


def _complete(events: list[FleetEvent]) -> tuple[FleetEvent, ...]:
    last = events[-1]
    if isinstance(last, FleetFinished):
        return tuple(events)
    states: dict[str, State] = {}
    time = 0.0
    for event in events:
        time = max(time, getattr(event, "time", 0.0))
        if isinstance(event, FleetStarted):
            states |= {row.image: row.state for row in event.rows}
        elif isinstance(event, RowFinished):
            states[event.image] = event.state
    left = [name for name, state in states.items() if state in {"waiting", "running"}]
    ends = [
        RowFinished(
            time=time, image=name, state="lost", seconds=0.0,
            message="the record breaks off here", hint="go on with `diskwright fleet --resume`",
        )
        for name in left
    ]  # fmt: skip
    states |= dict.fromkeys(left, "lost")
    counts = dict(Counter[str](states.values()))
    return (*events, *ends, FleetFinished(time=time, status="failed", seconds=time, states=counts))


def _refused(message: str) -> Refused:
    hint = "give the fleet.jsonl of a fleet"
    return Refused([Problem("record", "error", "", message, hint)])
