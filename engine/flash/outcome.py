"""How the writing or comparing of a disk went, in words."""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace
from typing import Literal

from engine.flash.destination import Destination
from engine.image.container import BadImage
from engine.units import human

Status = Literal["ok", "different", "failed", "cancelled"]


@dataclass(slots=True, kw_only=True)
class Outcome:
    """How it went.

    Attributes:
        bytes: Of the disk that the image holds.
        written: Bytes written, zeros not counted.
        zeroed: Bytes that were made zeros.
        skipped: Bytes that were zeros already.
        compared: Bytes read back.
        different: Chunks that are not as they should be.
        at: First byte that differs, or that could not be written or read.
        direct: Whether what was read came from the medium past the page cache.
        message: What went wrong, a sentence.
    """

    status: Status = "ok"
    bytes: int = 0
    written: int = 0
    zeroed: int = 0
    skipped: int = 0
    compared: int = 0
    different: int = 0
    at: int | None = None
    direct: bool = True
    seconds: float = 0.0
    message: str = ""
    hint: str = ""

    def after(self, writing: Outcome) -> Outcome:
        """Returns how comparing went, with what was written before."""
        return replace(
            self,
            written=writing.written,
            zeroed=writing.zeroed,
            skipped=writing.skipped,
            seconds=writing.seconds + self.seconds,
        )


def failed(outcome: Outcome, error: OSError | BadImage, destination: Destination) -> None:
    """Notes what a medium or an image did, and what to do about it."""
    outcome.status = "failed"
    if isinstance(error, BadImage):
        outcome.message = str(error)
        return
    outcome.message = f"{destination.path}: {error.strerror or error}"
    if error.errno == errno.EBUSY:
        outcome.message = f"{destination.path} is in use by something that keeps it to itself"
        outcome.hint = "unmount what is on it, in other containers, too"
    elif error.errno == errno.ENOSPC:
        outcome.hint = f"the image needs {human(outcome.bytes)} there at most"
    elif error.errno in {errno.EACCES, errno.EPERM}:
        outcome.hint = "run it with sudo" if destination.device is not None else ""
    elif error.errno in {errno.EIO, errno.ENODEV, errno.ENXIO}:
        outcome.hint = "it was pulled out, or is defective"


def conclude(outcome: Outcome, destination: Destination) -> None:
    """Says what is left on a destination that is not complete."""
    if outcome.status == "ok":
        return
    if outcome.status == "cancelled":
        outcome.message = f"cancelled after {human(outcome.written)} were written"
    if destination.kind == "new":
        left = f"{destination.path} was not made"
    elif outcome.written or outcome.zeroed or outcome.status != "failed":
        left = f"{destination.path} is incomplete and has no partition table: write it once more"
    else:
        return
    outcome.message = f"{outcome.message}. {left}"
