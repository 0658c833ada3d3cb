"""Where volumes of known size lie: aligned to 1 MiB, in the order and numbers of the disk.

An MBR has four entries. Of more than four partitions the first three have entries of their own;
the fourth entry is an extended partition that holds the rest, each behind a MiB for the record
that points to it (an extended boot record, one sector).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.disk.gpt import BACKUP_SECTORS
from engine.disk.volume import Scheme
from engine.units import MIB, ceil_to

FIRST_BYTE = MIB
"""Where the first partition begins."""

_MBR_ENTRIES = 4
_FIRST_LOGICAL = 5


@dataclass(frozen=True, slots=True)
class Place:
    """Where a volume lies. `start` and `sectors` count logical sectors of the disk.

    Attributes:
        id: Of the volume.
        number: Of the partition; 0 where there is no table.
    """

    id: str
    number: int
    start: int
    sectors: int


def numbers(scheme: Scheme, count: int) -> tuple[int, ...]:
    """Returns the numbers of so many partitions, in disk order."""
    if scheme == "mbr" and count > _MBR_ENTRIES:
        logical = count - _MBR_ENTRIES + 1
        return (*range(1, _MBR_ENTRIES), *range(_FIRST_LOGICAL, _FIRST_LOGICAL + logical))
    return tuple(range(1, count + 1))


def tail(scheme: Scheme) -> int:
    """Returns the bytes kept behind the last volume for the table's copy, in whole MiB."""
    return MIB if scheme == "gpt" else 0


def end(scheme: Scheme, disk: int, sector_size: int) -> int:
    """Returns the byte where volumes end on a disk of so many bytes: a whole MiB."""
    usable = disk - BACKUP_SECTORS[sector_size] * sector_size if scheme == "gpt" else disk
    return usable // MIB * MIB


def begin(scheme: Scheme, sizes: Sequence[int], first: int = FIRST_BYTE) -> int:
    """Returns the byte where the next volume begins behind volumes of these sizes."""
    at = first
    for index, size in enumerate(sizes):
        at = _start(scheme, len(sizes) + 1, index, at)
        at = ceil_to(at + size, MIB)
    return _start(scheme, len(sizes) + 1, len(sizes), at)


def span(scheme: Scheme, sizes: Sequence[int], first: int = FIRST_BYTE) -> int:
    """Returns the byte where volumes of these sizes end, in whole MiB, what is before included."""
    at = first
    for index, size in enumerate(sizes):
        at = ceil_to(_start(scheme, len(sizes), index, at) + size, MIB)
    return at


def _start(scheme: Scheme, count: int, index: int, at: int) -> int:
    """Returns where a partition begins: a logical one behind its extended boot record."""
    logical = scheme == "mbr" and count > _MBR_ENTRIES and index >= _MBR_ENTRIES - 1
    return at + MIB if logical else at


def behind(scheme: Scheme, sizes: Sequence[int], taken: Sequence[tuple[int, int]]) -> int:
    """Returns the byte where the first volume begins so that none of them meets what is taken.

    Args:
        scheme: "gpt" or "mbr".
        sizes: Bytes of the volumes, in disk order.
        taken: Ranges (first byte, byte behind the last) outside of all partitions. One that the
            volumes would meet comes before all of them.
    """
    at = FIRST_BYTE
    while True:
        last = span(scheme, sizes, at)
        met = [end for start, end in taken if start < last and end > at]
        if not met:
            return at
        at = ceil_to(max(met), MIB)


def place(
    scheme: Scheme, sector_size: int, sizes: Sequence[tuple[str, int]], first: int = FIRST_BYTE
) -> tuple[Place, ...]:
    """Returns the places of volumes in disk order.

    Args:
        scheme: "gpt" or "mbr".
        sector_size: Bytes of a logical sector.
        sizes: Ids with bytes, each a multiple of `sector_size`.
        first: Byte where the first one begins.
    """
    placed = []
    at = first
    given = numbers(scheme, len(sizes))
    for index, (name, size) in enumerate(sizes):
        at = _start(scheme, len(sizes), index, at)
        placed.append(Place(name, given[index], at // sector_size, size // sector_size))
        at = ceil_to(at + size, MIB)
    return tuple(placed)


def extended(places: Sequence[Place], sector_size: int) -> tuple[int, int] | None:
    """Returns start and sectors of the extended partition that logical ones need, or None."""
    logical = [one for one in places if one.number >= _FIRST_LOGICAL]
    if not logical or len(places) <= _MBR_ENTRIES:
        return None
    start = logical[0].start - MIB // sector_size
    return start, logical[-1].start + logical[-1].sectors - start
