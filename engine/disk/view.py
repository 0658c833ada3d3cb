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
    """One part of the size breakdown; the parts sum to the disk's bytes."""

    key: str
    label: str
    bytes: int


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
    """A partition; `start` and `sectors` count logical sectors of the disk."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskView:
    """A disk with what is on it.

    Attributes:
        filesystem: That of a disk without a table.
        breakdown: Where its bytes go; empty where that cannot be told.
    """

    bytes: int
    sector_size: int
    table: Literal["gpt", "mbr", "none"]
    partitions: tuple[PartitionView, ...]
    filesystem: FilesystemView | None
    breakdown: tuple[Share, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A run of the disk.

    Attributes:
        number: Of the partition, or 0 for unpartitioned space and a bare file system.
        role: The partition's role, or "gap".
        start: Byte offset on the disk.
        bytes: Length.
        used: Bytes of its file system that are taken, or None where there is none.
        partition: The partition, if it is one.
        filesystem: What stands in it, if anything.
    """

    number: int
    role: str
    start: int
    bytes: int
    used: int | None = None
    partition: PartitionView | None = None
    filesystem: FilesystemView | None = None


def regions(view: DiskView) -> tuple[Region, ...]:
    """Returns the disk in disk order: partitions and the gaps that are more than alignment."""
    if view.filesystem is not None:
        inside = view.filesystem
        used = inside.size - inside.free_bytes
        return (
            Region(number=0, role="root", start=0, bytes=view.bytes, used=used, filesystem=inside),
        )
    found: list[Region] = []
    at = 0
    for partition in sorted(view.partitions, key=lambda partition: partition.start):
        start = partition.start * view.sector_size
        if start - at > ALIGNMENT_BYTES:
            found.append(Region(number=0, role="gap", start=at, bytes=start - at))
        filesystem = partition.filesystem
        found.append(
            Region(
                number=partition.number,
                role=partition.role,
                start=start,
                bytes=partition.bytes,
                used=None if filesystem is None else filesystem.size - filesystem.free_bytes,
                partition=partition,
                filesystem=filesystem,
            )
        )
        at = start + partition.bytes
    if view.bytes - at > ALIGNMENT_BYTES:
        found.append(Region(number=0, role="gap", start=at, bytes=view.bytes - at))
    return tuple(found)
