"""What squashfs keeps of an entry, and what it drops.

Source: Documentation/filesystems/squashfs.rst of the Linux kernel (times of 32 bits without a
sign, in seconds); fs/squashfs/xattr.c there (prefixes of attributes).
"""

from __future__ import annotations

import stat
from collections.abc import Iterator

from engine.filesystems.driver import Drop
from engine.filesystems.paxstream import Kept
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest

_SECOND_NS = 1_000_000_000
_LAST = (1 << 32) - 1
"""Seconds since 1970 of the last time that it can hold, in 2106."""
_PREFIXES = (b"user.", b"trusted.", b"security.")
_ACLS = (b"system.posix_acl_access", b"system.posix_acl_default")


def kept(entry: Entry) -> Kept:
    """Returns what a squashfs has of an entry."""
    # Permissions of a link mean nothing to Linux, and tar2sqfs gives all links the same.
    mode = stat.S_IFLNK | 0o777 if entry.is_symlink else entry.mode
    seconds = min(max(entry.mtime_ns // _SECOND_NS, 0), _LAST)
    xattrs = tuple(each for each in entry.xattrs if _holds(each[0]))
    return Kept(mode, seconds * _SECOND_NS, xattrs)


def drops(manifest: Manifest) -> tuple[Drop, ...]:
    """Returns what is dropped, with the entries that have it."""
    found: dict[str, list[Entry]] = {}
    for entry in manifest:
        if entry.link_to is None:
            for what in _dropped(entry):
                found.setdefault(what, []).append(entry)
    return tuple(Drop.of(what, entries) for what, entries in found.items())


def _dropped(entry: Entry) -> Iterator[str]:
    if not 0 <= entry.mtime_ns // _SECOND_NS <= _LAST:
        yield "times outside 1970 to 2106"
    names = [name for name, _ in entry.xattrs if not _holds(name)]
    if any(name in _ACLS for name in names):
        yield "ACLs"
    if any(name not in _ACLS for name in names):
        yield "attributes of other kinds than user, trusted and security"


def _holds(name: bytes) -> bool:
    # The archive that tar2sqfs reads ends a name at the first "=".
    return name.startswith(_PREFIXES) and b"=" not in name
