"""Digests of what goes into an image: of each file system, and of each content entry's files."""

from __future__ import annotations

import hashlib
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


@dataclass(slots=True)
class Inputs:
    """All digests of a build: by role of the file system, by key path of the content entry."""

    filesystems: dict[str, Digest] = field(default_factory=dict)
    contents: dict[str, Digest] = field(default_factory=dict)


def data_digests(
    entries: Iterable[Entry], cancelled: Callable[[], bool] = lambda: False
) -> dict[int, bytes]:
    """Returns the SHA-256 of every regular file's data, by id of the entry.

    A file with holes is hashed as its data ranges, each after its offset and length, so that
    holes cost nothing.

    Raises:
        SourceChanged: A source is not what was scanned.
        OSError: It cannot be read.
    """
    by_source: dict[int, tuple[Source, list[Entry]]] = {}
    sums: dict[int, bytes] = {}
    for entry in entries:
        if entry.is_regular and entry.link_to is None:
            sums[id(entry)] = _EMPTY
            if entry.source is not None and entry.size:
                by_source.setdefault(id(entry.source), (entry.source, []))[1].append(entry)
    for source, files in by_source.values():
        current: Entry | None = None
        digest = hashlib.sha256()
        for entry, offset, data in source.stream(files):
            if entry is not current:
                if current is not None:
                    sums[id(current)] = digest.digest()
                current, digest = entry, hashlib.sha256()
            if entry.extents is not None:
                digest.update(b"%d %d\n" % (offset, len(data)))
            digest.update(data)
            if cancelled():
                return sums
        if current is not None:
            sums[id(current)] = digest.digest()
    return sums


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
