"""Store paths as entries of an image, read from where the store lies on this machine.

A store knows of a file its bytes, whether it can be executed, and nothing else (the Nix manual,
"File System Object"); modes, owners and times are set as every store has them. Hard links that
the host's own optimiser made are left out, or the image would depend on the host.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from engine.manifest.entry import Entry
from engine.manifest.folder import FolderSource, stamp_of

MTIME_NS = 1_000_000_000
"""What every file of a store has as its time."""

_DIRECTORY, _SYMLINK = stat.S_IFDIR | 0o555, stat.S_IFLNK | 0o777
_PLAIN, _EXECUTABLE = stat.S_IFREG | 0o444, stat.S_IFREG | 0o555


LeftOut = Callable[[bytes, int], bool]
"""Whether a name, of a file of that mode, is left out."""


def entries_of(
    source: FolderSource, place: bytes, path: bytes, left_out: LeftOut | None = None
) -> list[Entry]:
    """Returns a tree's entries as a store has them, in manifest order.

    Args:
        source: Folder that the tree lies in, or is.
        place: The tree's top on this machine.
        path: Its path in the image.
        left_out: Asked of every name below the top.

    Raises:
        OSError: Something cannot be read, or is nothing that a store can hold.
    """
    status = os.lstat(place)
    entries = [_entry(path, place, status, source)]
    if stat.S_ISDIR(status.st_mode):
        _walk(place, path + b"/" if path else b"", source, left_out, entries)
    return entries


def _walk(
    folder: bytes, prefix: bytes, source: FolderSource, left_out: LeftOut | None,
    entries: list[Entry],
) -> None:  # fmt: skip
    with os.scandir(folder) as listing:
        children = sorted(listing, key=lambda child: child.name)
    for child in children:
        status = child.stat(follow_symlinks=False)
        if left_out is not None and left_out(child.name, status.st_mode):
            continue
        path = prefix + child.name
        entries.append(_entry(path, child.path, status, source))
        if stat.S_ISDIR(status.st_mode):
            _walk(child.path, path + b"/", source, left_out, entries)


def _entry(path: bytes, place: bytes, status: os.stat_result, source: FolderSource) -> Entry:
    mode = status.st_mode
    if stat.S_ISREG(mode):
        # Dense whatever the host has punched into it: compressing file systems differ in that.
        return Entry(
            path, _EXECUTABLE if mode & stat.S_IXUSR else _PLAIN, mtime_ns=MTIME_NS,
            size=status.st_size, source=source, stamp=stamp_of(status),
        )  # fmt: skip
    if stat.S_ISDIR(mode):
        return Entry(path, _DIRECTORY, mtime_ns=MTIME_NS, source=source)
    if stat.S_ISLNK(mode):
        target = os.readlink(place)
        return Entry(
            path, _SYMLINK, mtime_ns=MTIME_NS, size=len(target), target=target, source=source
        )
    raise OSError(errno.EINVAL, "is neither file, directory nor link", place)
