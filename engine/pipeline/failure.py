"""How a step says that it failed: what, where, why and what to change."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from engine.units import human

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class StepFailed(Exception):
    """A step could not do its work; the message and hint are for a person to read."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def out_of_space(text: str) -> bool:
    """Whether a tool's output complains of a full file system or an exhausted quota."""
    return os.strerror(errno.ENOSPC) in text or os.strerror(errno.EDQUOT) in text


def full(folder: Path, needed: int, written: int) -> StepFailed:
    """Returns the failure of a build whose output folder ran full.

    Args:
        folder: The output folder.
        needed: Bytes the build may write at its peak.
        written: Bytes on disk when it stopped.
    """
    status = os.statvfs(folder)
    available = status.f_bavail * status.f_frsize
    missing = max(needed - written - available, 0)
    return StepFailed(
        f"the file system of {folder} is full: the build needs up to {human(needed)} "
        f"({needed} bytes), {human(written)} were written and {human(available)} are left",
        f"free at least {human(missing)} there, or give another output folder with -o"
        if missing
        else "free some space there, or give another output folder with -o",
    )


def from_os_error(error: OSError, folder: Path, needed: int, written: int) -> StepFailed:
    """Returns the failure that an error of the operating system amounts to."""
    if error.errno in _NO_SPACE:
        return full(folder, needed, written)
    name = error.filename
    where = f"{os.fsdecode(name)}: " if isinstance(name, (str, bytes)) else ""
    reason = error.strerror or str(error)
    if error.errno == errno.EIO:
        return StepFailed(
            f"{where}{reason}", "the storage device reports an error: see the kernel log (dmesg)"
        )
    return StepFailed(f"{where}{reason}")
