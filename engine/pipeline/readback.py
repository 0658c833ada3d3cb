"""What a volume holds, read by our own reader, against what was planned and written."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice

from engine.filesystems.driver import FilesystemPlan
from engine.filesystems.paxstream import Keep, everything
from engine.image.reading import (
    BadFilesystem,
    Content,
    Filesystem,
    Node,
    holds_files,
    is_divided,
    walk,
)
from engine.manifest.datasums import DataSums
from engine.manifest.entry import Entry, order
from engine.manifest.tar import Ranges

_ZEROS = memoryview(bytes(1 << 20))
MOST = 5
"""Differences worth naming: the rest has the same cause."""


def differences(
    content: Content,
    planned: FilesystemPlan,
    sums: Mapping[int, bytes],
    cancelled: Callable[[], bool],
    keep: Keep = everything,
) -> list[str]:
    """Returns what differs, as sentences; at most a few of them.

    Args:
        content: What was found.
        planned: What it must be.
        sums: SHA-256 of the data that was written, by id of the entry (`DataSums.of`).
        cancelled: Asked before every entry.
        keep: What the format keeps of an entry's metadata.

    Raises:
        BadFilesystem: It cannot be read.
    """
    found: list[str] = []
    for each in _differences(content, planned, sums, keep):
        if cancelled() or len(found) == MOST:
            break
        if each:
            found.append(each)
    return found


def _differences(
    content: Content, planned: FilesystemPlan, sums: Mapping[int, bytes], keep: Keep
) -> Iterator[str]:
    """Yields differences, and "" where there is none, so that it can be left at every entry."""
    for what, seen, wanted in (
        ("format", content.type, planned.type),
        ("label", content.label, planned.label),
        ("UUID", content.uuid.lower(), planned.uuid.lower()),
        ("size", content.size, _size(content, planned)),
        ("block size", content.block_size, planned.block_size),
    ):
        if seen != wanted:
            yield f"its {what} is {seen}, planned {wanted}"
    if is_divided(content):
        tops = content.tops
        names = {b"", *map(str.encode, planned.subvolumes)}
        if set(tops) != names or tops[0] != planned.default_subvolume.encode():
            found = ", ".join(_shown(top) or "/" for top in tops)
            yield f"its subvolumes, the default one first, are {found}"
    if holds_files(content):
        yield from _trees(content, planned, sums, keep)


def _size(content: Content, planned: FilesystemPlan) -> int:
    """Returns the size that was planned, or the one found if only a bound was."""
    return min(content.size, planned.size) if planned.most_bytes else planned.size


def _trees(
    filesystem: Filesystem, planned: FilesystemPlan, sums: Mapping[int, bytes], keep: Keep
) -> Iterator[str]:
    links: dict[int, int] = {}
    for entry in planned.manifest:
        if entry.link_to is not None:
            links[id(entry.link_to)] = links.get(id(entry.link_to), 1) + 1
    inodes: dict[int, int] = {}
    nodes = _all(filesystem)
    node = next(nodes, None)
    for entry in planned.manifest:
        while node is not None and order(node.path) < order(entry.path):
            yield f"/{_shown(node.path)} is there unplanned"
            node = next(nodes, None)
        if node is None or node.path != entry.path:
            yield f"/{_shown(entry.path)} is missing"
            continue
        trouble = difference(node, entry, links, inodes, keep)
        if (
            not trouble
            and id(entry) in sums
            and sum_of(filesystem.data(node), entry) != sums[id(entry)]
        ):
            trouble = "has other bytes than its source had"
        yield f"/{_shown(entry.path)} {trouble}" if trouble else ""
        node = next(nodes, None)
    while node is not None and planned.manifest.entries:
        yield f"/{_shown(node.path)} is there unplanned"
        node = next(nodes, None)


def _all(filesystem: Filesystem) -> Iterator[Node]:
    root = filesystem.lookup(b"")
    if root is None:
        raise BadFilesystem("no root directory")
    yield root
    yield from walk(filesystem)


def difference(
    node: Node, entry: Entry, links: dict[int, int], inodes: dict[int, int], keep: Keep
) -> str:
    """Returns what differs between an inode and an entry, as the end of a sentence, or "".

    Args:
        node: What was found.
        entry: What was planned.
        links: Names of inodes that have several, by id of the first entry.
        inodes: Numbers of the inodes met so far, by id of the first entry.
        keep: What the format keeps of an entry's metadata.
    """
    first = entry.link_to or entry
    kept = keep(first)
    if entry.link_to is not None and node.inode != inodes.get(id(first)):
        return f"is not the same file as /{_shown(first.path)}"
    inodes[id(entry)] = node.inode
    for what, seen, wanted in (
        ("mode", oct(node.mode), oct(kept.mode)),
        ("owner", (node.uid, node.gid), (first.uid, first.gid)),
        ("time in ns", node.mtime_ns, kept.mtime_ns),
        ("target", node.target, first.target),
        ("device", node.rdev, first.rdev),
        ("extended attributes", node.xattrs, tuple(sorted(kept.xattrs))),
        ("size", 0 if entry.is_directory else node.size, first.size),
        ("links", 0 if entry.is_directory else node.links, _links(first, links)),
    ):
        if seen != wanted:
            return f"has the {what} {seen!r}, planned {wanted!r}"
    return ""


def _links(first: Entry, links: dict[int, int]) -> int:
    return 0 if first.is_directory else links.get(id(first), 1)


def sum_of(pieces: Iterable[tuple[int, bytes]], entry: Entry) -> bytes | None:
    """Returns the SHA-256 of a file as `DataSums` takes it, or None if a hole has data.

    Args:
        pieces: Its data with places in the file, rising, holes left out.
        entry: The file as it was planned.
    """
    digest = DataSums()
    ranges = ((0, entry.size),) if entry.extents is None else entry.extents
    at = 0
    for place, data in chain(pieces, ((entry.size, b""),)):
        # Zeros that the source has as data may be stored as a hole, and the other way round.
        for start, length in _overlaps(ranges, at, place):
            for first in range(start, start + length, len(_ZEROS)):
                digest.take(entry, first, _ZEROS[: start + length - first])
        at = place
        for start, length in _overlaps(ranges, place, place + len(data)):
            if any(data[at - place : start - place]):
                return None
            digest.take(entry, start, memoryview(data)[start - place : start + length - place])
            at = start + length
        if any(data[at - place :]):
            return None
        at = place + len(data)
    return digest.of((entry,)).get(id(entry))


def _overlaps(ranges: Ranges, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yields what of the ranges, which rise, lies within [start, end)."""
    index = max(0, bisect_right(ranges, start, key=lambda each: each[0]) - 1)
    for first, length in islice(ranges, index, None):
        if first >= end:
            return
        low, high = max(first, start), min(first + length, end)
        if low < high:
            yield low, high - low


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
