"""Digests of what goes into an image: of each file system, and of each content entry's files."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from engine.manifest.entry import Entry, Source

_EMPTY = hashlib.sha256().digest()


@dataclass(frozen=True, slots=True)
class Digest:
    """SHA-256 over a number of entries, and how many bytes of data they have."""

    entries: int
    bytes: int
    sha256: str


class DataSums:
    """SHA-256 of files' data, taken as it flows from the sources (`Source.stream`).

    A file with holes is hashed as its data ranges, each after its offset and length, so that
    holes cost nothing.
    """

    def __init__(self) -> None:
        self._whole: dict[int, bytes] = {}
        self._pieces: dict[int, hashlib._Hash] = {}

    def take(self, entry: Entry, offset: int, data: memoryview) -> None:
        """Takes the next bytes of a file."""
        if entry.extents is not None:
            digest = self._of(entry)
            at = bisect_left(entry.extents, (offset,))
            if at < len(entry.extents) and entry.extents[at][0] == offset:
                digest.update(b"%d %d\n" % entry.extents[at])
            digest.update(data)
        elif len(data) == entry.size:  # most files: one piece
            self._whole[id(entry)] = hashlib.sha256(data).digest()
        else:
            self._of(entry).update(data)

    def adopt(self, entry: Entry, digest: bytes) -> None:
        """Takes the sum of a file that need not be read, as an earlier `of` gave it."""
        self._whole[id(entry)] = digest

    def of(self, entries: Iterable[Entry]) -> dict[int, bytes]:
        """Returns the sum of every regular file among the entries, by id of the entry."""
        sums = {id(entry): _EMPTY for entry in entries if _has_data(entry)}
        sums.update((key, digest.digest()) for key, digest in self._pieces.items() if key in sums)
        sums.update((key, digest) for key, digest in self._whole.items() if key in sums)
        return sums

    def _of(self, entry: Entry) -> hashlib._Hash:
        if id(entry) not in self._pieces:
            self._pieces[id(entry)] = hashlib.sha256()
        return self._pieces[id(entry)]


@dataclass(slots=True)
class Inputs:
    """All digests of a build.

    Attributes:
        data: Of the root file system's files, as they were written.
        filesystems: By role of the file system.
        contents: By key path of the content entry.
    """

    data: DataSums = field(default_factory=DataSums)
    filesystems: dict[str, Digest] = field(default_factory=dict)
    contents: dict[str, Digest] = field(default_factory=dict)


def read_sums(entries: Iterable[Entry], cancelled: Callable[[], bool] = lambda: False) -> DataSums:
    """Returns the sums of files that are read for this alone.

    Raises:
        SourceChanged: A source is not what was scanned.
        OSError: It cannot be read.
    """
    by_source: dict[int, tuple[Source, list[Entry]]] = {}
    for entry in entries:
        if _has_data(entry) and entry.source is not None:
            by_source.setdefault(id(entry.source), (entry.source, []))[1].append(entry)
    sums = DataSums()
    for source, files in by_source.values():
        for entry, offset, data in source.stream(files):
            sums.take(entry, offset, data)
            if cancelled():
                return sums
    return sums


def _has_data(entry: Entry) -> bool:
    """Whether an entry is a regular file under its first name."""
    return entry.is_regular and entry.link_to is None


def of_filesystem(entries: Iterable[Entry], sums: Mapping[int, bytes]) -> Digest:
    """Returns the digest of all that a file system is filled with, metadata and data.

    It is over one line an entry, in the image's order: every field, its length before it.
    """
    digest = hashlib.sha256()
    count = size = 0
    for entry in entries:
        numbers = entry.mode, entry.uid, entry.gid, entry.mtime_ns, entry.size, entry.rdev
        fields = [
            entry.path,
            *(b"%d" % number for number in numbers),
            entry.target,
            entry.link_to.path if entry.link_to is not None else b"",
            sums.get(id(entry), b""),
            *(part for pair in entry.xattrs for part in pair),
        ]
        for value in fields:
            digest.update(b"%d:%s\0" % (len(value), value))
        digest.update(b"\n")
        count += 1
        if id(entry) in sums:
            size += entry.size
    return Digest(count, size, digest.hexdigest())


def of_sources(
    entries: Iterable[Entry], sums: Mapping[int, bytes], sources: Iterable[Source]
) -> Digest:
    """Returns the digest of those files that come from some sources, names and data alone.

    It is over the lines that `sha256sum` prints for the files, by their paths in the image.
    """
    wanted = {id(source) for source in sources}
    digest = hashlib.sha256()
    count = size = 0
    for entry in entries:
        if id(entry) in sums and id(entry.source) in wanted:
            digest.update(b"%s  %s\n" % (sums[id(entry)].hex().encode(), entry.path))
            count += 1
            size += entry.size
    return Digest(count, size, digest.hexdigest())
