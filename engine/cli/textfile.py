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
        put(path, text, force=force)
    except FileExistsError:
        hint = "give --force to replace it, or another name"
        raise Refused([Problem("file-exists", "error", "", f"{path} exists", hint)]) from None
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise Refused([Problem("file-unwritable", "error", "", message)]) from None


def put(path: Path, text: str, *, force: bool = False) -> None:
    """Writes a file, all of it or none: what was there stays until the new one is complete.

    Raises:
        FileExistsError: There is one, and it is not to be replaced.
        OSError: It cannot be written.
    """
    if force and path.is_file():
        old = path.resolve()
        part = old.with_name(f".{old.name}.part")
        part.unlink(missing_ok=True)  # what a killed process left
        _make(part, text)
        part.replace(old)
    elif force and path.exists():  # such as /dev/stdout
        path.write_text(text, encoding="utf-8")
    else:
        _make(path, text)


def _make(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as stream:
        try:
            stream.write(text)
            stream.flush()
        except BaseException:
            path.unlink()
            raise
