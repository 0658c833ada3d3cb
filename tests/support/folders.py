"""What is in a folder, to be compared before and after."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

_READ = 1 << 24


def below(folder: Path) -> list[Path]:
    """Returns all that is in a folder; pathlib of Python 3.11.2 stumbles over a long link."""
    return sorted(
        Path(at, name) for at, folders, files in os.walk(folder) for name in (*folders, *files)
    )


def contents_of(folder: Path) -> dict[str, tuple[int, int, int, str]]:
    """Returns mode, size, time and a digest of everything below a folder, by path.

    The digest is of a link's target or a file's first 16 MiB; reading moves no time but atime.
    """
    found = {}
    for path in [folder, *sorted(below(folder))]:
        status = path.lstat()
        digest = ""
        if stat.S_ISLNK(status.st_mode):
            digest = os.fspath(path.readlink())
        elif stat.S_ISREG(status.st_mode):
            with path.open("rb") as file:
                digest = hashlib.sha256(file.read(_READ)).hexdigest()
        name = os.fspath(path.relative_to(folder))
        found[name] = (status.st_mode, status.st_size, status.st_mtime_ns, digest)
    return found
