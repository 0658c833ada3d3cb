"""Two images being compared. Knows no screen; `run` belongs on a thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from engine.compare.diff import Comparison, compare
from engine.compare.ranges import Reached
from engine.image.container import BadImage
from tui.differences import Differences, told_apart
from tui.text import counted, reason, visible

Compare = Callable[[Path, Path, Reached], Comparison]


class Left(Exception):
    """Nobody waits for the comparison any more."""


class NotComparable(Exception):
    """An image cannot be read; the text says why."""


class ComparisonSession:
    """Two images side by side.

    Attributes:
        names: What to call them, as safe text.
        percent: How much is compared.
        found: What differs, once that is known.
        rows: The same as rows, or None.
        text: What the wanted rows have in them.
        only_files: Whether only the rows about files are wanted.
    """

    def __init__(self, first: Path, second: Path, comparing: Compare = compare) -> None:
        self.first, self.second = first, second
        here, there = told_apart(first, second)
        self.names = visible(here), visible(there)
        self.percent = 0
        self.found: Comparison | None = None
        self.rows: Differences | None = None
        self.only_files = False
        self.text = ""
        self._comparing = comparing
        self._is_left = False

    def run(self) -> Comparison:
        """Compares.

        Raises:
            Left: `leave` was called meanwhile.
            NotComparable: An image cannot be read.
        """
        try:
            found = self._comparing(self.first, self.second, self._reached)
        except (BadImage, OSError) as error:
            where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
            raise NotComparable(f"{where}{reason(error)}") from error
        self.rows = Differences(found, self.names)
        self.found = found
        return found

    def leave(self) -> None:
        """Lets the thread end soon; may be called anywhere."""
        self._is_left = True

    def _reached(self, done: int, total: int) -> None:
        if self._is_left:
            raise Left
        self.percent = done * 100 // total

    def kept(self) -> Sequence[int] | None:
        """Returns the rows that are wanted; None for all of them."""
        if self.rows is None or not (self.text or self.only_files):
            return None
        return self.rows.having(self.text, only_files=self.only_files)


def summary(found: Comparison) -> str:
    """Returns in words how much differs; "" where nothing does."""
    if found.identical:
        return ""
    parts = []
    if found.fields:
        parts.append(counted(len(found.fields), "named field"))
    if found.ranges:
        ranges = counted(len(found.ranges), "range")
        parts.append(f"{counted(found.bytes, 'byte')} in {ranges}")
    more = f", and {counted(found.cut, 'range')} beyond that" if found.cut else ""
    return f"{', '.join(parts)}{more}"
