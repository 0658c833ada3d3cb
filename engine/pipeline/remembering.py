"""What a build leaves for the next one: a record of what went in and what came out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.events import Artifact
from engine.manifest.datasums import DataSums
from engine.manifest.manifest import Manifest
from engine.pipeline.reusing import Gathered, Reuse, whole_image
from engine.plan.model import Plan, VolumePlan
from engine.plan.outputs import RECORD
from engine.provenance import inputs
from engine.reuse.design import design
from engine.reuse.digests import Digests
from engine.reuse.keep import keep
from engine.reuse.kept import Kept
from engine.reuse.key import volume_key, volume_shape
from engine.reuse.leaves import install
from engine.reuse.places import moved
from engine.reuse.record import (
    OutputRecord,
    Record,
    SourceRecord,
    VolumeRecord,
    leaves_path,
    load,
    save,
    save_kept,
    settled,
)
from engine.reuse.remembered import Remembered
from engine.reuse.sources import machine, seen
from engine.tools.installed import find
from engine.tools.table import TOOLS

Sums = Mapping[str, Mapping[int, bytes]]
"""By id of the volume: SHA-256 of its files' data by `id` of the entry (`DataSums.of`)."""


def sums_of(plan: Plan, sums: DataSums) -> Sums:
    """Returns the sums of all files of a plan, which takes a while and is done once.

    Nothing is returned of a volume of which the last record and what changed tell all.
    """
    found: dict[str, Mapping[int, bytes]] = {}
    for volume in plan.volumes:
        if volume.filesystem is not None:
            manifest = volume.filesystem.manifest
            found[volume.id] = {} if _settled(manifest) is not None else sums.of(manifest)
    return found


def _settled(manifest: Manifest) -> Remembered | None:
    """Returns a manifest of which the last record and what changed tell all; else None."""
    if isinstance(manifest, Remembered) and manifest.settled is not None:
        return manifest
    return None


def summed(plan: Plan, sums: Sums, into: Reuse) -> None:
    """Sums up what goes into each file system and comes of each content entry, once.

    Args:
        plan: As it was before anything was written.
        sums: Of all files' data.
        into: Gets the digests.
    """
    for volume in plan.volumes:
        if volume.filesystem is None:
            continue
        manifest = volume.filesystem.manifest
        if (known := _settled(manifest)) is not None:
            into.filesystems[volume.id] = known.digest
            into.contents |= known.digests
            continue
        found = inputs.summed(manifest, sums[volume.id])
        into.filesystems[volume.id] = found.whole
        into.contents |= found.contents


def keys(plan: Plan, reuse: Reuse, sums: Sums) -> dict[str, str]:
    """Returns the keys of the volumes that have one, by id."""
    found = {}
    for volume in plan.volumes:
        if volume.filesystem is not None and volume.id in reuse.filesystems:
            key = volume_key(
                plan, volume, sums[volume.id], reuse.versions or {},
                contents=reuse.filesystems[volume.id],
            )  # fmt: skip
            if key is not None:
                found[volume.id] = key
    return found


class Noted(NamedTuple):
    """What a record says of the entries.

    Attributes:
        sums: Of their data.
        sources: What was seen of where they come from.
        kept: By id of the volume; None where they are not kept.
    """

    sums: Sums
    sources: tuple[SourceRecord, ...]
    kept: Mapping[str, Kept | None]


def note(reuse: Reuse, sums: DataSums) -> Noted | None:
    """Returns what a record says of the entries, if one is to be left: it takes a while.

    Args:
        reuse: Gets why there can be no record.
        sums: Of all files' data.
    """
    plan = reuse.plan
    if plan is None:
        return None
    try:
        sources = _sources(plan, reuse) if reuse.asked else ()
    except OSError as error:  # the build itself does not need it
        reuse.gathered = error
        return None
    known = sums_of(plan, sums)
    kept: dict[str, Kept | None] = {}
    for volume in plan.volumes:
        if volume.filesystem is not None:
            manifest = volume.filesystem.manifest
            before = _settled(manifest)
            if before is not None:
                kept[volume.id] = before.settled
            else:
                kept[volume.id] = keep(volume.id, manifest, known[volume.id]) if sources else None
    return Noted(known, sources, kept)


def gather(reuse: Reuse, noted: Noted) -> None:
    """Gathers what else a record says of all that went in, once that is summed up.

    Args:
        reuse: Gets it.
        noted: From `note`.
    """
    assert reuse.plan is not None
    try:
        reuse.gathered = _gathered(reuse.plan, reuse, noted)
    except OSError as error:
        reuse.gathered = error


def _gathered(plan: Plan, reuse: Reuse, noted: Noted) -> Gathered:
    known, sources, kept = noted
    for volume in plan.volumes:
        if volume.filesystem is None:
            continue
        manifest = volume.filesystem.manifest
        if (before := _settled(manifest)) is not None:
            reuse.digests.learn(before.fresh, before.new)
        else:
            reuse.digests.learn(manifest, known[volume.id])
    # Nobody asks for these any more: they would take tens of megabytes beside what follows.
    digests, reuse.digests = reuse.digests.dumps(), Digests()
    raw = not whole_image(plan)
    made = keys(plan, reuse, known) if raw else {}
    whole = tuple(one for one in kept.values() if one is not None)
    return Gathered(
        design=design(plan, reuse.filesystems, reuse.contents, reuse.versions or {}),
        volumes=tuple(
            VolumeRecord(
                volume.id, made.get(volume.id, ""), plan.offset(volume.id), volume.bytes,
                _files(volume, reuse, known[volume.id]),
                volume_shape(plan, volume, reuse.versions or {}),
            )
            for volume in plan.volumes
            if raw and volume.filesystem is not None
        ),
        digests=digests,
        sources=sources,
        machine=_machine(plan) if reuse.asked else (),
        kept=whole if len(whole) == len(kept) else (),
    )  # fmt: skip


def leave(
    plan: Plan, outdir: Path, reuse: Reuse, found: Mapping[str, Artifact], names: Iterable[str]
) -> None:
    """Leaves the record of a build whose outputs have their names.

    Args:
        plan: As it was before anything was written.
        outdir: The output folder.
        reuse: What the build took over and gathered.
        found: Outputs that were announced, by name.
        names: Of all outputs.

    Raises:
        OSError: It cannot be written or gathered, or an output is gone.
    """
    raw, gathered = not whole_image(plan), reuse.gathered
    if isinstance(gathered, OSError):
        raise gathered
    assert gathered is not None
    kept = save_kept(outdir, gathered.kept)  # first, as `settled` may have to wait a moment
    reuse.gathered = gathered = replace(gathered, kept=())  # tens of megabytes
    record = Record(
        outdir="",
        spec=reuse.asked,
        design=gathered.design,
        image=plan.output.disk if raw else "",
        outputs=tuple(
            OutputRecord(
                name,
                settled(outdir / name),
                name in found,
                {
                    kind: text
                    for kind in ("sha256", "fsverity")
                    if name in found and (text := getattr(found[name], kind))
                },
            )
            for name in names
            if name != RECORD
        ),
        volumes=gathered.volumes,
        digests=gathered.digests,
        tree=reuse.tree if raw else {},
        sources=gathered.sources,
        machine=gathered.machine,
        kept=kept,
    )
    save(outdir, record)
    install(
        reuse.leaves.finish() if reuse.leaves is not None and raw else None, leaves_path(outdir)
    )


def renew(plan: Plan, outdir: Path, reuse: Reuse) -> None:
    """Leaves a record again of outputs that stay, with what its sources are now.

    Raises:
        OSError: It cannot be written.
    """
    if reuse.record is not None and reuse.asked:
        now = msgspec.structs.replace(
            reuse.record, spec=reuse.asked, sources=_sources(plan, reuse), machine=_machine(plan)
        )
        if now != reuse.record:
            save(outdir, msgspec.structs.replace(now, kept=save_kept(outdir, ())))


def seen_again(outdir: Path, name: str) -> None:
    """Has the record know an output again that has its bytes back.

    Raises:
        Unbelievable: There is no record.
        OSError: The output is gone, or the record cannot be written.
    """
    record = load(outdir)
    outputs = tuple(
        msgspec.structs.replace(one, state=settled(outdir / name)) if one.name == name else one
        for one in record.outputs
    )
    save(outdir, msgspec.structs.replace(record, outputs=outputs))


def _sources(plan: Plan, reuse: Reuse) -> tuple[SourceRecord, ...]:
    if reuse.sources:
        return reuse.sources
    return seen(
        plan, [one.filesystem.manifest for one in plan.volumes if one.filesystem is not None]
    )


def _machine(plan: Plan) -> tuple[SourceRecord, ...]:
    names = {argv[0] for step in plan.steps for argv in step.argv} & TOOLS.keys()
    return machine(path for name in names if (path := find(name)) is not None)


def _files(volume: VolumePlan, reuse: Reuse, sums: Mapping[int, bytes]) -> bytes:
    if volume.id in reuse.taken_over:
        return reuse.taken_over[volume.id].files
    if volume.id in reuse.patches:
        manifest = volume.filesystem.manifest if volume.filesystem is not None else None
        assert isinstance(manifest, Remembered)
        changes = {
            one.first: manifest.new[id(one.entry)] for one in reuse.patches[volume.id] if one.pieces
        }
        return moved(reuse.patched[volume.id].files, changes)
    places = reuse.placed(volume)
    assert volume.filesystem is not None
    manifest = volume.filesystem.manifest
    if (known := _settled(manifest)) is not None:
        sums = known.sums
    return places.dumps(manifest, sums) if places is not None else b""
