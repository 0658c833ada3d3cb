"""What a fleet says while it runs: its own events, and those of every build with the image's name.

All times are seconds since the fleet began, those of builds, too: one stream has one clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec

from engine import events
from engine.events import AnyEvent

State = Literal["waiting", "running", "ok", "unchanged", "failed", "refused", "cancelled", "lost"]
"""How a row stands. `refused`: nothing was written; `lost`: its worker is gone."""

DONE: frozenset[State] = frozenset({"ok", "unchanged"})
ENDED: frozenset[State] = DONE | {"failed", "refused", "cancelled", "lost"}


class RowOutline(msgspec.Struct, frozen=True, kw_only=True):
    """A row as it is planned.

    Attributes:
        bytes: Of the disk; 0 where it was not planned anew.
        written: About how many of them are not a hole.
        state: How it stands when the fleet begins.
    """

    image: str
    bytes: int = 0
    written: int = 0
    state: State = "waiting"


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    time: float = 0.0


class FleetStarted(_Event, frozen=True, kw_only=True, tag="fleet-started"):
    """The fleet begins; `fleet` is its file."""

    fleet: str
    rows: tuple[RowOutline, ...]
    workers: int = 1


class RowStarted(_Event, frozen=True, kw_only=True, tag="row-started"):
    """A worker begins with an image."""

    image: str
    worker: str = ""


class RowFinished(_Event, frozen=True, kw_only=True, tag="row-finished"):
    """An image is done, or not.

    Attributes:
        bytes: Of the image's file.
        digest: Of the image, "sha256:..." or "fsverity:sha256:...", or "" where none is made.
        reused: Bytes that were taken over from what there was.
        step, message, hint: Of what went wrong, and what to do; the message of an image that was
            made says what was lost before.
    """

    image: str
    state: State
    seconds: float
    worker: str = ""
    bytes: int = 0
    digest: str = ""
    reused: int = 0
    step: str | None = None
    message: str | None = None
    hint: str | None = None


class FleetFinished(_Event, frozen=True, kw_only=True, tag="fleet-finished"):
    """The fleet ended; `states` counts the rows by state."""

    status: Literal["ok", "failed", "cancelled"]
    seconds: float
    states: dict[str, int]


@dataclass(frozen=True, slots=True)
class Said:
    """What the build of one image says."""

    image: str
    event: AnyEvent


OwnEvent = FleetStarted | RowStarted | RowFinished | FleetFinished
FleetEvent = OwnEvent | Said
FleetEmit = Callable[[FleetEvent], None]


class _Kind(msgspec.Struct):
    event: str
    image: str = ""


_KIND = msgspec.json.Decoder(_Kind)
_OWN: msgspec.json.Decoder[OwnEvent] = msgspec.json.Decoder(OwnEvent)
_OWN_KINDS = frozenset({"fleet-started", "row-started", "row-finished", "fleet-finished"})


def encode(event: FleetEvent) -> bytes:
    """Returns the event as one line of JSON, without the newline."""
    if isinstance(event, Said):
        return b'%s,"image":%s}' % (
            events.encode(event.event)[:-1],
            msgspec.json.encode(event.image),
        )
    return msgspec.json.encode(event)


def decode(line: bytes) -> FleetEvent:
    """Returns the event that a line of fleet.jsonl holds.

    Raises:
        msgspec.DecodeError: The line is not an event.
    """
    try:
        kind = _KIND.decode(line)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error
    if kind.event in _OWN_KINDS:
        return _OWN.decode(line)
    return Said(kind.image, events.decode(line))


def at(event: FleetEvent, time: float) -> FleetEvent:
    """Returns the event with another time."""
    if isinstance(event, Said):
        return Said(event.image, msgspec.structs.replace(event.event, time=time))
    return msgspec.structs.replace(event, time=time)
