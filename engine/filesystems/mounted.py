"""What a file system keeps that a kernel fills from an archive, by GNU tar (`engine.boot.fill`).

Sources: xattr(7) (which kinds there are, and that files and directories alone have those of users);
tar(5) (an archive knows no sockets; GNU tar ends the name of an attribute at the first "=").
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from engine.filesystems.driver import Drop, Refused
from engine.filesystems.paxstream import Kept
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from engine.units import in_bytes

_SECOND_NS = 1_000_000_000
_ACLS = (b"system.posix_acl_access", b"system.posix_acl_default")
_PREFIXES = (b"user.", b"trusted.", b"security.")
_MAX_NAME = 255
_MAX_VALUE = 1 << 16
"""Bytes of an attribute's value (XATTR_SIZE_MAX of linux/limits.h)."""
_NOBODY = (1 << 32) - 1
"""What chown(2) takes for "leave it as it is"."""


@dataclass(frozen=True, slots=True)
class Held:
    """What contents take at most, in bytes, and what of them is refused or dropped."""

    bytes: int
    refused: tuple[Refused, ...]
    drops: tuple[Drop, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a format can hold.

    Attributes:
        first, last: Seconds since 1970 that times lie between, inclusive.
        target: Bytes of a symbolic link's target, at most.
        links: Names of one inode, at most.
        attributes: Bytes of an attribute's name and value, at most.
        own: Attributes by which the format itself shows others (XFS: ACLs).
    """

    first: int
    last: int
    target: int
    links: int
    attributes: int = _MAX_VALUE
    own: tuple[bytes, ...] = ()

    def kept(self, entry: Entry) -> Kept:
        """Returns what it has of an entry."""
        # Permissions of a link mean nothing to Linux, and cannot be set.
        mode = stat.S_IFLNK | 0o777 if entry.is_symlink else entry.mode
        first, last = self.first * _SECOND_NS, (self.last + 1) * _SECOND_NS - 1
        time = min(max(entry.mtime_ns, first), last)
        return Kept(mode, time, tuple(each for each in entry.xattrs if self._holds(entry, each[0])))

    def drops(self, manifest: Manifest) -> tuple[Drop, ...]:
        """Returns what is dropped, with the entries that have it."""
        found: dict[str, list[Entry]] = {}
        for entry in manifest:
            if entry.link_to is None:
                kept = self.kept(entry)
                if kept.mtime_ns != entry.mtime_ns:
                    found.setdefault("times outside of its range", []).append(entry)
                if len(kept.xattrs) < len(entry.xattrs):
                    found.setdefault("attributes of kinds", []).append(entry)
        return tuple(Drop.of(what, entries) for what, entries in found.items())

    def refused(self, manifest: Manifest) -> tuple[Refused, ...]:
        """Returns the entries that it cannot hold, and why."""
        links: dict[int, int] = {}
        found = []
        for entry in manifest:
            first = entry.link_to or entry
            links[id(first)] = links.get(id(first), 0) + 1
            reason = "".join(list(self._reasons(entry, links[id(first)]))[:1])
            if reason:
                found.append(Refused(entry, reason))
        return tuple(found)

    def _reasons(self, entry: Entry, links: int) -> Iterator[str]:
        if stat.S_ISSOCK(entry.mode):
            yield "a socket, which the archive that it is filled from does not know"
        if len(entry.name) > _MAX_NAME:
            yield f"a name of {in_bytes(len(entry.name))}, {_MAX_NAME:,} at most"
        if len(entry.target) > self.target:
            yield f"a link target of {in_bytes(len(entry.target))}, {self.target:,} at most"
        if links > self.links:
            yield f"more than {self.links} names of one file"
        if _NOBODY in (entry.uid, entry.gid):
            yield f"the owner {_NOBODY}, which no kernel gives to a file"
        for name, value in self.kept(entry).xattrs:
            if len(name) + len(value) > self.attributes:
                yield (
                    f"an attribute of {in_bytes(len(name) + len(value))}, "
                    f"{self.attributes:,} at most"
                )

    def _holds(self, entry: Entry, name: bytes) -> bool:
        if name in _ACLS:
            return not entry.is_symlink
        if name in self.own or b"=" in name or not name.startswith(_PREFIXES):
            return False
        return entry.is_regular or entry.is_directory or not name.startswith(b"user.")


Cost = Callable[[Entry], int]
"""Returns the bytes that an entry takes at most, its data included."""


def touched(entry: Entry, block: int) -> tuple[int, int]:
    """Returns the blocks of a file that are not all hole, and in how many pieces they lie."""
    if entry.extents is None:
        return -(-entry.size // block), 1 if entry.size else 0
    blocks = pieces = last = 0
    for at, length in entry.extents:
        first, end = max(last, at // block), -(-(at + length) // block)
        if length and end > first:
            blocks += end - first
            pieces += 1
            last = end
    return blocks, pieces
