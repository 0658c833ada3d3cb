"""The build's events, stamped with the time and written to build.jsonl as they happen."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from engine.events import AnyEvent, Emit, Log, Progress, encode
from engine.units import in_bytes

LIMIT = 64 << 20
"""Bytes from which on a record leaves out what tools say: one may say things without end."""


class Recorder:
    """Passes events on to a front end and keeps them on disk.

    A record that cannot be written (the disk is full) ends the record, never the build. Beyond
    `LIMIT` it keeps what happened (steps, outputs, the end), and no more log and progress.
    """

    def __init__(self, path: Path, emit: Emit) -> None:
        self._file = path.open("wb", buffering=0)
        self._broken = False
        self._written = 0
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
        if isinstance(event, (Log, Progress)):
            if self._written > LIMIT:
                return
            self._write(event)
            if self._written > LIMIT:
                text = (
                    f"the record has {in_bytes(LIMIT)}: logs and progress from here on are left out"
                )
                self._write(Log(time=event.time, id=event.id, stream="note", text=text))
        else:
            self._write(event)

    def _write(self, event: AnyEvent) -> None:
        if self._broken:
            return
        line = encode(event) + b"\n"
        try:
            self._file.write(line)
        except OSError:
            self._broken = True
        else:
            self._written += len(line)
