"""A file in the making beside a record, which gets its name once the build is over."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import BinaryIO


class Part:
    """Such a file, which nobody but this user can read.

    Args:
        path: Its name in the end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.part = path.with_suffix(f".{os.getpid()}{path.suffix}-part")

    def open(self) -> BinaryIO:
        """Begins it.

        Raises:
            OSError: It cannot be made.
        """
        self.part.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return open(self.part, "wb", opener=_private)

    def install(self) -> None:
        """Gives it its name.

        Raises:
            OSError: It has none.
        """
        self.part.replace(self._path)

    def discard(self) -> None:
        """Removes it, unless it has its name."""
        with contextlib.suppress(OSError):
            self.part.unlink()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
