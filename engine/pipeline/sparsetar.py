"""One large file with holes in a tar archive of GNU's old format, as `tar --format=oldgnu -S`.

The map of the file's data is made of its contents in blocks of 64 KiB, not of the holes of the
file system it lies on, so that the archive is the same wherever it is made.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from engine.pipeline.sparse import data_ranges

RECORD = 512
_BLOCK = 1 << 16
_ZEROS = bytes(_BLOCK)
_IN_HEADER, _IN_EXTENSION = 4, 21
_OCTAL_LIMIT = 1 << 33  # 11 octal digits; beyond, GNU writes the number in binary


def data_map(path: Path, cancelled: Callable[[], bool]) -> list[tuple[int, int]]:
    """Returns the ranges (offset, length) of whole blocks that are not all zeros, joined.

    As GNU tar has it, an empty range at the end of the file closes a map that ends before it.
    """
    found: list[tuple[int, int]] = []
    with path.open("rb", buffering=0) as file:
        size = path.stat().st_size
        done = 0
        for first, end in data_ranges(file.fileno(), 0, size):
            for at in range(max(first // _BLOCK * _BLOCK, done), end, _BLOCK):
                if cancelled():
                    return found
                file.seek(at)
                block = file.read(min(_BLOCK, size - at))
                done = at + _BLOCK
                if block == _ZEROS[: len(block)]:
                    continue
                if found and sum(found[-1]) == at:
                    found[-1] = (found[-1][0], found[-1][1] + len(block))
                else:
                    found.append((at, len(block)))
    if not found or sum(found[-1]) < size:
        found.append((size, 0))
    return found


def header(name: str, size: int, ranges: Sequence[tuple[int, int]], mtime: int) -> bytes:
    """Returns the headers of a sparse member (GNU tar's manual, "Basic Tar Format").

    Args:
        name: ASCII, at most 100 bytes.
        size: Bytes of the file, holes included.
        ranges: From `data_map`.
        mtime: Seconds since 1970.
    """
    stored = sum(length for _, length in ranges)
    record = bytearray(RECORD)
    fields = (
        (0, name.encode("ascii")), (100, b"0000644\0"), (108, b"0000000\0"), (116, b"0000000\0"),
        (124, _number(stored)), (136, _number(mtime)), (156, b"S"), (257, b"ustar  \0"),
        (386, _pairs(ranges[:_IN_HEADER])), (482, bytes([len(ranges) > _IN_HEADER])),
        (483, _number(size)),
    )  # fmt: skip
    for at, value in fields:
        record[at : at + len(value)] = value
    record[148:156] = b" " * 8
    record[148:156] = b"%06o\0 " % sum(record)
    return bytes(record) + b"".join(_extensions(ranges[_IN_HEADER:]))


def _extensions(ranges: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    for at in range(0, len(ranges), _IN_EXTENSION):
        more = at + _IN_EXTENSION < len(ranges)
        yield (_pairs(ranges[at : at + _IN_EXTENSION]).ljust(504, b"\0") + bytes([more])).ljust(
            RECORD, b"\0"
        )


def _pairs(ranges: Sequence[tuple[int, int]]) -> bytes:
    return b"".join(_number(offset) + _number(length) for offset, length in ranges)


def _number(value: int) -> bytes:
    if value < _OCTAL_LIMIT:
        return b"%011o\0" % value
    return b"\x80\0\0\0" + struct.pack(">Q", value)
