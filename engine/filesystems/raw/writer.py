"""Writes the bytes of a file into an image."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from engine.filesystems.driver import FilesystemPlan
from engine.filesystems.populate import Cancelled, DataObserver, Progress
from engine.filesystems.raw.driver import payload
from engine.image.whole import write_whole
from engine.manifest.lookup import stream


def make(
    image: Path,
    offset: int,
    planned: FilesystemPlan,
    *,
    epoch: int,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """See `engine.filesystems.driver.Writer.make`; a volume is a hole until it is filled."""


def populate(
    image: Path,
    offset: int,
    planned: FilesystemPlan,
    *,
    epoch: int,
    progress: Progress = lambda done, total: None,
    observer: DataObserver | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """See `engine.filesystems.driver.Writer.populate`; holes of the file stay holes."""
    entry = payload(planned.manifest)
    if entry is None:
        return
    done = 0
    descriptor = os.open(image, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for one, at, piece in stream([entry]):
            if cancelled():
                raise Cancelled
            write_whole(descriptor, piece, offset + at)
            if observer is not None:
                observer.take(one, at, piece)
            done += len(piece)
            progress(done, entry.size)
    finally:
        os.close(descriptor)
