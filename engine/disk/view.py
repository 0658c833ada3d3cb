"""A disk to be looked at: what a plan and an inspected image both can say of one.

Whatever draws a disk draws this, and does not know where it comes from. Sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.units import MIB

ALIGNMENT_BYTES = MIB
"""Gaps up to this size are alignment and tables: told in figures, not drawn."""


@dataclass(frozen=True, slots=True)
class Share:
    """One part of the size breakdown; the parts sum to the disk's bytes.

    Attributes:
        volume: Id of the volume whose part it is; "" for the disk's own, and where that cannot
            be told.
    """

    key: str
    label: str
    bytes: int
    volume: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesystemView:
    """A file system.

    Attributes:
        uuid: A UUID, or a FAT volume id as "XXXX-XXXX".
        size: Bytes that it takes up of its partition.
        blocks: Blocks of `block_size` bytes, a FAT's clusters.
        inodes: 0 where it has none.
    """

    type: str
    label: str
    uuid: str
    size: int
    block_size: int
    blocks: int
    inodes: int
    free_bytes: int
    free_inodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionView:
    """A partition; `start` and `sectors` count logical sectors of the disk.

    Attributes:
        id: Of its volume, where it has one.
    """

    number: int
    role: str
    start: int
    sectors: int
    bytes: int
    type: str
    guid: str | None
    name: str | None
    flags: tuple[str, ...]
    filesystem: FilesystemView | None
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideView:
    """A volume outside of all partitions.

    Attributes:
        start: Byte of the disk where it begins.
        used: Bytes of it that are the source's.
    """

    id: str
    role: str
    start: int
    bytes: int
    used: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskView:
    """A disk with what is on it.

    Attributes:
        filesystem: That of a disk without a table.
        outside: What lies outside of all partitions.
        breakdown: Where its bytes go; empty where that cannot be told.
    """

    bytes: int
    sector_size: int
    table: Literal["gpt", "mbr", "none"]
    partitions: tuple[PartitionView, ...]
    filesystem: FilesystemView | None
    breakdown: tuple[Share, ...]
    outside: tuple[OutsideView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A run of the disk.

    Attributes:
        id: Of the volume; its role where it has none, and "gap" for what belongs to no volume.
        number: Of the partition, or 0 for what is not one.
        role: The volume's role, or "gap".
        start: Byte offset on the disk.
        bytes: Length.
        used: Bytes of its file system that are taken, or None where there is none.
        partition: The partition, if it is one.
        filesystem: What stands in it, if anything.
    """

    id: str
    number: int
    role: str
    start: int
    bytes: int
    used: int | None = None
    partition: PartitionView | None = None
    filesystem: FilesystemView | None = None


def regions(view: DiskView) -> tuple[Region, ...]:
    """Returns the disk in disk order: volumes and the gaps that are more than alignment."""
    if view.filesystem is not None:
        inside = view.filesystem
        used = inside.size - inside.free_bytes
        bare = Region(
            id="root", number=0, role="root", start=0, bytes=view.bytes, used=used,
            filesystem=inside,
        )  # fmt: skip
        return (bare,)
    there = [_of_partition(one, view.sector_size) for one in view.partitions]
    there += [
        Region(id=one.id, number=0, role=one.role, start=one.start, bytes=one.bytes, used=one.used)
        for one in view.outside
    ]
    found: list[Region] = []
    at = 0
    for region in sorted(there, key=lambda region: region.start):
        found.extend(_gap(at, region.start))
        found.append(region)
        at = region.start + region.bytes
    found.extend(_gap(at, view.bytes))
    return tuple(found)


def _of_partition(partition: PartitionView, sector_size: int) -> Region:
    inside = partition.filesystem
    return Region(
        id=partition.id or partition.role,
        number=partition.number,
        role=partition.role,
        start=partition.start * sector_size,
        bytes=partition.bytes,
        used=None if inside is None else inside.size - inside.free_bytes,
        partition=partition,
        filesystem=inside,
    )


def _gap(start: int, end: int) -> tuple[Region, ...]:
    """Returns what lies between two volumes, where it is more than alignment."""
    if end - start <= ALIGNMENT_BYTES:
        return ()
    return (Region(id="gap", number=0, role="gap", start=start, bytes=end - start),)
