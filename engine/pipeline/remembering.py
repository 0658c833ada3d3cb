"""What a build leaves for the next one: a record of what went in and what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.events import Artifact
from engine.manifest.datasums import DataSums
from engine.manifest.manifest import Manifest
from engine.pipeline.reusing import Gathered, Reuse, whole_image
from engine.pipeline.versions import paths_of, tools_of
from engine.plan.model import Plan, VolumePlan
from engine.plan.outputs import RECORD
from engine.provenance import inputs
from engine.reuse import brought, maker
from engine.reuse.design import design
from engine.reuse.details import Rest, Writer
from engine.reuse.digests import Digests
from engine.reuse.keep import keep
from engine.reuse.kept import Kept
from engine.reuse.key import volume_key, volume_shape
from engine.reuse.part import Part
from engine.reuse.places import moved
from engine.reuse.record import (
    Items,
    OutputRecord,
    Record,
    Seen,
    SourceRecord,
    VolumeRecord,
    details_path,
    leaves_path,
    load,
    save,
    settled,
)
from engine.reuse.remembered import Remembered
from engine.reuse.sources import machine, seen

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
        seen: What was seen of where they come from.
        kept: By id of the volume; None where they are not kept.
    """

    seen: Seen
    kept: Mapping[str, Kept | None]


def note(reuse: Reuse, sums: DataSums, over: Callable[[], bool]) -> Noted | None:
    """Returns what a record says of the entries, if one is to be left: it takes a while.

    Args:
        reuse: Gets why there can be no record.
        sums: Of files' data, which still come.
        over: Whether all have come.
    """
    plan = reuse.plan
    if plan is None:
        return None
    try:
        found, archives = _seen(plan, reuse)
    except OSError as error:  # the build itself does not need it
        reuse.gathered = error
        return None
    kept: dict[str, Kept | None] = {}
    for volume in plan.volumes:
        if volume.filesystem is not None:
            manifest = volume.filesystem.manifest
            before = _settled(manifest)
            if before is not None:
                kept[volume.id] = before.settled
            else:
                kept[volume.id] = (
                    keep(volume.id, manifest, partial(sums.awaited, over=over), archives)
                    if found.sources
                    else None
                )
    return Noted(found, kept)


def gather(reuse: Reuse, noted: Noted, sums: DataSums, outdir: Path) -> None:
    """Gathers what else a record says of all that went in, once that is summed up.

    The larger part is written at once, beside the checks, and gets its name once the outputs have
    theirs.

    Args:
        reuse: Gets it.
        noted: From `note`.
        sums: Of all files' data.
        outdir: The output folder.
    """
    assert reuse.plan is not None
    try:
        known = sums_of(reuse.plan, sums)
        reuse.gathered = _gathered(reuse.plan, reuse, noted, known, outdir)
    except OSError as error:
        reuse.gathered = error


def _gathered(plan: Plan, reuse: Reuse, noted: Noted, known: Sums, outdir: Path) -> Gathered:
    found, kept = noted
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
    volumes = [one for one in plan.volumes if raw and one.filesystem is not None]
    files = {one.id: _files(one, reuse, known[one.id]) for one in volumes}
    whole = tuple(one for one in kept.values() if one is not None)
    rest = Rest(digests, files, found.brought)
    return Gathered(
        design=design(plan, reuse.filesystems, reuse.contents, reuse.versions or {}),
        volumes=tuple(
            VolumeRecord(
                volume.id, made.get(volume.id, ""), plan.offset(volume.id), volume.bytes,
                volume_shape(plan, volume, reuse.versions or {}),
            )
            for volume in volumes
        ),
        sources=found.sources,
        archives=found.archives,
        machine=_machine(plan, reuse) if reuse.asked else (),
        items=_written(reuse, whole if len(whole) == len(kept) else (), rest, outdir),
    )  # fmt: skip


def keep_now(manifests: Iterable[Manifest], reuse: Reuse, outdir: Path) -> None:
    """Writes what the record keeps of all volumes, and lets go of it.

    Args:
        manifests: Of the volumes. Nothing is done if not all are of the last record.
        reuse: Goes on with what is written.
        outdir: The output folder.
    """
    settled, path = [_settled(one) for one in manifests], details_path(outdir)
    known = [one for one in settled if one is not None]
    if path is None or len(known) < len(settled):
        return
    try:
        writer = reuse.details = Writer(Part(path))
        for one in known:
            if one.settled is not None:
                writer.keep(one.settled)
    except OSError:  # it is tried again, and told, in the end
        if reuse.details is not None:
            reuse.details.discard()
        reuse.details = None
        return
    for one in known:
        one.release()


def _written(reuse: Reuse, kept: Iterable[Kept], rest: Rest, outdir: Path) -> Items:
    """Writes the larger part of a record, or the rest of it; returns what the record says of it."""
    path = details_path(outdir)
    if path is None:
        return ()
    if reuse.details is None:
        reuse.details = Writer(Part(path))
        for one in kept:
            reuse.details.keep(one)
    return reuse.details.finish(rest)


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
        tree=reuse.tree if raw else {},
        sources=gathered.sources,
        archives=gathered.archives,
        machine=gathered.machine,
        versions=dict(reuse.versions or {}),
        program=maker.program(),
        items=gathered.items,
    )
    _install(outdir, reuse)
    save(outdir, record)


def _install(outdir: Path, reuse: Reuse) -> None:
    """Gives what is beside a record its name, before there is a record that speaks of it."""
    if reuse.details is not None:
        reuse.details.part.install()
    leaves = reuse.leaves.finish() if reuse.leaves is not None else None
    if leaves is not None:
        leaves.install()
    elif (path := leaves_path(outdir)) is not None:
        path.unlink(missing_ok=True)


def renew(plan: Plan, outdir: Path, reuse: Reuse) -> None:
    """Leaves a record again of outputs that stay, with what its sources are now.

    Raises:
        OSError: It cannot be written.
    """
    if reuse.record is not None and reuse.asked:
        found, _ = _seen(plan, reuse)
        now = msgspec.structs.replace(
            reuse.record,
            spec=reuse.asked,
            sources=found.sources,
            archives=found.archives,
            machine=_machine(plan, reuse),
        )
        if now != reuse.record:
            rest = Rest(reuse.digests.dumps(), reuse.files, found.brought)
            items = _written(reuse, (), rest, outdir)
            if reuse.details is not None:
                reuse.details.part.install()
            save(outdir, msgspec.structs.replace(now, items=items))


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


def _seen(plan: Plan, reuse: Reuse) -> tuple[Seen, Mapping[int, int]]:
    """Returns what was seen of all sources, and numbers of archives among it by `id`."""
    if reuse.seen is not None:
        return reuse.seen, {}
    manifests = [one.filesystem.manifest for one in plan.volumes if one.filesystem is not None]
    known = brought.of_plan(plan, manifests)
    found = Seen(
        seen(plan, manifests) if reuse.asked else (),
        tuple(record for _, record, _ in known),
        [entries for _, _, entries in known],
    )
    return found, {id(source): at for at, (source, _, _) in enumerate(known)}


def _machine(plan: Plan, reuse: Reuse) -> tuple[SourceRecord, ...]:
    return reuse.machine or machine(paths_of(tools_of(plan)))


def _files(volume: VolumePlan, reuse: Reuse, sums: Mapping[int, bytes]) -> bytes:
    if volume.id in reuse.taken_over:
        return reuse.files.get(reuse.taken_over[volume.id].id, b"")
    if volume.id in reuse.patches:
        manifest = volume.filesystem.manifest if volume.filesystem is not None else None
        assert isinstance(manifest, Remembered)
        changes = {
            one.first: manifest.new[id(one.entry)] for one in reuse.patches[volume.id] if one.pieces
        }
        return moved(reuse.files[volume.id], changes)
    places = reuse.placed(volume)
    assert volume.filesystem is not None
    manifest = volume.filesystem.manifest
    if (known := _settled(manifest)) is not None:
        sums = known.sums
    return places.dumps(sums) if places is not None else b""
