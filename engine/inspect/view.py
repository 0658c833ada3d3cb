"""An inspected image to be looked at: the same map, table and figures show it as a plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.disk.view import DiskView, FilesystemView, PartitionView, Share

_LABELS = {
    "table": "Tables and unpartitioned",
    "bios-boot": "BIOS boot partition",
    "contents": "File systems: used",
    "free": "File systems: free",
    "unformatted": "No file system that is known",
}


def view(report: dict[str, Any]) -> DiskView:
    """Returns the disk of an image's report (`engine.inspect.report.image_report`)."""
    disk = report["disk"]
    partitions = tuple(_partition(found) for found in report["partitions"])
    bare = report.get("filesystem")
    filesystem = None if bare is None else _filesystem(bare)
    return DiskView(
        bytes=disk["bytes"],
        sector_size=disk["sector_size"],
        table=disk["table"],
        partitions=partitions,
        filesystem=filesystem,
        breakdown=tuple(_shares(disk["bytes"], partitions, filesystem)),
    )


def _partition(found: dict[str, Any]) -> PartitionView:
    inside = found["filesystem"]
    return PartitionView(
        number=found["number"],
        role=found["role"],
        start=found["start"],
        sectors=found["sectors"],
        bytes=found["bytes"],
        type=found["type"],
        guid=found["guid"],
        name=found["name"],
        flags=tuple(found["flags"]),
        filesystem=None if inside is None else _filesystem(inside),
    )


def _filesystem(found: dict[str, Any]) -> FilesystemView:
    return FilesystemView(
        type=found["type"],
        label=found["label"],
        uuid=found["uuid"],
        size=found["bytes"],
        block_size=found["block_size"],
        blocks=found.get("blocks", 0),
        inodes=found.get("inodes", 0),
        free_bytes=found["free_bytes"],
        free_inodes=found.get("free_inodes", 0),
    )


def _shares(
    size: int, partitions: tuple[PartitionView, ...], filesystem: FilesystemView | None
) -> Iterator[Share]:
    """Yields the parts of the disk; what partitions leave over is the table's."""
    inside = [one.filesystem for one in partitions if one.filesystem is not None]
    inside += [filesystem] if filesystem is not None else []
    free = sum(one.free_bytes for one in inside)
    known = sum(one.size for one in inside)
    held = sum(one.bytes for one in partitions) if partitions else known
    loader = sum(one.bytes for one in partitions if one.role == "bios-boot")
    sums = {
        "table": size - held,
        "bios-boot": loader,
        "contents": known - free,
        "free": free,
        "unformatted": held - known - loader,
    }
    if min(sums.values()) < 0:  # a damaged table, whose partitions overlap or pass the end
        return
    for key, part in sums.items():
        if part:
            yield Share(key, _LABELS[key], part)
