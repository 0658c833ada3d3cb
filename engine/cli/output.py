"""Standard output and standard error: what they cannot show, and whether they failed."""

from __future__ import annotations

import io
import os
import sys


def show_all() -> None:
    """Has characters that the terminal's encoding lacks shown by their codes, not refused."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def is_cause(error: OSError) -> bool:
    """Whether an error came of writing standard output, which then fails again."""
    if error.filename is not None:
        return False
    try:
        os.write(sys.stdout.fileno(), b"\n")
    except OSError as again:
        return again.errno == error.errno
    return False
