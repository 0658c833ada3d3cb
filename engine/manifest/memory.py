"""Entries that the builder itself adds: byte strings, files of the host, other entries' data."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence

from engine.manifest.entry import Entry, Source, identity
from engine.manifest.folder import FolderSource, is_recent, stamp_of


class _Memory:
    """A source whose entries carry their bytes as stamp."""

    def stream(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, int, memoryview]]:
        for entry in entries:
            assert isinstance(entry.stamp, bytes)
            if entry.stamp:
                yield entry, 0, memoryview(entry.stamp)

    def describe(self, entry: Entry) -> str:
        """Returns what stands for an origin."""
        return f"/{entry.path.decode(errors='backslashreplace')} (made by Diskwright)"


class Elsewhere:
    """A source whose entries carry another entry as stamp: its bytes at another path.

    Attributes:
        behind: The sources of those, by `id`, where it stands for a few known ones.
    """

    def __init__(self) -> None:
        self.behind: dict[int, Source] = {}

    def identity(self, entry: Entry) -> int | None:
        """Returns that of the entry whose bytes these are."""
        original = entry.stamp
        assert isinstance(original, Entry)
        return identity(original)

    def stream(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, int, memoryview]]:
        """Yields the data of the originals, as that of these entries."""
        here: dict[int, list[Entry]] = {}
        by_source: dict[int, dict[int, Entry]] = {}
        for entry in entries:
            original = entry.stamp
            assert isinstance(original, Entry)
            here.setdefault(id(original), []).append(entry)
            by_source.setdefault(id(original.source), {})[id(original)] = original
        for originals in by_source.values():
            wanted = list(originals.values())
            if wanted[0].source is not None:
                for original, offset, piece in wanted[0].source.stream(wanted):
                    for entry in here[id(original)]:
                        yield entry, offset, piece

    def describe(self, entry: Entry) -> str:
        """Returns the origin of the entry whose bytes these are."""
        original = entry.stamp
        assert isinstance(original, Entry)
        return original.source.describe(original) if original.source is not None else ""


MADE = _Memory()
"""The source of what the builder makes."""
_ELSEWHERE = Elsewhere()


def original(entry: Entry) -> Entry:
    """Returns the entry whose bytes these are in the end."""
    while isinstance(entry.source, Elsewhere):
        assert isinstance(entry.stamp, Entry)
        entry = entry.stamp
    return entry


def directory(path: bytes, *, mtime_ns: int, mode: int = 0o755) -> Entry:
    """Returns a directory of root's."""
    return Entry(path, stat.S_IFDIR | mode, mtime_ns=mtime_ns)


def symlink(path: bytes, target: bytes, *, mtime_ns: int) -> Entry:
    """Returns a symbolic link of root's."""
    return Entry(
        path, stat.S_IFLNK | 0o777, size=len(target), target=target, mtime_ns=mtime_ns
    )  # fmt: skip


def file_of(path: bytes, data: bytes, *, mtime_ns: int, mode: int = 0o644) -> Entry:
    """Returns a file of root's that holds `data`."""
    return Entry(
        path, stat.S_IFREG | mode, size=len(data), mtime_ns=mtime_ns, source=MADE, stamp=data
    )


def rewritten(entry: Entry, change: Callable[[bytes], bytes]) -> Entry:
    """Returns a file that holds a byte string with that changed to another of its length.

    Any other entry stays as it is, and so does one where nothing changes.
    """
    if entry.source is not MADE:
        return entry
    assert isinstance(entry.stamp, bytes)
    data = change(entry.stamp)
    if data == entry.stamp:
        return entry
    new = copy(entry)
    new.stamp = data
    return new


def host_file(path: bytes, origin: bytes, *, mtime_ns: int, mode: int = 0o644) -> Entry:
    """Returns a file of root's with the bytes of a file of the host (links followed).

    Raises:
        OSError: There is no such file, or it is not a regular one.
    """
    origin = os.path.realpath(origin)
    status = os.lstat(origin)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{os.fsdecode(origin)} is not a regular file")
    above, name = os.path.split(origin)
    source, stamp = FolderSource(above, names={path: name}), stamp_of(status)
    if is_recent(status.st_ctime_ns, time.time_ns()):
        source.recent.add(stamp)
    return Entry(
        path, stat.S_IFREG | mode, size=status.st_size, mtime_ns=mtime_ns,
        source=source, stamp=stamp,
    )  # fmt: skip


def copy_of(path: bytes, entry: Entry, source: Elsewhere = _ELSEWHERE) -> Entry:
    """Returns another name for an entry's content: same metadata and bytes, an inode of its own.

    Args:
        path: Where it is.
        entry: What it is a copy of.
        source: Stands for the entry's own source.
    """
    new = copy(entry)
    new.path = path
    new.link_to = None
    if entry.source is not None:
        new.source, new.stamp = source, entry
    return new


def copy(entry: Entry) -> Entry:
    """Returns an equal entry, for a change that others who hold the first one must not see."""
    return Entry(
        entry.path, entry.mode, uid=entry.uid, gid=entry.gid, mtime_ns=entry.mtime_ns,
        size=entry.size, target=entry.target, rdev=entry.rdev, xattrs=entry.xattrs,
        extents=entry.extents, link_to=entry.link_to, source=entry.source, stamp=entry.stamp,
    )  # fmt: skip
