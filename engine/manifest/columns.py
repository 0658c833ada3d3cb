"""Entries as plain values, for another process of this program that has their source."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

from engine.manifest.entry import Entry
from engine.manifest.folder import FolderSource
from engine.packed import numbers

Columns = tuple[list[bytes], bytes, list[int], bytes, bytes, dict[int, tuple[object, ...]]]
"""Paths, modes, times, sizes and stamps of entries; what only few of them have, by position."""


def columns(entries: Sequence[Entry]) -> Columns:
    """Returns what `entries_of` makes the same entries of; owners and links are not in it."""
    rare: dict[int, tuple[object, ...]] = {}
    for at, one in enumerate(entries):
        if one.target or one.xattrs or one.rdev or one.extents is not None:
            rare[at] = one.target, one.xattrs, one.rdev, one.extents
    return (
        [one.path for one in entries],
        array("I", [one.mode for one in entries]).tobytes(),
        [one.mtime_ns for one in entries],
        array("q", [one.size for one in entries]).tobytes(),
        array("q", [_stamp(one) for one in entries]).tobytes(),
        rare,
    )


def entries_of(found: Columns, source: FolderSource, uid: int, gid: int) -> list[Entry]:
    """Returns the entries again, as those of a source and an owner."""
    paths, modes, times, sizes, stamps, rare = found
    count = len(paths)
    entries = plain_entries(
        paths, numbers("I", modes), [uid] * count, [gid] * count, times, numbers("q", sizes)
    )
    for entry, stamp in zip(entries, numbers("q", stamps), strict=True):
        entry.source, entry.stamp = source, stamp
    for at, (target, xattrs, rdev, extents) in rare.items():
        entry = entries[at]
        entry.target, entry.xattrs = target, xattrs  # type: ignore[assignment]
        entry.rdev, entry.extents = rdev, extents  # type: ignore[assignment]
    return entries


def plain_entries(
    paths: Iterable[bytes], modes: Iterable[int], uids: Iterable[int], gids: Iterable[int],
    times: Iterable[int], sizes: Iterable[int],
) -> list[Entry]:  # fmt: skip
    """Returns entries of which nothing else is known.

    Fields are set one by one, as in a walk's inner loop: there are very many.
    """
    new, make = Entry.__new__, Entry
    entries: list[Entry] = []
    for path, mode, uid, gid, time, size in zip(
        paths, modes, uids, gids, times, sizes, strict=True
    ):
        entry = new(make)
        entry.path = path
        entry.mode = mode
        entry.uid = uid
        entry.gid = gid
        entry.mtime_ns = time
        entry.size = size
        entry.target = b""
        entry.rdev = 0
        entry.xattrs = ()
        entry.extents = None
        entry.link_to = None
        entry.source = None
        entry.stamp = None
        entries.append(entry)
    return entries


def _stamp(entry: Entry) -> int:
    assert isinstance(entry.stamp, int)
    return entry.stamp
