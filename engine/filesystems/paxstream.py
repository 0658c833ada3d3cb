"""A manifest as a pax archive, for programs that fill a file system from one: nothing is staged.

What holds no data comes first, directories before what they hold; then the files, source by
source; then further names of inodes. So every archive among the sources is read once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from engine.filesystems.populate import (
    REPORT_EVERY,
    DataObserver,
    Expected,
    Progress,
    changed,
    refuse,
)
from engine.manifest import pax
from engine.manifest.entry import Entry, Source
from engine.manifest.manifest import Manifest
from engine.manifest.memory import Elsewhere, original
from engine.manifest.tar import BLOCK

Attributes = tuple[tuple[bytes, bytes], ...]


class Kept(NamedTuple):
    """What a format keeps of an entry's metadata, where it may drop some."""

    mode: int
    mtime_ns: int
    xattrs: Attributes


Keep = Callable[[Entry], Kept]
"""Returns what a format keeps of an entry."""

_KINDS = {
    stat.S_IFREG: b"0", stat.S_IFDIR: b"5", stat.S_IFLNK: b"2", stat.S_IFCHR: b"3",
    stat.S_IFBLK: b"4", stat.S_IFIFO: b"6",
}  # fmt: skip
_ROOT = Entry(b"", stat.S_IFDIR | 0o755)


def everything(entry: Entry) -> Kept:
    """Keeps all that an entry has."""
    return Kept(entry.mode, entry.mtime_ns, entry.xattrs)


def stream(
    manifest: Manifest,
    *,
    keep: Keep = everything,
    progress: Progress = lambda done, total: None,
    observer: DataObserver | None = None,
) -> Iterator[bytes | memoryview]:
    """Yields the archive in pieces; each is valid until the next one is asked for.

    Args:
        manifest: Its entries have no sockets, which archives do not know.
        keep: What of an entry's metadata goes in.
        progress: Called now and then with bytes of data passed and in all.
        observer: Takes every piece of data.

    Raises:
        SourceChanged: A source is not what was scanned.
        OSError: A source cannot be read.
    """
    return _Stream(manifest, keep, progress, observer).pieces()


class _Stream:
    def __init__(
        self, manifest: Manifest, keep: Keep, progress: Progress, observer: DataObserver | None
    ) -> None:
        self._entries = manifest.entries or (_ROOT,)
        self._keep = keep
        self._progress = progress
        self._observer = observer
        self._total = manifest.counts.data_bytes
        self._done = self._reported = self._length = 0

    def pieces(self) -> Iterator[bytes | memoryview]:
        for piece in self._members():
            self._length += len(piece)
            yield piece
        end = self._length + 2 * BLOCK
        yield bytes(2 * BLOCK + -end % pax.RECORD)
        self._progress(self._total, self._total)

    def _members(self) -> Iterator[bytes | memoryview]:
        sources: dict[int, tuple[Source, list[Entry]]] = {}
        for entry in self._entries:
            if entry.link_to is not None:
                continue
            if not entry.is_regular or not _stored(entry):
                yield self._head(entry)
            elif entry.source is None:
                raise refuse(entry, "a file with data but without a source")
            else:
                sources.setdefault(id(entry.source), (entry.source, []))[1].append(entry)
        for source, files in sources.values():
            for group in _apart(files) if isinstance(source, Elsewhere) else [files]:
                yield from self._files(source, group)
        for entry in self._entries:
            if entry.link_to is not None:
                yield pax.blocks(_header(entry, b"1", link=entry.link_to.path))

    def _files(self, source: Source, files: Sequence[Entry]) -> Iterator[bytes | memoryview]:
        missing = {id(file): file for file in files}
        current: Entry | None = None
        expected = Expected(_ROOT)
        for entry, offset, data in source.stream(files):
            if entry is not current:
                expected.finish()
                if missing.pop(id(entry), None) is None:
                    raise changed(entry, "data where there was none")
                current, expected = entry, Expected(entry)
                yield self._head(entry)
            expected.take(offset, len(data))
            if self._observer is not None:
                self._observer.take(entry, offset, data)
            yield data
            if expected.complete:
                yield bytes(-_stored(entry) % BLOCK)
            self._report(len(data))
        expected.finish()
        for entry in missing.values():
            Expected(entry).finish()

    def _report(self, more: int) -> None:
        self._done += more
        if self._done - self._reported >= REPORT_EVERY:
            self._reported = self._done
            self._progress(self._done, self._total)

    def _head(self, entry: Entry) -> bytes:
        """Returns all that stands before an entry's data."""
        header, records, table = _member(entry, self._keep)
        return pax.blocks(header, records) + table


def _apart(files: Sequence[Entry]) -> list[list[Entry]]:
    """Returns files that are other files' bytes in groups, as few as keep equal ones apart.

    Their source gives the data of equal ones alternately.
    """
    groups: list[list[Entry]] = []
    met: dict[int, int] = {}
    for file in files:
        first = id(original(file))
        number = met[first] = met.get(first, -1) + 1
        if number == len(groups):
            groups.append([])
        groups[number].append(file)
    return groups


def records_bytes(entry: Entry, keep: Keep) -> int:
    """Returns the bytes of the records of an entry, which some programs take a limited number of.

    Raises:
        PopulateFailed: It is a socket.
    """
    header, records, _ = _member(entry, keep)
    return len(pax.extended(header, records))


def _member(entry: Entry, keep: Keep) -> tuple[pax.Header, pax.Records, bytes]:
    """Returns the header of an entry's member, its records, and the map of a file with holes."""
    kept = keep(entry)
    kind = _KINDS.get(stat.S_IFMT(entry.mode))
    if kind is None:
        raise refuse(entry, "a socket, which archives do not know")
    attributes = [(b"SCHILY.xattr." + name, value) for name, value in kept.xattrs]
    if not entry.is_regular:
        return _header(entry, kind, link=entry.target, mtime_ns=kept.mtime_ns), attributes, b""
    stored = _stored(entry)
    if stored == entry.size:
        return _header(entry, kind, mtime_ns=kept.mtime_ns, size=stored), attributes, b""
    table = pax.sparse_map(entry.extents or (), entry.size)
    name = b"GNUSparseFile/" + entry.name
    header = _header(entry, kind, name=name, mtime_ns=kept.mtime_ns, size=len(table) + stored)
    return header, [*pax.sparse_records(entry.path, entry.size), *attributes], table


def _stored(entry: Entry) -> int:
    """Returns the bytes of a file that its source gives."""
    return entry.size if entry.extents is None else sum(length for _, length in entry.extents)


def _header(
    entry: Entry, kind: bytes, *, name: bytes = b"", link: bytes = b"", mtime_ns: int = 0,
    size: int = 0,
) -> pax.Header:  # fmt: skip
    path = (entry.path or b".") + b"/" if entry.is_directory else entry.path
    return pax.Header(
        name=name or path, kind=kind, mode=stat.S_IMODE(entry.mode), uid=entry.uid, gid=entry.gid,
        size=size, mtime_ns=mtime_ns, link=link,
        major=os.major(entry.rdev), minor=os.minor(entry.rdev),
    )  # fmt: skip
