"""A plan as JSON: `plan --json`, and what a build records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.disk.verity import TREE
from engine.disk.volume import Volume
from engine.filesystems.driver import FilesystemPlan
from engine.manifest.oci import describe
from engine.manifest.oci.image import ContainerImage
from engine.plan.booting import unbootable
from engine.plan.model import Plan, VolumePlan
from engine.problem import Problem
from engine.spec.filesystems import RAW

SCHEMA = 1


def to_json(plan: Plan) -> dict[str, Any]:
    """Returns the plan as `plan --json` prints it."""
    disk = plan.disk
    answer: dict[str, Any] = {
        "schema": SCHEMA,
        "name": plan.name,
        "compat": plan.settings.compat,
        "disk": {
            "bytes": disk.bytes,
            "sector_size": disk.sector_size,
            "table": disk.table,
            "guid": disk.guid,
            "signature": disk.signature,
            "pmbr_boot": disk.pmbr_boot,
        },
        "partitions": [_partition(plan, partition) for partition in plan.partitions],
    }
    if disk.table == "none":
        answer["filesystem"] = _filesystem(plan.filesystem)
    counts = plan.counts
    size: dict[str, Any] = {
        "mode": "auto" if plan.settings.size.disk is None else "fixed",
        "breakdown": [
            {"key": share.key, "label": share.label, "bytes": share.bytes}
            for share in plan.breakdown
        ],
        "contents": {
            "files": counts.files,
            "directories": counts.directories,
            "symlinks": counts.symlinks,
            "others": counts.others,
            "hard_links": counts.hard_links,
            "bytes": counts.data_bytes,
        },
    }
    if plan.reference is not None:
        size["reference"] = _reference(plan)
    answer["size"] = size
    answer["containers"] = [
        describe.to_json(where, image) for where, image in container_images(plan)
    ]
    answer["boot"] = _boot(plan)
    answer["notes"] = [note for note in (unbootable(plan), plan.sums.note) if note]
    answer["steps"] = [
        {
            "id": step.id,
            "title": step.title,
            "bytes": step.bytes,
            "commands": [list(command) for command in step.argv],
        }
        for step in plan.steps
    ]
    answer |= problems_to_json(plan.problems)
    answer["outputs"] = list(plan.outputs)
    answer["writes"] = list(plan.writes)
    return answer


def problems_to_json(problems: Iterable[Problem]) -> dict[str, Any]:
    """Returns the part of `plan --json` that says what is wrong."""
    return {
        "problems": [
            {
                "code": problem.code,
                "severity": problem.severity,
                "path": problem.path,
                "message": problem.message,
                "hint": problem.hint,
            }
            for problem in problems
        ]
    }


def _partition(plan: Plan, partition: VolumePlan) -> dict[str, Any]:
    return {
        "number": partition.number,
        "id": partition.id,
        "role": partition.role,
        "mount": partition.mount,
        "start": partition.start,
        "sectors": partition.sectors,
        "bytes": partition.bytes,
        "type": partition.type,
        "guid": partition.guid,
        "name": partition.name,
        "flags": list(partition.flags),
        "filesystem": _filesystem(partition.filesystem),
        **_parts_of(plan.wanted(partition.id)),
        **_verity(partition),
    }


def _parts_of(volume: Volume) -> dict[str, Any]:
    """Returns the subvolumes of a volume that has some."""
    if not volume.subvolumes:
        return {}
    found = [
        {"name": one.name, "mount": one.mount or None,
         "default": one.name == volume.default_subvolume}
        for one in volume.subvolumes
    ]  # fmt: skip
    return {"subvolumes": found}


def _verity(partition: VolumePlan) -> dict[str, Any]:
    """Returns what a hash tree is of, and its root hash; None until that is known."""
    inside = partition.filesystem
    if inside is None or inside.type != TREE:
        return {}
    described = {"data": partition.verity, "salt": inside.layout.salt.hex()}
    return {"verity": {**described, "root_hash": partition.root_hash or None}}


def _filesystem(filesystem: FilesystemPlan | None) -> dict[str, Any] | None:
    if filesystem is None or filesystem.type == RAW:
        return None
    return {
        "type": filesystem.type,
        "label": filesystem.label,
        "uuid": filesystem.uuid,
        "bytes": filesystem.size,
        "block_size": filesystem.block_size,
        "blocks": filesystem.blocks,
        "inodes": filesystem.inodes,
        "free_bytes": filesystem.free_bytes,
        "free_inodes": filesystem.free_inodes,
    }


def _boot(plan: Plan) -> dict[str, Any]:
    boot = plan.boot
    code = boot.code
    return {
        "loader": boot.loader,
        "firmware": list(boot.firmware),
        "proofs": list(boot.proofs),
        "expect": boot.expect,
        "menu": [
            {
                "title": entry.title,
                "version": entry.version,
                "kernel": shown_path(entry.kernel_path),
                "initrds": [shown_path(path) for path in entry.initrd_paths],
                "options": entry.options,
                "found": entry.origin,
            }
            for entry in boot.menu
        ],
        "boot_code": None
        if code is None
        else {"start": code.lba, "sectors": code.sectors, "available": code.room},
    }


def shown_path(path: str) -> str:
    """Returns a path as text that can be encoded, whatever bytes it is made of."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _reference(plan: Plan) -> dict[str, int]:
    figures = plan.reference
    assert figures is not None
    return {
        "diskUsage": figures.diskUsage,
        "fudge": figures.fudge,
        "requiredFilesystemSpace": figures.requiredFilesystemSpace,
        "additionalSpace": figures.additionalSpace,
        "diskSize": figures.diskSize,
    }


def container_images(plan: Plan) -> list[tuple[str, ContainerImage]]:
    """Returns the container images among the contents, by the entry that brings each."""
    found: list[tuple[str, ContainerImage]] = []
    for volume in plan.volumes:
        if volume.filesystem is None:
            continue
        for where, sources in volume.filesystem.manifest.origins.items():
            # One that fills several volumes is listed once.
            images = [(where, image) for image in describe.images(sources)]
            found += [one for one in images if one not in found]
    return found
