"""Moves and removes files of an output folder, so that it holds even where power is lost."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from pathlib import Path, PurePath

_NO_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""What file systems say that know no fsync(2), some of them for folders only."""

NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What file systems say that know no hard links (vfat, some FUSE and network ones)."""


def place(path: Path, final: Path) -> None:
    """Moves a file to a name that nothing has yet.

    A second link fails where the name is taken (link(2)), unlike a rename. On a file system
    without links an empty file takes the name first, which fails likewise.

    Raises:
        FileExistsError: Something has the name.
    """
    try:
        os.link(path, final, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        os.close(os.open(final, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        try:
            path.replace(final)
        except OSError:
            final.unlink()
            raise
    else:
        with contextlib.suppress(OSError):  # the hidden folder goes as a whole
            path.unlink()


def make_folders(outdir: Path, name: str) -> list[Path]:
    """Makes the folders that an output lies in; returns the new ones.

    Raises:
        NotADirectoryError: Something else is there; a link is not followed out of the folder.
    """
    made = []
    for parent in reversed(PurePath(name).parents[:-1]):
        folder = outdir / parent
        try:
            folder.mkdir()
        except FileExistsError:
            if folder.is_symlink() or not folder.is_dir():
                raise NotADirectoryError(
                    errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)
                ) from None
        else:
            made.append(folder)
    return made


def sync(path: Path, flags: int) -> None:
    """Has a file, or the names in a folder, written to the storage device itself (fsync(2)).

    Args:
        path: The file or folder.
        flags: Of open(2), besides those for reading.

    Raises:
        OSError: The device could not take it.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(handle)


def remove(folder: Path) -> None:
    """Removes a folder of ours, also where a hook copied folders that may not be written to."""
    with contextlib.suppress(OSError):
        folder.chmod(stat.S_IRWXU)
    for path, names, _ in os.walk(folder):
        for inner in (Path(path, name) for name in names):
            if not inner.is_symlink():  # chmod(2) would change what it leads to
                with contextlib.suppress(OSError):
                    inner.chmod(stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)
