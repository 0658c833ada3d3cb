"""Where `--events` goes: a file, or standard output, a line of JSON for each event."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from engine.problem import Problem, Refused


@contextmanager
def lines_to(target: str) -> Iterator[Callable[[bytes], None]]:
    """Opens where events go, and yields what writes a line there.

    Args:
        target: A file, or - for standard output.

    Raises:
        Refused: The file cannot be opened.
    """
    stream = sys.stdout.buffer if target == "-" else _opened(Path(target))

    def write(line: bytes) -> None:
        try:
            stream.write(line + b"\n")
            stream.flush()
        except OSError as error:
            print(f"warning: --events {target}: {error.strerror}; it gets no more", file=sys.stderr)
            # What is still in the buffer, and what follows, then has somewhere to go.
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())

    try:
        yield write
    finally:
        if target != "-":
            stream.close()


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("wb")
    except OSError as error:
        message = f"--events {path}: {error.strerror}"
        raise Refused([Problem("events-file", "error", "", message)]) from None
