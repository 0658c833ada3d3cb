"""Where the blobs of a container image lie: in a folder, or in a tar archive, packed or not."""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from engine.manifest.archive import Reader, is_compressed, open_archive
from engine.manifest.compressed import Descriptor, Stream
from engine.manifest.entry import SourceChanged
from engine.manifest.findings import shown
from engine.manifest.folder import is_recent, stamp_of
from engine.manifest.oci.errors import BadImage
from engine.manifest.tar import Member, members
from engine.units import in_bytes

MOST_JSON = 16 << 20
"""Bytes of one document; the specification asks registries for 4 MiB (image-spec, manifest.md)."""
_ALL_JSON = 64 << 20
"""Bytes of all documents of an archive, which are kept while it is looked through once."""
_MOST_NAMES = 1 << 20
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_LINKS = (b"1", b"2")

OnPiece = Callable[[], None]


class Store(Protocol):
    """Named blobs. Names are paths from the top of the layout, such as b"blobs/sha256/...".

    Attributes:
        path: Of the folder or archive.
    """

    path: bytes

    @property
    def files(self) -> Mapping[bytes, int | None]:
        """What was looked at so far: stamps by path, None of what had just changed then."""
        ...

    def stamp(self, name: bytes) -> int:
        """Returns the stamp of the file that a blob lies in, which was read before."""
        ...

    def has(self, name: bytes) -> bool:
        """Whether there is such a blob."""
        ...

    def document(self, name: bytes) -> bytes:
        """Returns a small blob whole.

        Raises:
            BadImage: There is none, or it is too large for a document.
        """
        ...

    def passing(self, names: Iterable[bytes]) -> Iterator[tuple[bytes, Stream]]:
        """Yields blobs one after the other, in the order that costs least.

        A stream is good until the next one is asked for, and is closed by the store.

        Raises:
            SourceChanged: A blob is not what it was when it was read first.
            OSError: It cannot be read.
        """
        ...


def open_store(path: bytes, on_piece: OnPiece) -> Store:
    """Returns the blobs of a folder or an archive.

    Raises:
        BadImage: It is neither.
        OSError: It cannot be read.
        BadArchive, and what unpacking raises: The archive is damaged.
    """
    if os.path.isdir(path):
        return FolderStore(path)
    return ArchiveStore(path, on_piece)


class FolderStore:
    """The files of a folder."""

    def __init__(self, path: bytes) -> None:
        self.path = path
        self._top = os.path.realpath(path)
        self._stamps: dict[bytes, int] = {}
        self._files: dict[bytes, int | None] = {}

    @property
    def files(self) -> Mapping[bytes, int | None]:
        """Blobs that were read, and the folders of all that were asked for."""
        return self._files

    def stamp(self, name: bytes) -> int:
        """Returns the stamp of a blob that was read."""
        return self._stamps[name]

    def has(self, name: bytes) -> bool:
        """Whether there is such a file."""
        self._look_above(name)
        return os.path.isfile(self._place(name))

    def document(self, name: bytes) -> bytes:
        """Returns a small file whole."""
        if not self.has(name):
            raise _missing(name)
        with open(self._open(name), "rb") as file:
            data = file.read(MOST_JSON + 1)
        if len(data) > MOST_JSON:
            raise _too_large(name)
        return data

    def passing(self, names: Iterable[bytes]) -> Iterator[tuple[bytes, Stream]]:
        """Yields files as they are asked for."""
        for name in names:
            stream = Descriptor(self._open(name))
            try:
                yield name, stream
                self._check(name, stream.fd)
            finally:
                stream.close()

    def _look_above(self, name: bytes) -> None:
        """Keeps what the host says of the folder that has a name or lacks it, or would have it."""
        above = os.path.join(self.path, name)
        while (above := os.path.dirname(above)) not in self._files:
            try:
                self._files[above] = _settled(os.stat(above))
            except OSError:
                continue
            return

    def _place(self, name: bytes) -> bytes:
        """Returns a file's path: links are followed (as skopeo makes them), but not out of it."""
        place = os.path.realpath(os.path.join(self._top, name))
        if not place.startswith(self._top.rstrip(b"/") + b"/"):
            raise BadImage(f"{shown(name)} leads out of the folder")
        return place

    def _open(self, name: bytes) -> int:
        fd = os.open(self._place(name), _FLAGS)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise BadImage(f"{shown(name)} is not a regular file")
            self._check(name, fd)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _check(self, name: bytes, fd: int) -> None:
        status = os.fstat(fd)
        stamp = stamp_of(status)
        if name not in self._stamps:
            self._look_above(name)
            self._files[os.path.join(self.path, name)] = _settled(status)
        if self._stamps.setdefault(name, stamp) != stamp:
            where = shown(os.path.join(self.path, name))
            raise SourceChanged(f"{where} changed after it was scanned")


class ArchiveStore:
    """The members of a tar archive, which is looked through once to know where they lie."""

    def __init__(self, path: bytes, on_piece: OnPiece) -> None:
        self.path = path
        self._on_piece = on_piece
        self._places: dict[bytes, tuple[int, int]] = {}
        self._links: dict[bytes, bytes] = {}
        self._documents: dict[bytes, bytes] = {}
        fd = os.open(path, _FLAGS)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise BadImage(
                    f"{shown(path)} is neither a folder nor a regular file",
                    "name an OCI layout or an archive of `docker save`",
                    code="archive-no-file",
                )
            self._stamp = stamp_of(status)
            self._settled = _settled(status)
            self._packed = is_compressed(fd)
            source = open_archive(os.dup(fd), on_piece)
            try:
                for member in members(source):
                    self._note(member, source)
                source.rest(0)
            finally:
                source.close()
        finally:
            os.close(fd)

    @property
    def files(self) -> Mapping[bytes, int | None]:
        """The archive."""
        return {self.path: self._settled}

    def stamp(self, name: bytes) -> int:
        """Returns the stamp of the archive."""
        return self._stamp

    def has(self, name: bytes) -> bool:
        """Whether there is such a member."""
        return self._place(name) is not None

    def document(self, name: bytes) -> bytes:
        """Returns a small member whole."""
        where = self._resolved(name)
        if where not in self._places:
            raise _missing(name)
        if where not in self._documents:
            raise _too_large(name)
        return self._documents[where]

    def passing(self, names: Iterable[bytes]) -> Iterator[tuple[bytes, Stream]]:
        """Yields members: as asked for from a plain archive, else as they lie."""
        places = [(name, *(self._place(name) or (0, 0))) for name in names]
        if self._packed:
            places.sort(key=lambda place: place[1])
        runs = [places] if self._packed else [[place] for place in places]
        for run in runs:
            with_fd = os.open(self.path, _FLAGS)
            try:
                self._check(with_fd)
                source = open_archive(os.dup(with_fd), self._on_piece)
                try:
                    for name, offset, size in run:
                        source.skip(offset - source.position)
                        yield name, _Window(source, size)
                finally:
                    source.close()
                self._check(with_fd)
            finally:
                os.close(with_fd)

    def _note(self, member: Member, source: Reader) -> None:
        """Remembers where a member is, and what it says if it looks like a document."""
        name = _normal(member.name)
        if len(self._places) + len(self._links) >= _MOST_NAMES:
            raise BadImage(f"it has more than {_MOST_NAMES} members, which no image archive has")
        if member.kind in _LINKS:
            base = posixpath.dirname(name) if member.kind == b"2" else b""
            self._links[name] = _normal(posixpath.join(base, member.link))
        elif member.kind == b"0" and member.extents is None:
            self._links.pop(name, None)
            self._places[name] = source.position, member.size
            room = _ALL_JSON - sum(map(len, self._documents.values()))
            if 0 < member.size <= min(MOST_JSON, room):
                first = source.read(1)
                if first in {b"{", b"["}:
                    self._documents[name] = first + source.read(member.size - 1)

    def _resolved(self, name: bytes) -> bytes:
        for _ in range(3):  # skopeo names a layer by a link; nobody links to links
            name = self._links.get(name, name)
        return name

    def _place(self, name: bytes) -> tuple[int, int] | None:
        return self._places.get(self._resolved(name))

    def _check(self, fd: int) -> None:
        if stamp_of(os.fstat(fd)) != self._stamp:
            raise SourceChanged(f"{shown(self.path)} changed after it was scanned")


class _Window:
    """The next bytes of a reader, so many of them."""

    def __init__(self, source: Reader, size: int) -> None:
        self._source = source
        self._left = size

    def readinto(self, buffer: memoryview, /) -> int:
        wanted = min(len(buffer), self._left)
        if not wanted:
            return 0
        piece = self._source.piece(wanted)
        buffer[: len(piece)] = piece
        self._left -= len(piece)
        return len(piece)

    def close(self) -> None:
        """Leaves the reader to its owner."""


class Summed:
    """A stream that counts and hashes what is read of it.

    Args:
        stream: What is read.
        algorithm: As hashlib calls it.
    """

    def __init__(self, stream: Stream, algorithm: str) -> None:
        self._stream = stream
        self._hash = hashlib.new(algorithm)
        self.size = 0

    def readinto(self, buffer: memoryview, /) -> int:
        """Fills a buffer as far as it can; 0 at the end."""
        got = self._stream.readinto(buffer) or 0
        self._hash.update(buffer[:got])
        self.size += got
        return got

    def drain(self) -> None:
        """Reads to the end."""
        buffer = memoryview(bytearray(1 << 16))
        while self.readinto(buffer):
            pass

    def hexdigest(self) -> str:
        """Returns the sum of what was read so far."""
        return self._hash.hexdigest()

    def close(self) -> None:
        self._stream.close()


def _settled(status: os.stat_result) -> int | None:
    """Returns a stamp, or None where a further change may not show in it."""
    return None if is_recent(status.st_ctime_ns, time.time_ns()) else stamp_of(status)


def _normal(name: bytes) -> bytes:
    return posixpath.normpath(b"/" + name).lstrip(b"/")


def _missing(name: bytes) -> BadImage:
    return BadImage(f"there is no {shown(name)} in it", code="image-incomplete")


def _too_large(name: bytes) -> BadImage:
    return BadImage(f"{shown(name)} is not a document of at most {in_bytes(MOST_JSON)}")
