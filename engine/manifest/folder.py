"""Reads the files of a folder on the host, and notices when they are not what was scanned."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from engine.manifest.descent import Descent
from engine.manifest.entry import Entry, SourceChanged

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

Bare = tuple[bytes, int, dict[bytes, bytes]]
"""Of a source: the folder, how much of an entry's path is not in it, and paths that are others."""


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
        self._names = {} if names is None else names
        self.recent: set[int] = set()
        self.walked: Sequence[Entry] = ()

    def bare(self) -> Bare:
        """Returns all that finds its files, and nothing of what was seen of them."""
        return self.folder, self._skip, dict(self._names)

    @classmethod
    def of(cls, bare: Bare) -> Self:
        """Returns a source of the same files as one that is gone, or another process's."""
        folder, skip, names = bare
        other = cls(folder, names=names)
        other._skip = skip
        return other

    def origin(self, entry: Entry) -> bytes:
        """Returns the entry's path below the folder."""
        return self.below(entry.path)

    def below(self, path: bytes) -> bytes:
        """Returns the path below the folder of what is at a path in the image."""
        found = self._names.get(path)
        return path[self._skip :] if found is None else found

    def identity(self, entry: Entry) -> int | None:
        """Returns the stamp of a file, unless it may have changed since without a trace."""
        stamp = entry.stamp
        return stamp if isinstance(stamp, int) and stamp not in self.recent else None

    def describe(self, entry: Entry) -> str:
        """Returns the file's path on the host."""
        return self._described(entry.path)

    def place(self, below: bytes) -> bytes:
        """Returns the host's path of what is so far below the folder, the folder's own if empty."""
        return os.path.join(self.folder, below) if below else self.folder

    def stream(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, int, memoryview]]:
        """Yields the data of regular files; see `engine.manifest.entry.Source.stream`."""
        if not entries:
            return
        buffer = memoryview(bytearray(_CHUNK))
        with Reader(self, entries[0].path) as reader:
            for entry in entries:
                if entry.size > _CHUNK or entry.extents is not None:
                    fd = reader.open(entry.path)
                    try:
                        yield from self._pieces(fd, entry, buffer)
                    finally:
                        os.close(fd)
                    continue
                piece = buffer[: entry.size]
                reader.fill(entry.path, entry.stamp, piece)
                if entry.size:
                    yield entry, 0, piece

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
                    raise self.named(error, entry.path) from error
                if got == 0:
                    raise self.changed(entry.path)
                yield entry, offset, piece[:got]
                offset += got
        self._check(fd, entry)

    def _check(self, fd: int, entry: Entry) -> None:
        if stamp_of(os.fstat(fd)) != entry.stamp:
            raise self.changed(entry.path)

    def changed(self, path: bytes) -> SourceChanged:
        """Returns the error of a file that is not what was scanned, by its path in the image."""
        return SourceChanged(f"{self._described(path)} changed after it was scanned")

    def named(self, error: OSError, path: bytes) -> Exception:
        """Returns an error with the file's whole path; one that was replaced has changed."""
        if error.errno in _REPLACED:
            return SourceChanged(
                f"{self._described(path)} is not what was scanned any more"
                f" ({os.strerror(error.errno or 0)})"
            )
        return OSError(error.errno, os.strerror(error.errno or 0), self._described(path))

    def _described(self, path: bytes) -> str:
        from engine.manifest.findings import shown  # not for a process that has nothing to tell

        return shown(self.place(self.below(path)))


class Reader:
    """Opens files of a folder, which may have changed since they were scanned; a context."""

    def __init__(self, source: FolderSource, first: bytes) -> None:
        """Opens the folder.

        Args:
            source: The folder.
            first: Path in the image of a file that is to be read, which an error names.

        Raises:
            SourceChanged: It is not there any more.
            OSError: It cannot be opened.
        """
        self._source = source
        self._here: bytes | None = None
        self._folder = -1
        try:
            self._descent = Descent(source.folder)
        except OSError as error:
            raise source.named(error, first) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._descent.__exit__(kind, error, trace)

    def open(self, path: bytes) -> int:
        """Returns a descriptor of a file, by its path in the image.

        Raises:
            SourceChanged: It is gone, or another kind of file.
            OSError: It cannot be opened.
        """
        above, _, name = self._source.below(path).rpartition(b"/")
        try:
            if above != self._here:
                self._folder = self._descent.enter(above)
                self._here = above
            return os.open(name, _FILE_FLAGS, dir_fd=self._folder)
        except OSError as error:
            raise self._source.named(error, path) from error

    def fill(self, path: bytes, stamp: object, piece: memoryview) -> None:
        """Fills a buffer with a whole file.

        Args:
            path: The file's in the image.
            stamp: What it was when it was scanned.
            piece: As large as it was.

        Raises:
            SourceChanged: It is not what was scanned.
            OSError: It cannot be read.
        """
        fd = self.open(path)
        try:
            got = os.readv(fd, (piece,)) if piece else 0
            # One read, and only then the check: it covers before and after.
            same = stamp_of(os.fstat(fd)) == stamp
        except OSError as error:
            raise self._source.named(error, path) from error
        finally:
            os.close(fd)
        if not same or got != len(piece):
            raise self._source.changed(path)
