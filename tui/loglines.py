"""A line of a log, wherever it comes from."""

from __future__ import annotations

from typing import Literal, NamedTuple

Stream = Literal["step", "command", "note", "stdout", "stderr"]


class LogLine(NamedTuple):
    """One line: when, of which step, from where, and its text as it came."""

    time: float
    step: str
    stream: Stream
    text: str
