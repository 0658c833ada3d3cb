"""Holds the bytes of a volume against the file that they come from, read anew."""

from __future__ import annotations

import os

from engine.filesystems.driver import Written
from engine.filesystems.populate import Cancelled
from engine.filesystems.raw.driver import payload
from engine.image.whole import read_whole
from engine.manifest.lookup import stream


def command(image: str, offset: int) -> tuple[str, ...]:
    """See `engine.filesystems.driver.Check.command`."""
    return ()


def verdict(written: Written, printed: str) -> tuple[list[str], str]:
    """See `engine.filesystems.driver.Check.verdict`."""
    found = [] if _same(written) else ["it does not have the bytes of its file"]
    return found, f"the bytes of the {written.title} are those of its file"


def _same(written: Written) -> bool:
    entry = payload(written.planned.manifest)
    if entry is None:
        return True
    descriptor = os.open(written.image, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for _, at, piece in stream([entry]):
            if written.cancelled():
                raise Cancelled
            if read_whole(descriptor, len(piece), written.offset + at) != piece:
                return False
    finally:
        os.close(descriptor)
    return True
