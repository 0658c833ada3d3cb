"""Writes the text a verb makes: to a file that must be new, or to standard output."""

from __future__ import annotations

import sys
from pathlib import Path

from engine.problem import Problem, Refused


def write(path: Path | None, text: str, force: bool) -> None:
    """Writes a text.

    Args:
        path: The file, or None for standard output.
        text: What it will hold.
        force: Replace a file that exists.

    Raises:
        Refused: The file exists or cannot be written.
    """
    if path is None:
        sys.stdout.write(text)
        return
    try:
        with path.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        hint = "give --force to replace it, or another name"
        raise Refused([Problem("file-exists", "error", "", f"{path} exists", hint)]) from None
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise Refused([Problem("file-unwritable", "error", "", message)]) from None
