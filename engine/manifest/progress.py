"""How far a scan is, told at a bearable rate, and the way to stop it."""

from __future__ import annotations

import time
from collections.abc import Callable

_INTERVAL = 0.1
"""Seconds between two reports."""

OnProgress = Callable[[int, int], None]
IsCancelled = Callable[[], bool]


class ScanCancelled(Exception):
    """The scan was asked to stop."""


class Ticker:
    """Counts entries and bytes, and reports them now and then.

    Args:
        progress: Called with the totals so far.
        cancelled: Asked as often as progress is reported.
    """

    def __init__(
        self, progress: OnProgress | None = None, cancelled: IsCancelled | None = None
    ) -> None:
        self.entries = 0
        self.bytes = 0
        self._progress = progress
        self._cancelled = cancelled
        self._due = time.monotonic() + _INTERVAL

    def add(self, entries: int, size: int) -> None:
        """Counts more entries and their bytes.

        Raises:
            ScanCancelled: The scan was asked to stop.
        """
        self.entries += entries
        self.bytes += size
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _INTERVAL
            self.report()

    def report(self) -> None:
        """Reports the totals now.

        Raises:
            ScanCancelled: The scan was asked to stop.
        """
        if self._cancelled is not None and self._cancelled():
            raise ScanCancelled
        if self._progress is not None:
            self._progress(self.entries, self.bytes)
