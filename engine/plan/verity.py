"""What of a plan follows from a root hash: filled in once what is hashed is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from engine.boot import roothash
from engine.filesystems.driver import FilesystemPlan
from engine.filesystems.verity.driver import ROOT_HASH
from engine.filesystems.verity.tree import partition_guids
from engine.plan.model import Plan, StepPlan, VolumePlan


def with_root_hashes(plan: Plan, hashes: Mapping[str, str]) -> Plan:
    """Returns a plan that knows root hashes: partitions' GUIDs, command lines, commands.

    Args:
        plan: Where a hash has its place, as long as itself.
        hashes: In hexadecimal, by id of what is hashed.
    """
    guids: dict[str, str] = {}
    for tree in plan.hash_trees:
        if tree.verity in hashes:
            guids[tree.verity], guids[tree.id] = partition_guids(hashes[tree.verity])

    def volume(one: VolumePlan) -> VolumePlan:
        found = hashes.get(one.verity, "") if one in plan.hash_trees else ""
        return replace(
            one,
            guid=guids.get(one.id, one.guid),
            root_hash=found or one.root_hash,
            filesystem=_filled(one.filesystem, hashes),
        )

    def step(one: StepPlan) -> StepPlan:
        found = hashes.get(plan.volume(one.volume).verity) if one.volume else None
        if found is None:
            return one
        return replace(
            one,
            argv=tuple(
                tuple(found if word == ROOT_HASH else word for word in argv) for argv in one.argv
            ),
        )

    menu = tuple(
        replace(entry, options=roothash.filled_text(entry.options, hashes))
        for entry in plan.boot.menu
    )
    return replace(
        plan,
        volumes=tuple(map(volume, plan.volumes)),
        steps=tuple(map(step, plan.steps)),
        boot=replace(plan.boot, menu=menu),
    )


def _filled(inside: FilesystemPlan | None, hashes: Mapping[str, str]) -> FilesystemPlan | None:
    """Returns a file system whose files have the hashes, unless it has none of them."""
    if inside is None:
        return None
    manifest = roothash.filled(inside.manifest, hashes)
    return inside if manifest is inside.manifest else replace(inside, manifest=manifest)
