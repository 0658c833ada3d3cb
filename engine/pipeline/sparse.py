"""Files with holes: what of them is data, copied without reading the holes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.image.whole import read_whole, write_whole

_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)


def data_ranges(handle: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yields the ranges (first, end) of a file that are not holes, within [start, end)."""
    at = start
    while at < end:
        try:
            first = os.lseek(handle, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        if first >= end:
            return
        at = min(os.lseek(handle, first, os.SEEK_HOLE), end)
        yield first, at


def copy_range(
    source: Path, offset: int, length: int, target: Path, cancelled: Callable[[], bool]
) -> None:
    """Copies part of a file into a new file of that length, holes kept."""
    with source.open("rb") as reader, target.open("xb") as writer:
        writer.truncate(length)
        for first, end in data_ranges(reader.fileno(), offset, offset + length):
            for at in range(first, end, _CHUNK):
                if cancelled():
                    return
                data = read_whole(reader.fileno(), min(_CHUNK, end - at), at)
                write_whole(writer.fileno(), data, at - offset)


def copy_into(source: Path, target: Path, offset: int, cancelled: Callable[[], bool]) -> None:
    """Copies a whole file into another one, which has zeros there, but for its holes and zeros.

    Args:
        source: The file.
        target: What it goes into.
        offset: The byte at which it will begin there.
        cancelled: Asked several times a second.
    """
    with source.open("rb") as reader, target.open("r+b") as writer:
        for first, end in data_ranges(reader.fileno(), 0, os.fstat(reader.fileno()).st_size):
            for at in range(first, end, _CHUNK):
                if cancelled():
                    return
                data = read_whole(reader.fileno(), min(_CHUNK, end - at), at)
                if data != _ZEROS[: len(data)]:
                    write_whole(writer.fileno(), data, offset + at)
