"""Reads the files of a folder on the host, and notices when they are not what was scanned."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence

from engine.manifest.descent import Descent
from engine.manifest.entry import Entry, SourceChanged
from engine.manifest.findings import shown

_CHUNK = 1 << 20
"""Bytes read at once; a smaller file is read whole, by one call."""

_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A file that has become a link is not followed, one that has become a FIFO is not waited for."""

_REPLACED = {
    errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.EAGAIN, errno.ESTALE,
}  # fmt: skip
"""Errors that only a file gives that is gone, or is of another type now."""


GRAIN_NS = 20_000_000
"""Nanoseconds within which two changes of a file may get the same time: Linux takes the time of the
last tick of its clock, of which there are 100 a second or more."""

COARSE_NS = 2_000_000_000
"""The same where times are kept in whole seconds, or in two of them (FAT, ext3, some servers)."""

_SECOND_NS = 1_000_000_000


def is_recent(ctime_ns: int, now_ns: int) -> bool:
    """Whether a file changed so shortly before that one more change may not show in its times.

    git calls such a file "racily clean" (its Documentation/technical/racy-git.txt).

    Args:
        ctime_ns: Of the file.
        now_ns: When it was looked at, nanoseconds since 1970.
    """
    grain = COARSE_NS if not ctime_ns % _SECOND_NS else GRAIN_NS
    return ctime_ns >= now_ns - grain


def stamp_of(status: os.stat_result) -> int:
    """Returns what tells a file from any other and from itself after a change.

    Every write and every change of metadata moves ctime, which nobody can set back; one number
    instead of five fields keeps a million entries small.
    """
    return hash(
        (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    )


class FolderSource:
    """Files below a folder of the host.

    Args:
        folder: Absolute path of the folder.
        target: Path in the image that the folder stands for: an entry's path with this taken
            off is its path in the folder.
        names: Paths in the folder of those entries to which that does not apply.

    Attributes:
        recent: Stamps of those that had changed just before they were looked at.
        walked: All that was seen of it, directories among them, whatever becomes of it.
    """

    def __init__(
        self, folder: bytes, target: bytes = b"", names: Mapping[bytes, bytes] | None = None
    ) -> None:
        self.folder = folder
        self._skip = len(target) + 1 if target else 0
        self._names = names or {}
        self.recent: set[int] = set()
        self.walked: Sequence[Entry] = ()

    def bare(self) -> FolderSource:
        """Returns a source of the same files that does not know what was seen of them."""
        other = FolderSource(self.folder, names=self._names)
        other._skip = self._skip
        return other

    def origin(self, entry: Entry) -> bytes:
        """Returns the entry's path below the folder."""
        return self._names.get(entry.path) or entry.path[self._skip :]

    def identity(self, entry: Entry) -> int | None:
        """Returns the stamp of a file, unless it may have changed since without a trace."""
        stamp = entry.stamp
        return stamp if isinstance(stamp, int) and stamp not in self.recent else None

    def describe(self, entry: Entry) -> str:
        """Returns the file's path on the host."""
        return shown(self.place(self.origin(entry)))

    def place(self, below: bytes) -> bytes:
        """Returns the host's path of what is so far below the folder, the folder's own if empty."""
        return os.path.join(self.folder, below) if below else self.folder

    def stream(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, int, memoryview]]:
        """Yields the data of regular files; see `engine.manifest.entry.Source.stream`."""
        buffer = memoryview(bytearray(_CHUNK))
        here: bytes | None = None
        folder_fd = -1
        with self._descend(entries) as descent:
            for entry in entries:
                above, _, name = self.origin(entry).rpartition(b"/")
                try:
                    if above != here:
                        folder_fd = descent.enter(above)
                        here = above
                    fd = os.open(name, _FILE_FLAGS, dir_fd=folder_fd)
                except OSError as error:
                    raise self._named(error, entry) from error
                if entry.size > _CHUNK or entry.extents is not None:
                    try:
                        yield from self._pieces(fd, entry, buffer)
                    finally:
                        os.close(fd)
                    continue
                piece = buffer[: entry.size]
                try:
                    got = os.readv(fd, (piece,)) if entry.size else 0
                    # One read, and only then the check: it covers before and after.
                    same = stamp_of(os.fstat(fd)) == entry.stamp
                except OSError as error:
                    raise self._named(error, entry) from error
                finally:
                    os.close(fd)
                if not same or got != entry.size:
                    raise self._changed(entry)
                if got:
                    yield entry, 0, piece

    def _descend(self, entries: Sequence[Entry]) -> Descent:
        try:
            return Descent(self.folder)
        except OSError as error:
            if entries:
                raise self._named(error, entries[0]) from error
            raise

    def _pieces(
        self, fd: int, entry: Entry, buffer: memoryview
    ) -> Iterator[tuple[Entry, int, memoryview]]:
        """Yields a file too large for one read, or one with holes."""
        self._check(fd, entry)
        ranges = ((0, entry.size),) if entry.extents is None else entry.extents
        for start, length in ranges:
            offset, end = start, start + length
            while offset < end:
                piece = buffer[: min(_CHUNK, end - offset)]
                try:
                    got = os.preadv(fd, (piece,), offset)
                except OSError as error:
                    raise self._named(error, entry) from error
                if got == 0:
                    raise self._changed(entry)
                yield entry, offset, piece[:got]
                offset += got
        self._check(fd, entry)

    def _check(self, fd: int, entry: Entry) -> None:
        if stamp_of(os.fstat(fd)) != entry.stamp:
            raise self._changed(entry)

    def _changed(self, entry: Entry) -> SourceChanged:
        return SourceChanged(f"{self.describe(entry)} changed after it was scanned")

    def _named(self, error: OSError, entry: Entry) -> Exception:
        """Returns the error with the file's whole path; one that was replaced has changed."""
        if error.errno in _REPLACED:
            return SourceChanged(
                f"{self.describe(entry)} is not what was scanned any more"
                f" ({os.strerror(error.errno or 0)})"
            )
        return OSError(error.errno, os.strerror(error.errno or 0), self.describe(entry))
