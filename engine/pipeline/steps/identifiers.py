"""Types and identifiers that libparted cannot set, and the table read back against the plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.image.container.disk import RawDisk
from engine.image.table import read_table
from engine.pipeline.tables import identify as set_identifiers
from engine.pipeline.work import Work
from engine.plan.model import Plan
from engine.tools.failure import StepFailed
from engine.units import counted

_LABELS = {"gpt": "gpt", "mbr": "dos"}
_EXTENDED = {"5", "f", "85", "0x05", "0x0f"}
"""Types of extended partitions, as sfdisk and our reader print them."""


async def identify(work: Work) -> None:
    """Sets disk and partition identifiers and types, then compares every field.

    Raises:
        StepFailed: What is in the image is not what was planned.
    """
    await work.thread(lambda report: set_identifiers(work.image, work.plan))
    found = await _read_by_sfdisk(work) if work.step.argv else _read_back(work.image)
    differences = compare(work.plan, found)
    if work.plan.disk.table == "gpt":
        with RawDisk(work.image) as disk:  # sfdisk does not print it
            active = read_table(disk).pmbr_boot
        if active != work.plan.disk.pmbr_boot:
            differences.append(f"pmbr_boot is {active}, planned {work.plan.disk.pmbr_boot}")
    if differences:
        raise StepFailed(
            "the partition table is not as planned: " + "; ".join(differences),
            "this is a fault of Diskwright or of the tool; please report it with build.jsonl",
        )
    work.note(f"read back: {counted(len(work.plan.partitions), 'partition')} as planned")


async def _read_by_sfdisk(work: Work) -> dict[str, Any]:
    """Returns the table as sfdisk prints it."""
    (reader,) = work.step.argv
    result = await work.tool(reader, quiet=True)
    try:
        found: dict[str, Any] = json.loads(result.stdout)["partitiontable"]
    except (ValueError, KeyError, TypeError) as error:
        raise StepFailed(
            f"{reader[0]} printed no partition table: {result.stdout[:200]!r}"
        ) from error
    return found


def _read_back(image: Path) -> dict[str, Any]:
    """Returns the table that inspect's reader finds, in the form that sfdisk would print it."""
    with RawDisk(image) as disk:
        table = read_table(disk)
    if table.findings:
        raise StepFailed("the partition table is damaged: " + "; ".join(table.findings))
    return {
        "label": _LABELS.get(table.kind, table.kind),
        "sectorsize": table.sector_size,
        "id": table.guid or table.signature,
        "partitions": [
            {
                "node": str(partition.number),
                "start": partition.start,
                "size": partition.sectors,
                "type": partition.type,
                "uuid": partition.guid,
                "name": partition.name,
                "bootable": partition.active,
            }
            for partition in table.partitions
        ],
    }


def compare(plan: Plan, found: dict[str, Any]) -> list[str]:
    """Returns how the table that `sfdisk --json` prints differs from the plan, by field."""
    identifier = plan.disk.guid or plan.disk.signature
    fields: list[tuple[str, object, object]] = [
        ("label", _LABELS[plan.disk.table], found.get("label")),
    ]
    if plan.disk.table == "gpt":  # an MBR does not record it: sfdisk takes it for 512
        fields.append(("sector size", plan.disk.sector_size, found.get("sectorsize")))
    if identifier is not None:
        fields.append(("disk identifier", identifier, found.get("id")))
    partitions = sorted(
        (one for one in found.get("partitions", ()) if one.get("type") not in _EXTENDED),
        key=_number,
    )
    fields.append(
        ("partitions", [p.number for p in plan.partitions], [_number(p) for p in partitions])
    )
    for planned, seen in zip(plan.partitions, partitions, strict=False):
        where = f"partition {planned.number}"
        fields.append((f"{where} start", planned.start, seen.get("start")))
        fields.append((f"{where} sectors", planned.sectors, seen.get("size")))
        type_ = str(seen.get("type"))
        if plan.disk.table == "mbr":  # sfdisk prints "c", our reader "0x0c"
            type_ = f"0x{int(type_, 16):02x}"
        fields.append((f"{where} type", planned.type, type_))
        if plan.disk.table == "gpt":
            fields.append((f"{where} GUID", planned.guid, seen.get("uuid")))
            fields.append((f"{where} name", planned.name, seen.get("name")))
        else:
            fields.append((f"{where} active", "boot" in planned.flags, seen.get("bootable", False)))
    return [
        f"{name} is {seen}, planned {wanted}"
        for name, wanted, seen in fields
        if _plain(wanted) != _plain(seen)
    ]


def _number(partition: dict[str, Any]) -> int:
    """Returns the number at the end of a partition's node, `IMAGE` itself ending in none."""
    node = str(partition.get("node", ""))
    digits = len(node) - len(node.rstrip("0123456789"))
    return int(node[-digits:]) if digits else 0


def _plain(value: object) -> object:
    """Returns a value as it is compared: identifiers without regard to case or a 0x in front."""
    return value.lower().removeprefix("0x") if isinstance(value, str) else value or 0
