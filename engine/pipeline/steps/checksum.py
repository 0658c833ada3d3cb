"""Digests of every output that is not a record of the build itself, and of all that went in."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from engine.pipeline.packing import digests
from engine.pipeline.steps.names import announce, current_image, finish_image
from engine.pipeline.work import Work
from engine.plan.outputs import HYDRA
from engine.provenance.inputs import of_filesystem, of_sources, read_sums
from engine.tools import runner


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
        known[disk] = await _digests(work, image, sums.image)
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


async def _inputs(work: Work) -> None:
    await work.thread(lambda report: _digest(work))


def _digest(work: Work) -> None:
    """Sums up what each file system was filled from, as it was hashed on its way.

    What an installer made may have taken the place of planned files of the ESP: they are read.
    """
    for volume in work.plan.volumes:
        if volume.filesystem is None:
            continue
        manifest = volume.filesystem.manifest
        read = volume.role == "esp" and bool(work.loader_files)
        sums = (read_sums(manifest, work.cancelled) if read else work.inputs.data).of(manifest)
        work.inputs.filesystems[volume.id] = of_filesystem(manifest, sums)
        for where, sources in manifest.origins.items():
            if where and sources:
                work.inputs.contents[where] = of_sources(manifest, sums, sources)
