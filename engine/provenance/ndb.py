"""Reads rpm's own kind of database, "ndb", as SUSE's systems have it.

Source: rpm 4.18, lib/backend/ndb/rpmpkg.c. After a header of two slots come pages of slots, each
naming a run of blocks; in these stands a package's header between a head and a tail.

Why it is kept: it is the database of the present openSUSE (Tumbleweed, Leap) and of SUSE Linux
Enterprise since 15 SP3, whose rpm is built without sqlite. Without it the inventory of such an
image would be empty.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from engine.provenance.package import BadDatabase

_MAGIC, _SLOT, _HEAD, _TAIL = b"RpmP", b"Slot", b"BlbS", b"BlbE"
_BLOCK = 16
_SLOTS_A_PAGE = 256
_HEADER_SLOTS = 2
_SLOT_FORM = struct.Struct("<4sIII")
_TAIL_FORM = struct.Struct("<II4s")


def blobs(data: bytes) -> Iterator[bytes]:
    """Yields the headers of the packages, in the order of their slots.

    Raises:
        BadDatabase: It is not such a database, or damaged.
    """
    try:
        magic, version, _, pages = _SLOT_FORM.unpack_from(data)
        slots = pages * _SLOTS_A_PAGE
        if magic != _MAGIC or version or slots * _BLOCK > len(data):
            raise BadDatabase(f"no ndb of version 0 with {pages} pages of slots")
        left = len(data) // _BLOCK - slots
        for index in range(_HEADER_SLOTS, slots):
            mark, package, first, count = _SLOT_FORM.unpack_from(data, index * _BLOCK)
            if mark != _SLOT:
                raise BadDatabase(f"no slot at byte {index * _BLOCK}")
            if not first:
                continue
            left -= count
            if first < slots or left < 0:
                raise BadDatabase(f"slot {index} names {count} blocks at {first}")
            yield _blob(data[first * _BLOCK : (first + count) * _BLOCK], package)
    except struct.error as error:
        raise BadDatabase(f"no ndb: {error}") from error


def _blob(area: bytes, package: int) -> bytes:
    """Returns what stands between the head and the tail of a run of blocks."""
    mark, number, _, length = _SLOT_FORM.unpack_from(area)
    _, again, end = _TAIL_FORM.unpack_from(area, max(len(area) - _TAIL_FORM.size, 0))
    room = len(area) - _SLOT_FORM.size - _TAIL_FORM.size
    if (mark, number, end) != (_HEAD, package, _TAIL) or length != again or length > room:
        raise BadDatabase(f"the header of package {package} is damaged")
    return area[_SLOT_FORM.size : _SLOT_FORM.size + length]
