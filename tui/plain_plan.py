"""A plan in sentences, for ears: no drawing, no columns, a line for each thing."""

from __future__ import annotations

from collections.abc import Iterator

from engine.disk.subvolumes import told
from engine.plan.as_text import written_by_commands
from engine.plan.booting import unbootable
from engine.plan.model import Plan, VolumePlan
from engine.problem import quote
from engine.units import human, in_bytes

_TABLES = {"gpt": "GPT", "mbr": "MBR", "none": "no partition table"}


def spoken(plan: Plan) -> Iterator[str]:
    """Yields what a build would make, in the order in which one wants to hear it."""
    disk = plan.disk
    yield f"{plan.name}: a disk of {_size(disk.bytes)}, with {_TABLES[disk.table]}."
    for volume in plan.partitions:
        yield _partition(volume)
    if plan.filesystem is not None:
        inside = plan.filesystem
        yield f"One file system, {inside.type}, {_size(inside.size)}, label {inside.label}."
    for one in plan.settings.volumes:
        if one.subvolumes:
            yield f"Subvolumes of {one.id}: {told(one.subvolumes, one.default_subvolume)}."
    note = unbootable(plan)
    if note:
        yield f"{note}."
    for number, entry in enumerate(plan.boot.menu, start=1):
        yield f"Boot entry {number}, {entry.heading}, with the options {entry.options}."
    yield "Where the bytes go:"
    for share in plan.breakdown:
        yield f"{share.label}: {_size(share.bytes)}."
    if plan.has_root:
        yield f"The root has {_size(plan.root.free_bytes)} and {plan.root.free_inodes} inodes free."
    yield f"It writes {', '.join((*plan.writes, *written_by_commands(plan)))}."
    if plan.settings.hooks.after_build:
        hook = plan.settings.hooks.after_build
        yield f"Then it runs your own command, {quote(hook, len(hook))}."


def _partition(volume: VolumePlan) -> str:
    inside = volume.filesystem
    holds = f", {inside.type}" if inside is not None else ""
    mount = f", mounted at {volume.mount}" if volume.mount else ""
    return f"Partition {volume.number}, {volume.id}{holds}{mount}: {_size(volume.bytes)}."


def _size(size: int) -> str:
    """Returns a size as it is said, and exactly where that differs."""
    return human(size) if size < 1024 else f"{human(size)}, {in_bytes(size)}"
