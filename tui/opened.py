"""An image that is there already, seen as a plan: the same map, table and figures show it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.filesystems.driver import FilesystemPlan
from engine.importers.image import Takeover, spec_of, takeover
from engine.inspect.image import Image
from engine.inspect.report import image_report
from engine.manifest.manifest import Counts, Manifest
from engine.plan.model import (
    DiskPlan,
    Plan,
    Share,
    VolumePlan,
)
from engine.spec.model import ImageSpec
from engine.spec.resolve import resolve
from tui.facts import Fact, details_of, facts_of

_LABELS = {
    "table": "Tables and unpartitioned",
    "bios-boot": "BIOS boot partition",
    "contents": "File systems: used",
    "free": "File systems: free",
    "unformatted": "No file system that is known",
}


@dataclass(frozen=True, slots=True)
class Opened:
    """What an image holds.

    Attributes:
        plan: Its disk, partitions and file systems; no steps, no manifest.
        spec: A spec that makes a disk like it, still without contents.
        facts: What it is, whether it starts, and what is wrong.
        details: How it starts, and what else could be started.
        format: Of the file, as qemu-img calls it.
        takeover: What of its files a spec can have.
    """

    plan: Plan
    spec: ImageSpec
    facts: tuple[Fact, ...]
    details: tuple[Fact, ...]
    format: str
    takeover: Takeover


def look(image: Image) -> Opened:
    """Returns what an image holds; reads metadata only."""
    report = image_report(image)
    disk, spec = report["disk"], spec_of(report, image.path)
    settings, _problems = resolve(spec, Path("/"), {})
    partitions = tuple(_partition(found) for found in report["partitions"])
    bare = report.get("filesystem")
    filesystem = None if bare is None else _filesystem(bare)
    plan = Plan(
        name=image.path.name,
        settings=settings,
        disk=DiskPlan(
            bytes=disk["bytes"],
            sector_size=disk["sector_size"],
            table=disk["table"],
            guid=disk["guid"],
            signature=disk["signature"],
        ),
        volumes=partitions if filesystem is None else (_bare(disk, filesystem),),
        breakdown=tuple(_shares(disk["bytes"], partitions, filesystem)),
        counts=Counts(),
        reference=None,
        steps=(),
        problems=(),
        outputs=(),
    )
    return Opened(
        plan=plan,
        spec=spec,
        facts=facts_of(report),
        details=details_of(report),
        format=report["format"],
        takeover=takeover(image, report),
    )


def _partition(found: dict[str, Any]) -> VolumePlan:
    inside = found["filesystem"]
    return VolumePlan(
        id=str(found["number"]),
        number=found["number"],
        role=found["role"],
        mount=None,
        start=found["start"],
        sectors=found["sectors"],
        bytes=found["bytes"],
        type=found["type"],
        guid=found["guid"],
        name=found["name"],
        flags=tuple(found["flags"]),
        filesystem=None if inside is None else _filesystem(inside),
    )


def _bare(disk: dict[str, Any], filesystem: FilesystemPlan) -> VolumePlan:
    return VolumePlan(
        id="root", role="root", mount=None, number=0, start=0,
        sectors=disk["bytes"] // disk["sector_size"], bytes=disk["bytes"], type="", guid=None,
        name=None, flags=(), filesystem=filesystem,
    )  # fmt: skip


def _filesystem(found: dict[str, Any]) -> FilesystemPlan:
    return FilesystemPlan(
        type=found["type"],
        label=found["label"],
        uuid=found["uuid"],
        size=found["bytes"],
        block_size=found["block_size"],
        blocks=found.get("blocks", 0),
        inodes=found.get("inodes", 0),
        manifest=Manifest(()),
        data_bytes=0,
        free_bytes=found["free_bytes"],
        free_inodes=found.get("free_inodes", 0),
    )


def _shares(
    size: int, partitions: tuple[VolumePlan, ...], filesystem: FilesystemPlan | None
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
