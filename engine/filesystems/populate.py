"""What filling any file system has in common: how it reports, how it ends, what it checks."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from engine.manifest.entry import Entry, SourceChanged

if TYPE_CHECKING:
    from engine.filesystems.placed import Place

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""

REPORT_EVERY = 4 << 20
"""Bytes of data between two calls of a `Progress`."""


class DataObserver(Protocol):
    """Takes what files hold while it is written, or the sums of it."""

    def take(self, entry: Entry, offset: int, data: memoryview) -> None:
        """Takes the next piece of a file, which begins at a byte of it."""
        ...

    def placed(self, entries: Sequence[Entry], places: Sequence[Place | None]) -> Collection[int]:
        """Takes where the data of files goes, of those that have any; returns what is not needed.

        Only formats whose files have whole blocks of their own tell it.

        Returns:
            Positions in what was given.
        """
        ...

    def spared(self) -> tuple[int, int]:
        """Returns about how many files, and bytes of them, `placed` will answer so of."""
        ...

    def settled(self, end: int) -> None:
        """Takes that all bytes of the file system before one are in the image, and stay there.

        Only formats that write all but the data of files first tell it, now and then.
        """
        ...

    def adopt_all(self, entries: Iterable[Entry], digests: Iterable[bytes]) -> None:
        """Takes files' SHA-256, as `engine.manifest.datasums` computes it, in place of data."""
        ...


class PopulateFailed(Exception):
    """The file system cannot take the manifest; the message is for a person to read."""


class Cancelled(Exception):
    """The caller asked to stop; the image is incomplete."""


class Expected:
    """The data of one file that is still to come: holds every piece against the manifest."""

    __slots__ = ("_at", "_entry", "_range", "_ranges", "complete")

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        ranges = ((0, entry.size),) if entry.extents is None else entry.extents
        self._ranges = [each for each in ranges if each[1]]
        self._range = 0
        self._at = self._ranges[0][0] if self._ranges else 0
        self.complete = not self._ranges

    def take(self, offset: int, length: int) -> None:
        """Notes the next bytes.

        Raises:
            SourceChanged: They are not the next of the file's data ranges.
        """
        end = offset + length
        first, size = self._ranges[self._range] if not self.complete else (0, 0)
        if offset != self._at or end > first + size:
            raise changed(self._entry, f"data at byte {offset} that was not there before")
        self._at = end
        if end == first + size:
            self._range += 1
            self.complete = self._range == len(self._ranges)
            if not self.complete:
                self._at = self._ranges[self._range][0]

    def finish(self) -> None:
        """Raises SourceChanged if data is missing."""
        if not self.complete:
            raise changed(self._entry, f"it ends at byte {self._at} of {self._entry.size}")


def refuse(entry: Entry, reason: str) -> PopulateFailed:
    """Returns the failure of one entry, named as in the image and as at its origin."""
    origin = f" (from {entry.source.describe(entry)})" if entry.source else ""
    return PopulateFailed(f"/{os.fsdecode(entry.path)}{origin}: {reason}")


def changed(entry: Entry, how: str) -> SourceChanged:
    """Returns the failure of a file that is not what was scanned."""
    return SourceChanged(str(refuse(entry, f"changed since it was scanned: {how}")))
