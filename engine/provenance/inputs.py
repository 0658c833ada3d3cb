"""Digests of what goes into an image: of each file system, and of each content entry's files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from engine.manifest.datasums import DataSums, has_data
from engine.manifest.entry import Entry, Source
from engine.manifest.manifest import Manifest

_FIELD = b"%d:%s\0"
_FIELDS = _FIELD * 10
_SHA256 = hashlib.sha256().digest_size
_AT_ONCE = 256
"""Lines that are hashed together."""


@dataclass(frozen=True, slots=True)
class Digest:
    """SHA-256 over a number of entries, and how many bytes of data they have."""

    entries: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Summed:
    """What goes into one file system, summed up.

    Attributes:
        whole: Of all that it is filled with.
        contents: Of what comes of each content entry, by its key path.
    """

    whole: Digest
    contents: Mapping[str, Digest]


@dataclass(slots=True)
class Inputs:
    """All digests of a build.

    Attributes:
        data: Of the files' data, as they were written.
        summed: Of volumes that were taken over, by id.
        filesystems: By role of the file system.
        contents: By key path of the content entry.
    """

    data: DataSums = field(default_factory=DataSums)
    summed: dict[str, Summed] = field(default_factory=dict)
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
        if has_data(entry) and entry.source is not None:
            by_source.setdefault(id(entry.source), (entry.source, []))[1].append(entry)
    sums = DataSums()
    for source, files in by_source.values():
        for entry, offset, data in source.stream(files):
            sums.take(entry, offset, data)
            if cancelled():
                return sums
    return sums


def summed(manifest: Manifest, sums: Mapping[int, bytes]) -> Summed:
    """Sums up a manifest.

    Args:
        manifest: What goes into a file system.
        sums: Of its files' data, by `id` of the entry.
    """
    origins = manifest.origins.items()
    return Summed(
        of_filesystem(manifest, sums),
        {
            where: of_sources(manifest, sums, sources)
            for where, sources in origins
            if where and sources
        },
    )


def of_filesystem(entries: Iterable[Entry], sums: Mapping[int, bytes]) -> Digest:
    """Returns the digest of all that a file system is filled with, metadata and data.

    It is over one line an entry, in the image's order: every field, its length before it.
    """
    digest = hashlib.sha256()
    count = size = 0
    lines: list[bytes] = []
    for entry in entries:
        data = sums.get(id(entry))
        lines.append(line_of(entry, data or b""))
        count += 1
        if data is not None:
            size += entry.size
        if len(lines) == _AT_ONCE:
            digest.update(b"".join(lines))
            lines.clear()
    digest.update(b"".join(lines))
    return Digest(count, size, digest.hexdigest())


def line_of(entry: Entry, data: bytes) -> bytes:
    """Returns all fields of an entry, in one go: there are many entries.

    Args:
        entry: Any.
        data: SHA-256 of its data; nothing where it has none.
    """
    mode, uid, gid = b"%d" % entry.mode, b"%d" % entry.uid, b"%d" % entry.gid
    mtime, size, rdev = b"%d" % entry.mtime_ns, b"%d" % entry.size, b"%d" % entry.rdev
    link = entry.link_to.path if entry.link_to is not None else b""
    line = _FIELDS % (
        len(entry.path), entry.path, len(mode), mode, len(uid), uid, len(gid), gid,
        len(mtime), mtime, len(size), size, len(rdev), rdev, len(entry.target), entry.target,
        len(link), link, len(data), data,
    )  # fmt: skip
    if entry.xattrs:
        line += b"".join(_FIELD % (len(part), part) for pair in entry.xattrs for part in pair)
    return line + b"\n"


def data_in(line: bytes, entry: Entry) -> bytes:
    """Returns the digest of its data from a line of a regular file (`line_of`)."""
    if not entry.xattrs:
        return line[-2 - _SHA256 : -2]
    behind = sum(len(_FIELD % (len(part), part)) for pair in entry.xattrs for part in pair)
    end = len(line) - len(b"\0\n") - behind
    return line[end - _SHA256 : end]


def sum_line(entry: Entry, data: bytes) -> bytes:
    """Returns what `sha256sum` prints of a file, by its path in the image."""
    return b"%s  %s\n" % (data.hex().encode(), entry.path)


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
        data = sums.get(id(entry))
        if data is not None and id(entry.source) in wanted:
            digest.update(sum_line(entry, data))
            count += 1
            size += entry.size
    return Digest(count, size, digest.hexdigest())
