"""Where two plans for the same contents differ, in sentences: our rules beside the reference's."""

from __future__ import annotations

from collections.abc import Iterator

from engine.filesystems.driver import FilesystemPlan
from engine.plan.model import Plan, VolumePlan
from engine.units import human, in_bytes

_SHORT = {"root": "root"}
"""What is called by another name than its role's title."""


def differences(ours: Plan, theirs: Plan) -> tuple[str, ...]:
    """Returns what `theirs` does otherwise, one sentence each, `theirs` second."""
    return tuple(_differences(ours, theirs))


def _differences(ours: Plan, theirs: Plan) -> Iterator[str]:
    if ours.disk.bytes != theirs.disk.bytes:
        yield (
            f"disk: {human(ours.disk.bytes)} here, {human(theirs.disk.bytes)} there "
            f"({in_bytes(theirs.disk.bytes)})"
        )
    yield from _changed("partition table", ours.disk.table, theirs.disk.table)
    yield from _changed("disk GUID", ours.disk.guid, theirs.disk.guid)
    there = {partition.id: partition for partition in theirs.partitions}
    for mine in ours.partitions:
        other = there.pop(mine.id, None)
        if other is None:
            yield f"{_name(mine)}: only here"
        else:
            yield from _partition(mine, other)
    for only in there.values():
        yield f"{_name(only)}: only there"
    if ours.filesystem is not None and theirs.filesystem is not None:
        yield from _filesystem("file system", ours.filesystem, theirs.filesystem)
    yield from _changed("outputs", ", ".join(ours.outputs), ", ".join(theirs.outputs))


def _name(volume: VolumePlan) -> str:
    return _SHORT.get(volume.id, volume.title)


def _partition(mine: VolumePlan, other: VolumePlan) -> Iterator[str]:
    name = _name(mine)
    yield from _changed(f"{name} number", mine.number, other.number)
    yield from _changed(f"{name} start, in sectors", f"{mine.start:,}", f"{other.start:,}")
    yield from _changed(f"{name} length, in sectors", f"{mine.sectors:,}", f"{other.sectors:,}")
    yield from _changed(f"{name} type", mine.type, other.type)
    yield from _changed(f"{name} GUID", mine.guid, other.guid)
    if mine.filesystem is not None and other.filesystem is not None:
        yield from _filesystem(name, mine.filesystem, other.filesystem)


def _filesystem(name: str, mine: FilesystemPlan, other: FilesystemPlan) -> Iterator[str]:
    yield from _changed(f"{name} label", mine.label, other.label)
    yield from _changed(f"{name} UUID", mine.uuid, other.uuid)
    yield from _changed(f"{name} inodes", f"{mine.inodes:,}", f"{other.inodes:,}")


def _changed(what: str, mine: object, other: object) -> Iterator[str]:
    if mine != other:
        yield f"{what}: {mine or 'none'} here, {other or 'none'} there"
