"""Keeps an output folder to one build, and clears away what a killed one left there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from engine.pipeline.moving import remove, sync
from engine.problem import Problem, Refused

SUFFIX = ".diskwright-part"
"""What the hidden folder of a build ends in."""

_PATIENCE, _PAUSE = 0.5, 0.02
"""Seconds. A killed build that was just starting a program holds the lock until that runs."""


@contextlib.contextmanager
def locked(outdir: Path) -> Iterator[None]:
    """Makes the output folder, keeps it to this build and removes what a killed one left there.

    The lock is on the folder itself, so no lock file stays behind and a dead build holds none.

    Raises:
        Refused: Another build is writing there, or it cannot be a folder that we write to.
    """
    try:
        _make(outdir)
        handle = os.open(outdir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _refused(
            outdir, f"cannot be used: {error.strerror}", "give another with -o"
        ) from None
    try:
        _lock(handle, outdir)
        _sweep(outdir)
        yield
    finally:
        os.close(handle)


def _make(outdir: Path) -> None:
    """Makes a folder and those above that are missing, for good: their names are synced."""
    missing = [folder for folder in (outdir, *outdir.parents) if not folder.exists()]
    outdir.mkdir(parents=True, exist_ok=True)
    for folder in reversed(missing):
        sync(folder.parent, os.O_DIRECTORY)


def _lock(handle: int, outdir: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise _refused(
                    outdir, "is in use by another build", "wait for it, or give another with -o"
                ) from None
            time.sleep(_PAUSE)
        except OSError as error:
            # NFS locks files only; two builds into one folder are then the caller's affair.
            if error.errno not in (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL):
                raise
            return


def _sweep(outdir: Path) -> None:
    """Removes hidden folders of builds that were killed; the lock says that none is running."""
    for stale in outdir.glob(f".*{SUFFIX}"):
        if stale.is_dir() and not stale.is_symlink():
            remove(stale)


def _refused(outdir: Path, what: str, hint: str) -> Refused:
    problem = Problem("output-folder", "error", "", f"the output folder {outdir} {what}", hint)
    return Refused([problem])
