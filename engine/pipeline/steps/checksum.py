"""Digests of every output that is not a record of the build itself, and of all that went in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.pipeline import summing
from engine.pipeline.packing import digests
from engine.pipeline.rehash import Changes, verity_again
from engine.pipeline.remembering import Noted, gather
from engine.pipeline.steps.names import announce, current_image, finish_image
from engine.pipeline.taking import take_all
from engine.pipeline.work import Work
from engine.plan.outputs import HYDRA
from engine.provenance.fsverity import FsVerity
from engine.provenance.inputs import read_sums, summed
from engine.reuse.kept import Kept
from engine.reuse.leaves import opened
from engine.reuse.record import leaves_path
from engine.tools import runner

_ADVICE = '`output.sums = "fsverity"` reads what changed'


async def checksum(work: Work) -> None:
    """Hashes the finished outputs and, meanwhile, sums up what went in.

    Raises:
        SourceChanged: A source of the ESP is not what was scanned.
    """
    tasks = (asyncio.ensure_future(_outputs(work)), asyncio.ensure_future(_inputs(work)))
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await runner.finished(asyncio.gather(*tasks, return_exceptions=True))


async def _outputs(work: Work) -> None:
    sums, disk, image = work.plan.sums, work.plan.output.disk, current_image(work)
    known = {}
    if disk not in work.artifacts and image.is_file() and not image.is_symlink():
        known[disk] = await _of_image(work, image, sums.image)
    await work.earlier()
    finish_image(work)
    for name in work.staging.finished():
        path = work.staging.folder / name
        if name == HYDRA or name in work.artifacts or path.is_symlink():
            continue
        if name not in known:
            known[name] = await _digests(work, path, sums.others)
        announce(work, name, known[name])


async def _digests(work: Work, path: Path, kinds: Sequence[str]) -> dict[str, str]:
    return await work.thread(lambda report: digests(path, kinds, report, work.cancelled))


async def _of_image(work: Work, path: Path, kinds: Sequence[str]) -> dict[str, str]:
    """Returns the digests of the disk's image; of one that was updated, by what changed of it."""
    reuse = work.reuse
    before = reuse.record.output(work.plan.output.disk) if reuse.record is not None else None
    spared = reuse.touched is not None and before is not None and "fsverity" in before.digests
    begun = time.monotonic()
    wanted = [kind for kind in kinds if kind != "fsverity" or not spared]
    raw = not work.plan.output.format.qemu_img
    parts = work.repeats.of(work.plan) if raw else ()
    known = {}
    if wanted == ["sha256"] and not parts and summing.pays(path):
        known["sha256"] = await work.thread(
            lambda report: work.following.sha256(path, report, work.cancelled)
        )
        wanted = []
    takers = reuse.takers(kinds, work.staging.outdir)
    if parts:
        takers |= await work.thread(
            lambda report: work.repeats.taken(path, wanted, parts, report, work.cancelled)
        )
    elif reading := [takers[kind] for kind in wanted]:
        await work.thread(lambda report: take_all(path, reading, report, work.cancelled))
    if reuse.touched is not None and "sha256" in kinds:
        seconds = time.monotonic() - begun
        work.note(f"SHA-256 has read the whole image in {seconds:.1f} s; {_ADVICE}")
    verity = takers.get("fsverity")
    if spared and before is not None and isinstance(verity, FsVerity):
        await work.thread(lambda report: _again(work, path, before.state.size, verity))
    reuse.keep_tree(takers.get("fsverity"))
    return known | {kind: takers[kind].digest() for kind in kinds if kind not in known}


def _again(work: Work, path: Path, size: int, verity: FsVerity) -> None:
    """Has the digest computed of an image that was updated, by what changed of it."""
    reuse, record = work.reuse, work.reuse.record
    assert record is not None
    assert reuse.touched is not None
    changes = Changes(size, reuse.touched, reuse.moved)
    with opened(leaves_path(work.staging.outdir), record.tree, size) as leaves:
        verity_again(path, record.tree, leaves, changes, verity, work.cancelled)


async def _inputs(work: Work) -> None:
    """Sums up what went in, and gathers what the record for the next update says of it."""
    noted = await work.ahead.noted()
    await work.thread(lambda report: _gather(work, noted))


def _gather(work: Work, noted: Noted | None) -> None:
    _digest(work, noted.kept if noted is not None else {})
    if noted is not None:
        gather(work.reuse, noted, work.inputs.data, work.staging.outdir)


def _digest(work: Work, kept: Mapping[str, Kept | None]) -> None:
    """Sums up what each file system was filled from, as it was hashed on its way.

    What a record keeps has the lines that a digest is over.

    What an installer made may have taken the place of planned files: they are read.
    """
    if work.reuse.filesystems:  # an update has summed them up before it wrote anything
        work.inputs.filesystems |= work.reuse.filesystems
        work.inputs.contents |= work.reuse.contents
        return
    for volume in work.plan.volumes:
        if volume.filesystem is None:
            continue
        manifest = volume.filesystem.manifest
        read = bool(work.loader_files.get(volume.id))
        known = None if read else work.inputs.summed.get(volume.id)
        if known is None and not read and (lines := kept.get(volume.id)) is not None:
            known = lines.summed
        if known is None:
            data = read_sums(manifest, work.cancelled) if read else work.inputs.data
            known = summed(manifest, data.of(manifest))
        work.inputs.filesystems[volume.id] = known.whole
        work.inputs.contents |= known.contents
    work.reuse.filesystems |= work.inputs.filesystems
    work.reuse.contents |= work.inputs.contents
