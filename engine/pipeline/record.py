"""The build's events, stamped with the time and written to build.jsonl as they happen."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from engine.events import AnyEvent, Emit, encode


class Recorder:
    """Passes events on to a front end and keeps every one of them on disk.

    A record that cannot be written (the disk is full) ends the record, never the build.
    """

    def __init__(self, path: Path, emit: Emit) -> None:
        self._file = path.open("wb", buffering=0)
        self._broken = False
        self._emit = emit
        self._begun = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def elapsed(self) -> float:
        """Seconds since the build began."""
        return round(time.monotonic() - self._begun, 4)

    def __call__(self, event: AnyEvent) -> None:
        """Stamps, records and passes on one event."""
        stamped = msgspec.structs.replace(event, time=self.elapsed)
        self.record(stamped)
        self._emit(stamped)

    def record(self, event: AnyEvent) -> None:
        """Keeps an event as it is, without passing it on."""
        if self._broken:
            return
        try:
            self._file.write(encode(event) + b"\n")
        except OSError:
            self._broken = True
