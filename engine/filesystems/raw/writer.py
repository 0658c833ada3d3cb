"""Writes the bytes of a file into an image, and compares them with what is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from engine.filesystems.populate import Cancelled, Progress, Seen
from engine.filesystems.raw.driver import payload
from engine.image.whole import read_whole, write_whole
from engine.manifest.lookup import stream
from engine.manifest.manifest import Manifest


def populate(
    image: Path,
    offset: int,
    manifest: Manifest,
    *,
    progress: Progress = lambda done, total: None,
    seen: Seen | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Writes the file of a manifest at a byte of an image; holes of the file stay holes.

    Args:
        image: A regular file that holds zeros there.
        offset: Byte where the volume begins.
        manifest: Its one file is what is written.
        progress: Called with bytes written and in all.
        seen: Called with every piece of data that is written.
        cancelled: Asked between pieces.

    Raises:
        engine.manifest.entry.SourceChanged: The source is not what was scanned.
        Cancelled: `cancelled` said so.
        OSError: Writing the image failed.
    """
    entry = payload(manifest)
    if entry is None:
        return
    done = 0
    descriptor = os.open(image, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for one, at, piece in stream([entry]):
            if cancelled():
                raise Cancelled
            write_whole(descriptor, piece, offset + at)
            if seen is not None:
                seen(one, at, piece)
            done += len(piece)
            progress(done, entry.size)
    finally:
        os.close(descriptor)


def same(
    image: Path, offset: int, manifest: Manifest, cancelled: Callable[[], bool] = lambda: False
) -> bool:
    """Whether an image has the file's bytes, read anew from its source, at that byte.

    Raises:
        engine.manifest.entry.SourceChanged: The source is not what was scanned.
        Cancelled: `cancelled` said so.
        OSError: Reading the image failed.
    """
    entry = payload(manifest)
    if entry is None:
        return True
    descriptor = os.open(image, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for _, at, piece in stream([entry]):
            if cancelled():
                raise Cancelled
            if read_whole(descriptor, len(piece), offset + at) != piece:
                return False
    finally:
        os.close(descriptor)
    return True
