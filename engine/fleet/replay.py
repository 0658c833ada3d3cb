"""A record of a fleet (`fleet.jsonl`) read back, whole or as a crash left it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from engine.fleet.events import FleetEvent, FleetFinished, FleetStarted, RowFinished, State, decode
from engine.pipeline.replay import recorded

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
    return _complete(recorded(path, decode, "a fleet", "give the fleet.jsonl of a fleet"))


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
