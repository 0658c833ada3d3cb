"""Which bytes of a disk no table and no file system uses: their contents do not matter."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from engine.image.container import BadImage
from engine.image.reading import describes_itself
from engine.inspect.image import Image, Part

_RESERVED_FOR_TABLE = 128 * 128


def unused(image: Image) -> Iterator[tuple[int, int]]:
    """Yields the unused ranges (offset, length) of a disk, rising.

    What lies between partitions counts as unused, but for the room of a table and its backup; a
    partition whose contents no reader knows counts as used whole.
    """
    reserved = 0
    if image.table.kind != "none":
        reserved = 2 * image.table.sector_size + _RESERVED_FOR_TABLE
    at = reserved
    for part in sorted(image.parts, key=lambda part: part.window.start):
        start, end = part.window.start, part.window.start + part.window.size
        if start > at:
            yield at, start - at
        for offset, length in _unused_of(part):
            yield start + offset, length
        at = max(at, end)
    if image.disk.size - reserved > at:
        yield at, image.disk.size - reserved - at


def _unused_of(part: Part) -> Iterator[tuple[int, int]]:
    """Yields the unused ranges of a partition; none, if its file system is damaged."""
    filesystem = part.content
    try:
        if describes_itself(filesystem):
            yield from list(filesystem.unused())
    except (BadImage, struct.error):
        return
