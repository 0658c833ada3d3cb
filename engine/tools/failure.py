"""How a step of a build says that it failed: what, where, why and what to change."""

from __future__ import annotations

import errno
import os
import signal


class StepFailed(Exception):
    """A step could not do its work; the message and hint are for a person to read."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def signal_name(number: int) -> str:
    """Returns what a signal is called; one of real time has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def out_of_space(text: str) -> bool:
    """Whether a tool's output complains of a full file system or an exhausted quota."""
    return os.strerror(errno.ENOSPC) in text or os.strerror(errno.EDQUOT) in text
