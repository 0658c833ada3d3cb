"""What `--update` adds to a build: a look at what is there, and taking over what stays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.filesystems.patching import NoPatch
from engine.filesystems.table import patcher
from engine.manifest.datasums import DataSums
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from engine.pipeline import takeover
from engine.pipeline.assembling import assemble
from engine.pipeline.remembering import Sums, keep_now, keys, summed, sums_of
from engine.pipeline.reusing import believed, details, whole_image
from engine.pipeline.takeover import Manner, Reused
from engine.pipeline.versions import paths_of, tools_of
from engine.pipeline.work import Work
from engine.provenance.inputs import read_sums
from engine.reuse import maker
from engine.reuse.design import design
from engine.reuse.digests import BadDigests, Digests
from engine.reuse.key import volume_shape
from engine.reuse.record import Record, Unbelievable
from engine.reuse.remembered import Remembered
from engine.reuse.sources import same_machine
from engine.units import human

_MOST_READ = 4
"""Files that changed are read for their digests while they are at most one part in so many."""

_LITTLE = 64 << 20
"""Bytes that are read for it in any case."""

_HOW: Mapping[Manner, str] = {
    "clone": "a clone of it was changed",
    "in place": "it was changed in its place",
    "shift": "it was changed in its place, and what moved was not copied",
    "copy": "what stays was copied",
}


async def compare(work: Work) -> None:
    """Finds out what of the last build stands, by its record.

    Raises:
        SourceChanged: A source is not what was scanned.
    """
    reuse = work.reuse
    try:
        record = await work.thread(lambda report: believed(work.staging.outdir))
        larger = details(work.staging.outdir, record)
        reuse.files = await work.thread(lambda report: larger.files())
        reuse.digests = Digests.loads(await work.thread(lambda report: larger.digests()))
    except (Unbelievable, BadDigests) as error:
        reuse.cold = str(error)
        work.note(f"nothing is taken over: {error}")
        return
    reuse.record = record
    reuse.versions = _versions(work, record) or await work.versions_of(tools_of(work.plan))
    known: Sums = {}
    sums = await work.thread(lambda report: _sums(work))
    if sums is None:
        work.note("most of the contents changed: they are read once, while they are written")
    else:
        known = await work.thread(lambda report: sums_of(work.plan, sums))
        await work.thread(lambda report: _decide(work, known))
    if reuse.nothing:
        work.note("nothing has changed: the outputs stay as they are")
        return
    reuse.cold = whole_image(work.plan) or (
        "" if record.image == work.plan.output.disk else "the last build left another image"
    )
    if reuse.cold:
        reuse.taken_over.clear()
        reuse.filesystems.clear()  # summed up again, with what is known only then
        reuse.contents.clear()
        work.note(f"nothing of the image is taken over: {reuse.cold}")
        return
    await work.thread(lambda report: _patch(work))
    _take_volumes(work)
    await work.thread(lambda report: _known(work, known))


def _versions(work: Work, record: Record) -> dict[str, str]:
    """Returns the versions of the plan's tools if the last build had the same machine, or none."""
    names = tools_of(work.plan)
    if not record.versions.keys() >= names or not same_machine(record, paths_of(names)):
        return {}
    work.reuse.machine = record.machine
    maker.is_program(record.program)
    return {name: record.versions[name] for name in sorted(names)}


def _patch(work: Work) -> None:
    """Finds out which volumes keep their layout, so that only what changed is written."""
    reuse, plan = work.reuse, work.plan
    assert reuse.record is not None
    there = {one.id: one for one in reuse.record.volumes if one.shape}
    for volume in plan.volumes:
        old = there.get(volume.id)
        filesystem = volume.filesystem
        if old is None or volume.id in reuse.taken_over or filesystem is None:
            continue
        manifest, by = filesystem.manifest, patcher(filesystem.type)
        if by is None or not isinstance(manifest, Remembered):
            continue
        stays = all(by.blocks(one) == by.blocks(other) for one, other in manifest.changed.values())
        if (
            not manifest.same_names
            or not stays
            or old.shape != volume_shape(plan, volume, reuse.versions or {})
        ):
            continue
        try:
            found = by.patches(
                work.staging.outdir / reuse.record.image, old.offset, old.length,
                manifest.changed.values(), epoch=plan.identity.epoch,
            )  # fmt: skip
        except NoPatch as error:
            work.note(f"{volume.title}: made anew, since {error}")
            continue
        reuse.patches[volume.id], reuse.patched[volume.id] = found, old


def _known(work: Work, known: Sums) -> None:
    """Keeps the digests of files of which more has to be known than that they changed."""
    reuse = work.reuse
    anew = known.keys() - reuse.taken_over.keys() - reuse.patches.keys()
    for name in anew:
        sums = known[name]
        planned = work.plan.volume(name).filesystem
        manifest = planned.manifest if planned is not None else None
        more = manifest.sums if isinstance(manifest, Remembered) else sums
        reuse.sums = {**reuse.sums, **more} if reuse.sums else more
    if anew:  # beside a volume that is laid out, all else that is known takes much memory
        keep_now(_manifests(work), reuse, work.staging.outdir)


def _manifests(work: Work) -> list[Manifest]:
    return [one.filesystem.manifest for one in work.plan.volumes if one.filesystem is not None]


def _new(manifest: Manifest) -> Iterable[Entry]:
    """Returns the entries whose digests the last record may not have."""
    if isinstance(manifest, Remembered):
        return manifest.fresh
    return manifest


def _sums(work: Work) -> DataSums | None:
    """Returns the digests of all files, reading only those that changed; None if most did."""
    sums, missing, whole = DataSums(), [], 0
    for manifest in _manifests(work):
        if isinstance(manifest, Remembered):
            whole += manifest.counts.data_bytes
        for entry in _new(manifest):
            if entry.is_regular and entry.link_to is None and entry.size:
                whole += entry.size
                digest = work.reuse.digests.of(entry)
                if digest is None:
                    missing.append(entry)
                else:
                    sums.adopt(entry, digest)
    if sum(entry.size for entry in missing) > max(whole // _MOST_READ, _LITTLE):
        return None
    read = read_sums(missing, work.cancelled).of(missing)
    for entry in missing:
        if id(entry) in read:
            sums.adopt(entry, read[id(entry)])
    for manifest in _manifests(work):
        if isinstance(manifest, Remembered):
            manifest.settle(sums.of(_new(manifest)))
    return sums


def _decide(work: Work, sums: Sums) -> None:
    """Compares the keys of volumes and the design of the whole with those of the last build."""
    plan, reuse = work.plan, work.reuse
    record = reuse.record
    assert record is not None
    summed(plan, sums, reuse)
    wanted = design(plan, reuse.filesystems, reuse.contents, reuse.versions or {})
    if wanted and wanted == record.design:
        reuse.nothing = True
        return
    there = {one.key: one for one in record.volumes if one.key}
    for volume, key in keys(plan, reuse, sums).items():
        if key in there:
            reuse.taken_over[volume] = there[key]
            manifest = plan.volume(volume).filesystem
            assert manifest is not None
            if isinstance(manifest.manifest, Remembered):
                continue  # its record knows them
            for entry in manifest.manifest:
                digest = sums[volume].get(id(entry))
                if digest is not None and entry.size:
                    work.inputs.data.adopt(entry, digest)


def _take_volumes(work: Work) -> None:
    reuse = work.reuse
    for name, found in reuse.patches.items():
        volume, record = work.plan.volume(name), reuse.patched[name]
        by = patcher(volume.filesystem.type) if volume.filesystem is not None else None
        assert by is not None
        entries = f"{len(found)} entries" if len(found) != 1 else "1 entry"
        work.note(f"{volume.title}: taken over but for {entries}, {human(volume.bytes)}")
        start, at = work.plan.offset(name), 0
        for first, last in (*by.ranges(found), (volume.bytes, volume.bytes)):
            if first > at:
                reuse.kept.append(Reused(start + at, record.offset + at, first - at))
            at = last
    for name, record in reuse.taken_over.items():
        volume = work.plan.volume(name)
        work.note(f"{volume.title}: taken over as it is, {human(volume.bytes)}")
        work.reuse.kept.append(Reused(work.plan.offset(name), record.offset, volume.bytes))


async def take_over(work: Work) -> None:
    """Puts the image together from what was made and what the last one has.

    Raises:
        OSError: It cannot be written.
    """
    reuse = work.reuse
    if reuse.cold or reuse.record is None:
        work.note("there is nothing to take over")
        return
    files = sum(one.files for one in reuse.fillings)
    if files:
        kept = sum(one.kept for one in reuse.fillings)
        work.note(f"{kept} of {files} files with data are not read again")
    work.note(await work.thread(lambda report: _assemble(work)))


def _assemble(work: Work) -> str:
    """Puts the image together; returns a sentence that says how."""
    reuse = work.reuse
    assert reuse.record is not None
    patch, manner = assemble(
        work.staging, work.staging.outdir / reuse.record.image, takeover.joined(reuse.kept),
        work.cancelled,
    )  # fmt: skip
    if work.cancelled():
        return "cancelled"
    reuse.touched, reuse.moved = patch.touched, patch.moved
    moved = sum(one.length for one in patch.moved)
    differs = f"{human(patch.written)} differ from the last image"
    if moved:
        differs += f" and {human(moved)} moved in it"
    return f"{differs}; {_HOW[manner]}"
