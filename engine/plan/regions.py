"""A plan to be looked at, and what one edit changed in it."""

from __future__ import annotations

from dataclasses import dataclass

from engine.disk.view import DiskView, FilesystemView, OutsideView, PartitionView, regions
from engine.filesystems.driver import FilesystemPlan
from engine.plan.model import Plan
from engine.spec.filesystems import RAW


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a part of the disk: `delta` bytes more, or less."""

    what: str
    delta: int
    bytes: int


def view(plan: Plan) -> DiskView:
    """Returns the disk of a plan as what draws disks takes it."""
    return DiskView(
        bytes=plan.disk.bytes,
        sector_size=plan.disk.sector_size,
        table=plan.disk.table,
        partitions=tuple(
            PartitionView(
                number=partition.number,
                role=partition.role,
                start=partition.start,
                sectors=partition.sectors,
                bytes=partition.bytes,
                type=partition.type,
                guid=partition.guid,
                name=partition.name,
                flags=partition.flags,
                filesystem=_filesystem(partition.filesystem),
                id=partition.id,
            )
            for partition in plan.partitions
        ),
        filesystem=_filesystem(plan.filesystem),
        breakdown=plan.breakdown,
        outside=tuple(
            OutsideView(
                id=volume.id,
                role=volume.role,
                start=plan.offset(volume.id),
                bytes=volume.bytes,
                used=None if volume.filesystem is None else volume.filesystem.data_bytes,
            )
            for volume in plan.volumes
            if not volume.number and plan.disk.table != "none"
        ),
    )


def _filesystem(inside: FilesystemPlan | None) -> FilesystemView | None:
    if inside is None or inside.type == RAW:
        return None
    return FilesystemView(
        type=inside.type,
        label=inside.label,
        uuid=inside.uuid,
        size=inside.size,
        block_size=inside.block_size,
        blocks=inside.blocks,
        inodes=inside.inodes,
        free_bytes=inside.free_bytes,
        free_inodes=inside.free_inodes,
    )


def changes(before: Plan, after: Plan) -> tuple[Change, ...]:
    """Returns what differs in size between two plans: the disk first, then by volume."""
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
    drawn = regions(view(plan))
    sizes.update((region.id, region.bytes) for region in drawn if region.role != "gap")
    sizes["contents"] = plan.counts.data_bytes
    return sizes
