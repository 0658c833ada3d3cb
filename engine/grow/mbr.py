"""An MBR whose last partition ends later; a logical one takes the extended one along.

Source: UEFI specification 2.10, section 5.2; util-linux, libfdisk (extended boot records).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

_ENTRIES, _ENTRY, _TYPE, _FIRST, _COUNT = 446, 16, 4, 8, 12
_EXTENDED = frozenset({0x05, 0x0F, 0x85})
_FIRST_LOGICAL = 5

Read = Callable[[int, int], bytes]
Piece = tuple[int, bytes]


def longer(read: Read, sector: int, number: int, by: int) -> tuple[Piece, ...]:
    """Returns what to write for a partition, the last of the disk, to end later.

    Args:
        read: Returns bytes of the disk, from an offset on.
        sector: Bytes of a logical sector.
        number: Of the partition.
        by: Sectors that it gets.
    """
    mbr = bytearray(read(0, 512))
    if number < _FIRST_LOGICAL:
        _add(mbr, number - 1, by)
        return ((0, bytes(mbr)),)
    slot = next(n for n in range(4) if mbr[_ENTRIES + n * _ENTRY + _TYPE] in _EXTENDED)
    base = _get(mbr, slot, _FIRST)
    _add(mbr, slot, by)
    pieces = [(0, bytes(mbr))]
    at = base
    for one in range(_FIRST_LOGICAL, number + 1):
        record = bytearray(read(at * sector, 512))
        if one == number:
            _add(record, 0, by)
        elif one == number - 1:
            _add(record, 1, by)
        if one >= number - 1:
            pieces.append((at * sector, bytes(record)))
        at = base + _get(record, 1, _FIRST)
    return tuple(pieces)


def _get(record: bytearray, slot: int, field: int) -> int:
    return int(struct.unpack_from("<I", record, _ENTRIES + slot * _ENTRY + field)[0])


def _add(record: bytearray, slot: int, by: int) -> None:
    at = _ENTRIES + slot * _ENTRY + _COUNT
    struct.pack_into("<I", record, at, struct.unpack_from("<I", record, at)[0] + by)
