"""What a FAT file system holds, against the manifest that it was written from."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Iterator

from engine.filesystems.driver import Written
from engine.filesystems.fat.reader import FatFilesystem
from engine.image.container.disk import RawDisk
from engine.image.reading import BadFilesystem, Node, Window
from engine.image.whole import zeros
from engine.manifest.entry import Entry
from engine.units import in_bytes

_MOST = 5
"""Differences worth naming: the rest is of the same cause."""
_RESOLUTION_NS = 2_000_000_000
_FIRST_NS, _LAST_NS = 315_532_800 * 10**9, 4_354_819_198 * 10**9
"""1980 to 2107, what FAT has numbers for; counted here once more, apart from the writer."""
_WRITABLE = 0o222


def data_of(entry: Entry) -> Iterator[bytes | memoryview]:
    """Yields a file from its first byte to its last, holes as zeros: FAT knows none."""
    origin = entry.link_to or entry
    assert origin.source is not None
    at = 0
    for _, offset, data in origin.source.stream([origin]):
        yield from zeros(offset - at)
        yield data
        at = offset + len(data)
    yield from zeros(origin.size - at)


def command(image: str, offset: int) -> tuple[str, ...]:
    """See `engine.filesystems.driver.Check.command`."""
    return ()


def verdict(written: Written, printed: str) -> tuple[list[str], str]:
    """See `engine.filesystems.driver.Check.verdict`: every byte of it is read."""
    note = f"volume id, label and files of the {written.title} are as planned"
    return differences(written), note


def differences(written: Written) -> list[str]:
    """Reads it by our own reader and returns what is not as planned.

    Where somebody else has written to it, too, what is there beside the manifest is not looked at,
    and neither are times and attributes.
    """
    planned, alone = written.planned, written.alone
    manifest = planned.manifest
    total = sum((entry.link_to or entry).size for entry in manifest if entry.is_regular)
    done = 0
    found: list[str] = []
    with RawDisk(written.image) as disk:
        filesystem = FatFilesystem(Window(disk, written.offset, planned.size))
        for what, seen, wanted in (
            ("volume id", filesystem.uuid, planned.uuid),
            ("label", filesystem.label, planned.label),
        ):
            if seen != wanted:
                found.append(f"its {what} is {seen}, planned {wanted}")
        nodes = _tree(filesystem)
        for entry in manifest:
            if written.cancelled() or len(found) >= _MOST:
                return found
            node = nodes.pop(entry.path, None)
            trouble = "is missing" if node is None else _difference(filesystem, node, entry)
            if not trouble and node is not None and alone and entry.path:
                trouble = _metadata_difference(node, entry)
            if trouble:
                found.append(f"/{_shown(entry.path)} {trouble}")
            if entry.is_regular:
                done += (entry.link_to or entry).size
                written.report(done, total)
        if alone:
            found += [f"/{_shown(path)} is there unplanned" for path in nodes]
    return found[:_MOST]


def _tree(filesystem: FatFilesystem) -> dict[bytes, Node]:
    """Returns all there is by its path."""
    root = filesystem.lookup(b"")
    assert root is not None
    found = {b"": root}
    waiting = [root]
    while waiting:
        for node in filesystem.children(waiting.pop()):
            found[node.path] = node
            if stat.S_ISDIR(node.mode):
                waiting.append(node)
    return found


def _difference(filesystem: FatFilesystem, node: Node, entry: Entry) -> str:
    if stat.S_ISDIR(node.mode) != entry.is_directory:
        return "is a file" if entry.is_directory else "is a directory"
    if entry.is_directory:
        return ""
    size = (entry.link_to or entry).size
    if node.size != size:
        return f"has {in_bytes(node.size)} of {size:,}"
    try:
        written = _digest(data for _, data in filesystem.data(node))
    except BadFilesystem as error:
        return f"cannot be read back: {error}"
    return "" if written == _digest(data_of(entry)) else "has other bytes than its source"


def _metadata_difference(node: Node, entry: Entry) -> str:
    planned = min(max(entry.mtime_ns, _FIRST_NS), _LAST_NS) // _RESOLUTION_NS * _RESOLUTION_NS
    if node.mtime_ns != planned:
        return f"has the time {node.mtime_ns // 10**9}, planned {planned // 10**9}"
    if entry.is_regular and bool(node.mode & _WRITABLE) != bool(entry.mode & _WRITABLE):
        return "is read-only" if entry.mode & _WRITABLE else "is not read-only"
    return ""


def _digest(pieces: Iterable[bytes | memoryview]) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "replace")
