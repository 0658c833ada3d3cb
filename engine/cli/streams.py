"""A spec from standard input, or from a pipe as a shell's `<(command)` gives it."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from engine.spec.load import MAX_FILE_BYTES, STDIN, is_stream


def keep(path: Path) -> None:
    """Makes a stream one that can be read any number of times, as a file can.

    What a pipe holds is read, up to what a spec may have, and takes its place. A stream that
    cannot be read stays as it is: who reads the spec says what is wrong with it.
    """
    if not is_stream(path):
        return
    number = 0 if path == STDIN else int(path.name)
    with contextlib.suppress(OSError):
        if stat.S_ISREG(os.fstat(number).st_mode):
            return
        with os.fdopen(number, "rb", closefd=False) as stream:
            text = stream.read(MAX_FILE_BYTES + 1)
        with os.fdopen(os.memfd_create("spec"), "wb") as kept:
            kept.write(text)
            kept.flush()
            os.dup2(kept.fileno(), number)
