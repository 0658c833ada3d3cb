"""A file or folder that gets its name when it is complete, and is gone if it never will be."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from engine.manifest.descent import BELOW_FLAGS, Descent
from engine.problem import Problem, Refused

_SUFFIX = ".extract-part"
CONTENT = "content"
"""In the hidden folder: what will have the final name."""

_NO_LOCKS = frozenset({errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL})
"""Of network file systems that lock no folders; two copies to one place are then the caller's."""
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


@contextlib.contextmanager
def unpublished(dest: Path) -> Iterator[Path]:
    """Yields a hidden folder beside `dest`; its `CONTENT` gets that name at the end.

    The hidden folder is removed whatever happens. One that a killed process left is removed, too.

    Raises:
        Refused: There is something at `dest`, or nothing can be made beside it.
    """
    _refuse_taken(dest)
    folder = dest.parent / f".{dest.name}{_SUFFIX}"
    try:
        lock = _claimed(folder)
    except BlockingIOError:
        raise _refused(dest, "is being made by another copy", "give another name") from None
    except OSError as error:
        hint = "" if dest.parent.is_dir() else "make the folder first"
        raise _refused(dest, f"cannot be made: {error.strerror}", hint) from error
    try:
        yield folder
        try:
            _publish(folder / CONTENT, dest)
        except OSError as error:
            raise _refused(dest, f"cannot be made: {error.strerror}", "") from error
    finally:
        remove(folder)
        os.close(lock)


def remove(folder: Path) -> None:
    """Removes a folder of ours with all that is in it, however deep; follows no link."""
    with contextlib.suppress(OSError), Descent(os.fsencode(folder)) as descent:
        made = [b""]
        for path in made:  # grows on the way
            handle = descent.enter(path)
            os.fchmod(handle, 0o700)
            with os.scandir(handle) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        made.append(b"/".join(p for p in (path, os.fsencode(entry.name)) if p))
                    else:
                        os.unlink(entry.name, dir_fd=handle)
        for path in reversed(made[1:]):
            above, _, name = path.rpartition(b"/")
            os.rmdir(name, dir_fd=descent.enter(above))
        folder.rmdir()


def _claimed(folder: Path) -> int:
    """Makes the hidden folder and returns a descriptor that keeps others away from it."""
    try:
        folder.mkdir(0o700)
    except FileExistsError:
        os.close(_locked(folder))  # its maker is dead, or we are refused here
        remove(folder)
        folder.mkdir(0o700)
    return _locked(folder)


def _locked(folder: Path) -> int:
    handle = os.open(folder, BELOW_FLAGS)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        # Another process may have taken ours for a dead one's before it was locked.
        if not os.path.samestat(os.fstat(handle), folder.stat()):
            raise BlockingIOError
    except BaseException:
        os.close(handle)
        raise
    return handle


def _publish(content: Path, dest: Path) -> None:
    if not content.is_dir():
        try:
            dest.hardlink_to(content)  # other than a rename, this replaces nothing
        except FileExistsError:
            _refuse_taken(dest)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        else:
            return
    _refuse_taken(dest)
    content.rename(dest)


def _refuse_taken(dest: Path) -> None:
    if os.path.lexists(dest):
        raise _refused(dest, "exists, and nothing is overwritten", "give another name")


def _refused(dest: Path, what: str, hint: str) -> Refused:
    return Refused([Problem("destination", "error", "", f"{dest} {what}", hint)])
