"""What a build says while it runs: one stream for the wizard, the command line and build.jsonl."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

Status = Literal["ok", "failed", "skipped", "cancelled"]


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base of all events; `time` is seconds since the build began."""

    time: float = 0.0


class BuildStarted(Event, frozen=True, kw_only=True, tag="build-started"):
    """The build begins; `plan` is the plan as `plan --json` prints it."""

    plan: dict[str, Any]


class StepStarted(Event, frozen=True, kw_only=True, tag="step-started"):
    """A step begins; `argv` is its first command as planned, None where it runs no tool."""

    id: str
    title: str
    argv: tuple[str, ...] | None = None


class Progress(Event, frozen=True, kw_only=True, tag="progress"):
    """A step has done so much of its total; total 0 means not known."""

    id: str
    done: int
    total: int
    unit: str = "bytes"


class Log(Event, frozen=True, kw_only=True, tag="log"):
    """A line of a tool's output, of the step's own narration ("note"), or a command it runs."""

    id: str
    stream: Literal["stdout", "stderr", "note", "command"]
    text: str


class StepFinished(Event, frozen=True, kw_only=True, tag="step-finished"):
    """A step ended."""

    id: str
    status: Status
    seconds: float


class Artifact(Event, frozen=True, kw_only=True, tag="artifact"):
    """A finished output."""

    path: str
    bytes: int
    sha256: str | None = None
    fsverity: str | None = None

    @property
    def digest(self) -> tuple[str, str]:
        """What the digest to show is called, and its text; "" and "" where there is none."""
        if self.sha256 is not None:
            return "sha256", self.sha256
        return ("fs-verity", f"sha256:{self.fsverity}") if self.fsverity else ("", "")

    @property
    def line(self) -> str:
        """The output as the list of its digests has it; its path alone where it has none."""
        if self.sha256 is not None:
            return f"{self.sha256}  {self.path}"
        return f"sha256:{self.fsverity} {self.path}" if self.fsverity else self.path


class BuildFinished(Event, frozen=True, kw_only=True, tag="build-finished"):
    """The build ended; on failure with the step, what happened and what to do."""

    status: Literal["ok", "failed", "cancelled"]
    seconds: float
    step: str | None = None
    message: str | None = None
    hint: str | None = None


AnyEvent = BuildStarted | StepStarted | Progress | Log | StepFinished | Artifact | BuildFinished
Emit = Callable[[AnyEvent], None]


def readable(path: Path) -> str:
    """Returns a path as text that JSON can hold, whatever bytes it is made of."""
    return os.fsencode(path).decode("utf-8", "replace")


_DECODER: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


def encode(event: AnyEvent) -> bytes:
    """Returns the event as one line of JSON, without the newline."""
    return msgspec.json.encode(event)


def decode(line: bytes | str) -> AnyEvent:
    """Returns the event a line of build.jsonl holds.

    Raises:
        msgspec.DecodeError: The line is not an event.
    """
    try:
        return _DECODER.decode(line)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error
