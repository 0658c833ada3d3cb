"""A plan seen as a picture: the disk from end to end, and what one edit changed."""

from __future__ import annotations

from dataclasses import dataclass

from engine.filesystems.driver import FilesystemPlan
from engine.plan.model import Plan, VolumePlan
from engine.units import MIB

ALIGNMENT_BYTES = MIB
"""Gaps up to this size are alignment and tables: told in figures, not drawn."""


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
    partition: VolumePlan | None = None
    filesystem: FilesystemPlan | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a part of the disk: `delta` bytes more, or less."""

    what: str
    delta: int
    bytes: int


def regions(plan: Plan) -> tuple[Region, ...]:
    """Returns the disk in disk order: partitions and the gaps that are more than alignment."""
    if plan.filesystem is not None:
        used = plan.filesystem.size - plan.filesystem.free_bytes
        return (
            Region(
                number=0,
                role="root",
                start=0,
                bytes=plan.disk.bytes,
                used=used,
                filesystem=plan.filesystem,
            ),
        )
    found: list[Region] = []
    at = 0
    for partition in sorted(plan.partitions, key=lambda partition: partition.start):
        start = partition.start * plan.disk.sector_size
        if start - at > ALIGNMENT_BYTES:
            found.append(Region(number=0, role="gap", start=at, bytes=start - at))
        inside = partition.filesystem
        found.append(
            Region(
                number=partition.number,
                role=partition.role,
                start=start,
                bytes=partition.bytes,
                used=None if inside is None else inside.size - inside.free_bytes,
                partition=partition,
                filesystem=inside,
            )
        )
        at = start + partition.bytes
    if plan.disk.bytes - at > ALIGNMENT_BYTES:
        found.append(Region(number=0, role="gap", start=at, bytes=plan.disk.bytes - at))
    return tuple(found)


def changes(before: Plan, after: Plan) -> tuple[Change, ...]:
    """Returns what differs in size between two plans: the disk first, then by role."""
    old = _sizes(before)
    new = _sizes(after)
    found = []
    for what in (*new, *(name for name in old if name not in new)):
        delta = new.get(what, 0) - old.get(what, 0)
        if delta:
            found.append(Change(what, delta, new.get(what, 0)))
    return tuple(found)


def _sizes(plan: Plan) -> dict[str, int]:
    sizes = {"disk": plan.disk.bytes}
    sizes.update((region.role, region.bytes) for region in regions(plan) if region.role != "gap")
    sizes["contents"] = plan.counts.data_bytes
    return sizes
