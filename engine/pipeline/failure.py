"""How a step says that it failed: what, where, why and what to change."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from engine.tools.failure import StepFailed
from engine.units import human, sized

_TIGHT = 1 << 20
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class Room:
    """What a build has and takes on the file system of its output folder, in bytes.

    Attributes:
        needed: What it takes at its peak.
        written: What it had written when it stopped.
    """

    folder: Path
    needed: int
    written: int

    @property
    def available(self) -> int:
        """What is left for an ordinary user; the folder itself may have been removed."""
        there = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        status = os.statvfs(there)
        return status.f_bavail * status.f_frsize

    @property
    def tight(self) -> bool:
        """Whether so little is left that a failure is likely for want of it.

        Not every tool says why it cannot write.
        """
        return self.available < min(_TIGHT, self.needed - self.written)


def full(room: Room, reason: str) -> StepFailed:
    """Returns the failure of a build whose output folder ran full."""
    available = room.available
    missing = max(room.needed - room.written - available, 0)
    advice = f"free at least {human(missing)} there" if missing else "free some space there"
    return StepFailed(
        f"{room.folder} is on a file system that is full: the build takes up to "
        f"{sized(room.needed)}, {human(room.written)} were written and "
        f"{sized(available)} are left; {reason}",
        f"{advice}, or give another output folder",
    )


def from_os_error(error: OSError, room: Room) -> StepFailed:
    """Returns the failure that an error of the operating system amounts to."""
    reason = error.strerror or str(error)
    if error.errno in _NO_SPACE:
        return full(room, reason)
    name = error.filename
    where = os.fsdecode(name) if isinstance(name, (str, bytes)) else str(room.folder)
    hint = ""
    if error.errno == errno.EIO:
        hint = "the storage device reports an error: see the kernel log (dmesg)"
    return StepFailed(f"{where}: {reason}", hint)
