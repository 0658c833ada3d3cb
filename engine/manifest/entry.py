"""The entries of an image: what every writer and every size figure reads."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from typing import Protocol


class SourceChanged(Exception):
    """A source is no longer what the manifest recorded; the message names it."""


class Source(Protocol):
    """Where the bytes of some entries come from (a folder, an archive, memory)."""

    def stream(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, int, memoryview]]:
        """Yields the data of regular files: entry, offset in the file, bytes.

        The order of entries is the source's own (an archive is read once, front to back); the
        pieces of one entry come together, by rising offset, holes left out. A buffer is valid
        until the next one is asked for.

        Raises:
            SourceChanged: The file is not the one that was scanned (checked before and after).
            OSError: It cannot be read.
        """
        ...

    def describe(self, entry: Entry) -> str:
        """Returns a name for the entry's origin that a person can find it by."""
        ...


class Identified(Source, Protocol):
    """A source that can say without reading whether data is what it was in an earlier build."""

    def identity(self, entry: Entry) -> int | None:
        """Returns a number of 64 bits that another file, or the same after a change, never has.

        None where nothing but reading tells.
        """
        ...


def identity(entry: Entry) -> int | None:
    """Returns what tells the data of a regular file from any other's, by the host's metadata.

    Device, inode, size, mtime and ctime go into it (`engine.manifest.folder.stamp_of`), of a
    file with holes also where they lie.

    Returns:
        A signed number of 64 bits, the same in every process, or None: read it to know.
    """
    asked = getattr(entry.source, "identity", None)
    found: int | None = asked(entry) if asked is not None else None
    return found if found is None or entry.extents is None else hash((found, entry.extents))


class Entry:
    """One name in the image.

    Attributes:
        path: Path in the image without leading slash, any bytes but NUL; b"" is the root.
        mode: Type and permission bits as in st_mode.
        uid, gid: Numeric owners in the image.
        mtime_ns: Nanoseconds since the epoch.
        size: Bytes of a regular file or of a symlink's target, else 0.
        target: A symlink's target.
        rdev: Device number of a character or block device (os.makedev).
        xattrs: Pairs of full name (b"user.x", b"security.capability",
            b"system.posix_acl_access") and value, sorted by name.
        extents: Data ranges (offset, length) of a file with holes, sorted, else None (dense).
        link_to: The entry, earlier in manifest order, whose inode this name shares.
        source: Where the bytes come from.
        stamp: What the source needs to find the entry and to know it again.
    """

    __slots__ = (
        "extents", "gid", "link_to", "mode", "mtime_ns", "path", "rdev", "size", "source",
        "stamp", "target", "uid", "xattrs",
    )  # fmt: skip

    def __init__(
        self,
        path: bytes,
        mode: int,
        *,
        uid: int = 0,
        gid: int = 0,
        mtime_ns: int = 0,
        size: int = 0,
        target: bytes = b"",
        rdev: int = 0,
        xattrs: tuple[tuple[bytes, bytes], ...] = (),
        extents: tuple[tuple[int, int], ...] | None = None,
        link_to: Entry | None = None,
        source: Source | None = None,
        stamp: object = None,
    ) -> None:
        self.path = path
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.mtime_ns = mtime_ns
        self.size = size
        self.target = target
        self.rdev = rdev
        self.xattrs = xattrs
        self.extents = extents
        self.link_to = link_to
        self.source = source
        self.stamp = stamp

    @property
    def is_directory(self) -> bool:
        """Whether this is a directory."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_regular(self) -> bool:
        """Whether this is a regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_symlink(self) -> bool:
        """Whether this is a symbolic link."""
        return stat.S_ISLNK(self.mode)

    @property
    def name(self) -> bytes:
        """The last component."""
        return self.path.rpartition(b"/")[2]

    @property
    def parent(self) -> bytes:
        """The path of the directory that holds this entry."""
        return self.path.rpartition(b"/")[0]

    def __repr__(self) -> str:
        return f"Entry({self.path!r}, {self.mode:o}, {self.uid}:{self.gid}, {self.size})"


def order(path: bytes) -> bytes:
    """Returns the sort key of manifest order: a directory before its children, names by byte."""
    return path.replace(b"/", b"\0")
