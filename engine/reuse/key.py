"""The key of a volume: a digest of all that its bytes follow from, known before they are made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from engine.filesystems.driver import FilesystemPlan
from engine.filesystems.table import DRIVERS, patcher
from engine.plan import nixos
from engine.plan.model import Plan, VolumePlan
from engine.plan.steps import IMAGE, VOLUME
from engine.provenance.inputs import Digest, of_filesystem
from engine.reuse import maker
from engine.spec.filesystems import FILESYSTEMS

_SCHEMA = 1


def volume_key(
    plan: Plan,
    volume: VolumePlan,
    sums: Mapping[int, bytes],
    versions: Mapping[str, str],
    *,
    contents: Digest | None = None,
) -> str | None:
    """Returns the key of a volume of a plan, 64 hexadecimal digits.

    Two volumes of one key have the same bytes. It covers the plan of the file system, every
    entry with its metadata and the digest of its data, and what makes the bytes of them: this
    program's code and the versions of tools. Where a volume lies counts only for a format that
    records it.

    Args:
        plan: Without errors.
        volume: One of its.
        sums: SHA-256 of its files' data by `id` of the entry, of all of them (`DataSums.of`).
        versions: Of the programs that make it, by name (`maker.tools` says which).
        contents: Digest of what goes in (`of_filesystem`), where somebody has computed it.

    Returns:
        None for a volume whose bytes follow from more than that: one without a file system of
        ours, one that a system's own installer or a kernel writes to, a hash tree or a signature,
        one that has files which name the root hash of another.
    """
    described = _described(plan, volume, versions)
    if described is None:
        return None
    planned = volume.filesystem
    assert planned is not None
    filled = contents or of_filesystem(planned.manifest, sums)
    return _digest(described | {"filesystem": _figures(planned), "contents": filled.sha256})


def volume_shape(plan: Plan, volume: VolumePlan, versions: Mapping[str, str]) -> str:
    """Returns a digest of what the layout of a volume follows from besides its entries.

    Two volumes of one shape, of a format that can be patched (`engine.filesystems.patching`), whose
    entries have the same names, metadata but times, and numbers of blocks, differ in the data of
    files and in sizes and times alone.

    Args:
        plan: Without errors.
        volume: One of its.
        versions: Of the programs that make it.

    Returns:
        "" for a volume of another format, or that has no key either (`volume_key`).
    """
    described = _described(plan, volume, versions)
    planned = volume.filesystem
    if described is None or planned is None or patcher(planned.type) is None:
        return ""
    figures = _figures(planned)
    for name in ("data_bytes", "parts"):
        del figures[name]
    return _digest(described | {"filesystem": figures})


def _digest(described: Mapping[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(described, order="sorted")).hexdigest()


def _described(
    plan: Plan, volume: VolumePlan, versions: Mapping[str, str]
) -> dict[str, Any] | None:
    """Returns what the bytes of a volume follow from besides its figures and its contents."""
    planned = volume.filesystem
    if planned is None or FILESYSTEMS[planned.type].layer or not _ours_alone(plan, volume):
        return None
    if FILESYSTEMS[planned.type].mounted and planned.filled:
        return None
    names = maker.tools(plan, volume)
    if not all(versions.get(name) for name in names):
        return None
    return {
        "schema": _SCHEMA,
        "program": maker.program(),
        "tools": {name: versions[name] for name in names},
        "compat": plan.settings.compat,
        "epoch": plan.identity.epoch,
        "sector": plan.disk.sector_size,
        "bytes": volume.bytes,
        "start": volume.start if FILESYSTEMS[planned.type].placed else 0,
        "wanted": _wanted(plan, volume),
        "make": DRIVERS[planned.type].make(planned, IMAGE, 0, VOLUME),
        "holes": planned.manifest.holes,
    }


def _ours_alone(plan: Plan, volume: VolumePlan) -> bool:
    """Whether nobody but our own steps writes to a volume, from nothing but its manifest."""
    hashed = bool(plan.hash_trees) and volume.role in ("esp", "xbootldr", "boot")
    return volume.id not in nixos.written(plan) and not hashed


def _figures(planned: FilesystemPlan) -> dict[str, Any]:
    return {
        name: getattr(planned, name)
        for name in (
            "type", "label", "uuid", "size", "block_size", "blocks", "inodes", "data_bytes",
            "free_bytes", "free_inodes", "parts", "most_bytes",
        )
    }  # fmt: skip


def _wanted(plan: Plan, volume: VolumePlan) -> dict[str, Any]:
    """Returns what the spec says of a volume that its driver reads."""
    for one in plan.settings.volumes:
        if one.id == volume.id:
            return {"compression": one.compression, "grown": one.grown, "inodes": one.inodes}
    return {}
