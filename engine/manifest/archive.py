"""Tar archives as sources of data, read once from front to back, packed or not."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence

from engine.manifest.compressed import CORRUPT, HEAD, Descriptor, Stream, form_of, unpacked
from engine.manifest.entry import Entry, SourceChanged
from engine.manifest.findings import shown
from engine.manifest.folder import stamp_of
from engine.manifest.part import Part
from engine.manifest.tar import BLOCK, BadArchive, is_header

_CHUNK = 1 << 20
_PLAIN_BUFFER = 1 << 16


class ArchiveSource:
    """Members' data; entries carry its offset in the unpacked archive as stamp.

    Attributes:
        brought: All that came of it, once that is known.
    """

    def __init__(self, path: bytes, stamp: int, *, recent: bool = False) -> None:
        self.path = path
        self.stamp = stamp
        self.recent = recent
        self.brought: Part | None = None

    @property
    def files(self) -> Mapping[bytes, int | None]:
        """What it was read from: stamps by path, None where that had just changed."""
        return {self.path: None if self.recent else self.stamp}

    def identity(self, entry: Entry) -> int | None:
        """Returns what tells a member, unless the archive may have changed without a trace."""
        return None if self.recent else hash((self.stamp, entry.stamp))

    def describe(self, entry: Entry) -> str:
        """Returns the archive's path and the entry's in the image."""
        return f"{shown(self.path)} (/{shown(entry.path)})"

    def stream(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, int, memoryview]]:
        """Yields data in the archive's order; see `engine.manifest.entry.Source.stream`."""
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._check(fd)
            source = open_archive(os.dup(fd))
            try:
                for entry in sorted(entries, key=_offset):
                    source.skip(_offset(entry) - source.position)
                    yield from data_of(entry, source)
            except (BadArchive, *CORRUPT) as error:
                raise SourceChanged(f"{shown(self.path)} cannot be read again: {error}") from error
            finally:
                source.close()
            self._check(fd)
        finally:
            os.close(fd)

    def _check(self, fd: int) -> None:
        if stamp_of(os.fstat(fd)) != self.stamp:
            raise SourceChanged(f"{shown(self.path)} changed after it was scanned")


def _offset(entry: Entry) -> int:
    assert isinstance(entry.stamp, int)
    return entry.stamp


def _nothing() -> None:
    """Takes no notice."""


def data_of(entry: Entry, source: Reader) -> Iterator[tuple[Entry, int, memoryview]]:
    """Yields an entry's data from a reader that stands where it begins.

    Raises:
        BadArchive: The stream ends before.
    """
    for start, length in ((0, entry.size),) if entry.extents is None else entry.extents:
        offset, end = start, start + length
        while offset < end:
            piece = source.piece(end - offset)
            yield entry, offset, piece
            offset += len(piece)


class Reader:
    """Reads a stream forward and knows where it is."""

    def __init__(self, stream: Stream, on_piece: Callable[[], None] = _nothing) -> None:
        self.position = 0
        self._on_piece = on_piece
        self._stream = stream
        self._buffer = memoryview(bytearray(_CHUNK))

    def piece(self, length: int) -> memoryview:
        """Returns up to so many bytes, at least one; valid until the next call."""
        piece = self._buffer[: min(length, _CHUNK)]
        got = self._stream.readinto(piece)
        if not got:
            raise BadArchive(f"it ends at byte {self.position}, in the middle of a member")
        self.position += got
        self._on_piece()
        return piece[:got]

    def read(self, length: int) -> bytes:
        """Returns the next bytes, fewer only at the end."""
        data = bytearray(length)
        view = memoryview(data)
        filled = 0
        while filled < length:
            got = self._stream.readinto(view[filled:])
            if not got:
                break
            filled += got
        self.position += filled
        return bytes(view[:filled])

    def skip(self, length: int) -> None:
        """Passes over bytes."""
        end = self.position + length
        while self.position < end:
            self.piece(end - self.position)

    def rest(self, limit: int) -> bytes:
        """Reads to the end; returns what is left, at most so many bytes of it.

        A stream that is compressed is read whole, so that its checksum is looked at.
        """
        kept = self.read(limit)
        while got := self._stream.readinto(self._buffer):
            self.position += got
            self._on_piece()
        return kept

    def close(self) -> None:
        self._stream.close()


class _Seekable(Reader):
    """Passes over bytes of a plain file without reading them."""

    def __init__(self, fd: int) -> None:
        file = io.BufferedReader(io.FileIO(fd), _PLAIN_BUFFER)
        super().__init__(file)
        self._file = file
        self._end = os.fstat(fd).st_size

    def skip(self, length: int) -> None:
        """Passes over bytes."""
        if self.position + length > self._end:
            raise BadArchive(f"it ends at byte {self._end}, in the middle of a member")
        self.position += length
        self._file.seek(length, os.SEEK_CUR)

    def rest(self, limit: int) -> bytes:
        """Returns what is left, at most so many bytes of it; there is no checksum to read for."""
        return self.read(limit)


def is_compressed(fd: int) -> bool:
    """Whether an open file is in a compressed form that is read."""
    return form_of(os.pread(fd, HEAD, 0)) != ""


def is_archive(path: bytes) -> bool:
    """Whether a file is one that an archive may be in: a tar archive, or something compressed."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        head = os.pread(fd, BLOCK, 0)
    except OSError:
        return False
    finally:
        os.close(fd)
    return form_of(head) != "" or (len(head) == BLOCK and any(head) and is_header(head))


def holds_tar(path: bytes) -> bool:
    """Whether a file is a tar archive, packed or not: its first block is looked at.

    What is packed in a form that no installed program reads is not known to be one.
    """
    try:
        reader = open_archive(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError:
        return False
    try:
        head = reader.read(BLOCK)
    except (OSError, BadArchive, *CORRUPT):
        return False
    finally:
        reader.close()
    return len(head) == BLOCK and any(head) and is_header(head)


def open_archive(fd: int, on_piece: Callable[[], None] = _nothing) -> Reader:
    """Returns a reader of an archive, packed or not; takes over the descriptor.

    Args:
        fd: Open file at its start.
        on_piece: Called for each piece that is unpacked; what it raises ends the reading.
    """
    if is_compressed(fd):
        return Reader(unpacked(Descriptor(fd)), on_piece)
    return _Seekable(fd)
