"""Files on their way into a FAT file system, and what came out there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from engine.filesystems.fat.reader import FatFilesystem
from engine.image.container.disk import RawDisk
from engine.image.reading import BadFilesystem, Window
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from engine.pipeline.sparse import zeros

_MOST = 5
"""Differences worth naming: the rest is of the same cause."""


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


def differences(
    image: Path,
    uuid: str,
    label: str,
    manifest: Manifest,
    report: Callable[[int, int], None],
    cancelled: Callable[[], bool],
) -> list[str]:
    """Reads a FAT image by our own reader and returns what is not as planned.

    mtools wrote it, and does not always say that a write failed.

    Args:
        uuid: The volume id, as 1234-ABCD.
        label: The volume label.
        manifest: What the file system must hold.
        report: Takes bytes compared and in all.
        cancelled: Asked before every file.
    """
    files = [entry for entry in manifest if entry.is_regular]
    total = sum((entry.link_to or entry).size for entry in files)
    done = 0
    found: list[str] = []
    with RawDisk(image) as disk:
        filesystem = FatFilesystem(Window(disk, 0, disk.size))
        for what, seen, planned in (
            ("volume id", filesystem.uuid, uuid), ("label", filesystem.label, label)
        ):  # fmt: skip
            if seen != planned:
                found.append(f"its {what} is {seen}, planned {planned}")
        for entry in files:
            if cancelled() or len(found) >= _MOST:
                break
            trouble = _difference(filesystem, entry)
            if trouble:
                found.append(f"/{entry.path.decode('utf-8', 'replace')} {trouble}")
            done += (entry.link_to or entry).size
            report(done, total)
    return found


def _difference(filesystem: FatFilesystem, entry: Entry) -> str:
    node = filesystem.lookup(entry.path)
    if node is None:
        return "is missing"
    size = (entry.link_to or entry).size
    if node.size != size:
        return f"has {node.size} bytes of {size}"
    try:
        written = _digest(data for _, data in filesystem.data(node))
    except BadFilesystem as error:
        return f"cannot be read back: {error}"
    return "" if written == _digest(data_of(entry)) else "has other bytes than its source"


def _digest(pieces: Iterable[bytes | memoryview]) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()
