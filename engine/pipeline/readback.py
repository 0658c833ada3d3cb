"""What a volume holds, read by our own reader, against what was planned and written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from engine.filesystems.driver import FilesystemPlan
from engine.image.reading import BadFilesystem, Content, Filesystem, Node, holds_files, walk
from engine.manifest.entry import Entry, order
from engine.provenance.inputs import DataSums

_MOST = 5
"""Differences worth naming: the rest has the same cause."""


def differences(
    content: Content,
    planned: FilesystemPlan,
    sums: Mapping[int, bytes],
    cancelled: Callable[[], bool],
) -> list[str]:
    """Returns what differs, as sentences; at most a few of them.

    Args:
        content: What was found.
        planned: What it must be.
        sums: SHA-256 of the data that was written, by id of the entry (`DataSums.of`).
        cancelled: Asked before every entry.

    Raises:
        BadFilesystem: It cannot be read.
    """
    found: list[str] = []
    for each in _differences(content, planned, sums):
        if cancelled() or len(found) == _MOST:
            break
        if each:
            found.append(each)
    return found


def _differences(
    content: Content, planned: FilesystemPlan, sums: Mapping[int, bytes]
) -> Iterator[str]:
    """Yields differences, and "" where there is none, so that it can be left at every entry."""
    for what, seen, wanted in (
        ("format", content.type, planned.type),
        ("label", content.label, planned.label),
        ("UUID", content.uuid.lower(), planned.uuid.lower()),
        ("size", content.size, planned.size),
        ("block size", content.block_size, planned.block_size),
    ):
        if seen != wanted:
            yield f"its {what} is {seen}, planned {wanted}"
    if holds_files(content):
        yield from _trees(content, planned, sums)


def _trees(
    filesystem: Filesystem, planned: FilesystemPlan, sums: Mapping[int, bytes]
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
        trouble = _difference(node, entry, links, inodes)
        if not trouble and id(entry) in sums and _sum(filesystem, node, entry) != sums[id(entry)]:
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


def _difference(node: Node, entry: Entry, links: dict[int, int], inodes: dict[int, int]) -> str:
    first = entry.link_to or entry
    if entry.link_to is not None and node.inode != inodes.get(id(first)):
        return f"is not the same file as /{_shown(first.path)}"
    inodes[id(entry)] = node.inode
    for what, seen, wanted in (
        ("mode", oct(node.mode), oct(first.mode)),
        ("owner", (node.uid, node.gid), (first.uid, first.gid)),
        ("time in ns", node.mtime_ns, first.mtime_ns),
        ("target", node.target, first.target),
        ("device", node.rdev, first.rdev),
        ("extended attributes", node.xattrs, tuple(sorted(first.xattrs))),
        ("size", 0 if entry.is_directory else node.size, first.size),
        ("links", 0 if entry.is_directory else node.links, _links(first, links)),
    ):
        if seen != wanted:
            return f"has the {what} {seen!r}, planned {wanted!r}"
    return ""


def _links(first: Entry, links: dict[int, int]) -> int:
    return 0 if first.is_directory else links.get(id(first), 1)


def _sum(filesystem: Filesystem, node: Node, entry: Entry) -> bytes | None:
    """Returns the SHA-256 of a file as `DataSums` takes it, or None if a hole has data."""
    digest = DataSums()
    ranges = iter(((0, entry.size),) if entry.extents is None else entry.extents)
    start, length = next(ranges, (entry.size, 0))
    for at, data in filesystem.data(node):
        rest, place = memoryview(data), at
        while rest:
            while place >= start + length and start < entry.size:
                start, length = next(ranges, (entry.size, 0))
            if place < start:  # between the data of the source: zeros, whether stored or not
                gap = rest[: start - place]
                if any(gap):
                    return None
            else:
                gap = rest[: start + length - place]
                digest.take(entry, place, gap)
            place += len(gap)
            rest = rest[len(gap) :]
    return digest.of((entry,)).get(id(entry))


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
