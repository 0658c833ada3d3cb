"""Files of an image as files of a folder, made by an ordinary user.

Names come from an untrusted image. Each is made in an open directory and every directory is entered
without following links, so that no name and no link of the image leads out of the folder.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.image.reading import Node
from engine.image.whole import write_whole
from engine.inspect.notes import Notes
from engine.manifest.descent import Descent
from engine.manifest.tar import Ranges

_SPECIAL = "devices, FIFOs and sockets left out (an archive, DEST.tar, holds devices and FIFOs)"
_SET_ID = "set-user-id and set-group-id bits taken away"
_ATTRIBUTES = "attributes left out that need root, or that the destination does not take"
_PERMISSIONS = "permissions or times left out that the destination does not take"
_COPIED = "hard links made files of their own, the destination has none"

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OF_ONE_ENTRY = frozenset(
    {
        errno.EEXIST, errno.EFBIG, errno.EILSEQ, errno.EINVAL, errno.ENAMETOOLONG, errno.EPERM,
        errno.EOPNOTSUPP, errno.ENOSYS, errno.EOVERFLOW,
    }
)  # fmt: skip
"""Errors that say that a name or a size cannot be had here, while others can."""


@contextmanager
def folder_sink(folder: Path, notes: Notes) -> Iterator[FolderSink]:
    """Yields what makes files below a folder that is there."""
    with Descent(os.fsencode(folder)) as descent:
        yield FolderSink(descent, notes)


class FolderSink:
    """Makes what it is given below a folder."""

    def __init__(self, descent: Descent, notes: Notes) -> None:
        self._descent = descent
        self._notes = notes

    def survives(self, error: OSError) -> bool:
        """Whether other entries can still be made after this error."""
        return error.errno in _OF_ONE_ENTRY

    def directory(self, path: bytes, node: Node) -> None:
        """Makes a directory; `leave` gives it its permissions and time."""
        above, name = self._parent(path)
        os.mkdir(name, 0o700, dir_fd=above)

    def leave(self, path: bytes, node: Node) -> None:
        """Finishes a directory that has all its entries."""
        self._finish(self._descent.enter(path), node)

    def file(
        self, path: bytes, node: Node, ranges: Ranges, pieces: Iterable[tuple[int, bytes]]
    ) -> None:
        """Makes a file; what no piece covers is a hole."""
        above, name = self._parent(path)
        handle = os.open(name, _NEW, 0o600, dir_fd=above)
        try:
            for offset, data in pieces:
                write_whole(handle, data, offset)
            os.ftruncate(handle, node.size)
            self._finish(handle, node)
        except OSError:
            os.unlink(name, dir_fd=above)
            raise
        finally:
            os.close(handle)

    def link(self, path: bytes, node: Node, first: bytes) -> bool:
        """Makes another name of what is at `first`; whether that is possible here."""
        above, name = self._parent(first)
        origin = os.dup(above)  # the next directory to be entered may close it
        try:
            folder, new = self._parent(path)
            os.link(name, new, src_dir_fd=origin, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError:
            self._notes.add(_COPIED, node.path)
            return False
        finally:
            os.close(origin)
        return True

    def symlink(self, path: bytes, node: Node) -> None:
        """Makes a symbolic link, its target as it is."""
        above, name = self._parent(path)
        os.symlink(node.target, name, dir_fd=above)
        times = node.mtime_ns, node.mtime_ns
        with self._may_fail(node):
            os.utime(name, ns=times, dir_fd=above, follow_symlinks=False)

    def special(self, path: bytes, node: Node) -> bool:
        """Leaves out what an ordinary user cannot make, or a program could hang on."""
        self._notes.add(_SPECIAL, node.path)
        return False

    def _parent(self, path: bytes) -> tuple[int, bytes]:
        above, _, name = path.rpartition(b"/")
        return self._descent.enter(above), name

    def _finish(self, handle: int, node: Node) -> None:
        """Sets attributes, permissions and time, in an order in which each may still be set."""
        lost = [name for name, value in node.xattrs if not _set(handle, name, value)]
        if lost:
            self._notes.add(_ATTRIBUTES, node.path)
        mode = stat.S_IMODE(node.mode)
        if mode & (stat.S_ISUID | stat.S_ISGID):
            self._notes.add(_SET_ID, node.path)
            mode &= ~(stat.S_ISUID | stat.S_ISGID)
        needed = stat.S_IRWXU if stat.S_ISDIR(node.mode) else stat.S_IRUSR | stat.S_IWUSR
        with self._may_fail(node):
            os.fchmod(handle, mode | needed)
            os.utime(handle, ns=(node.mtime_ns, node.mtime_ns))

    @contextmanager
    def _may_fail(self, node: Node) -> Iterator[None]:
        """Notes metadata that cannot be set, as on a FAT file system: the data matters more."""
        try:
            yield
        except OSError as error:
            if not self.survives(error):
                raise
            self._notes.add(_PERMISSIONS, node.path)


def _set(handle: int, name: bytes, value: bytes) -> bool:
    """Sets an attribute of the user's own; whether it could be."""
    if not name.startswith(b"user."):
        return False
    try:
        os.setxattr(handle, name, value)
    except (OSError, ValueError):  # ValueError: a name with NUL
        return False
    return True
