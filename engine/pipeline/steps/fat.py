"""FAT: made and filled in place, then held against fsck.fat and our own reader."""

from __future__ import annotations

from engine.filesystems.fat.format import Volume
from engine.filesystems.fat.measure import measure
from engine.filesystems.fat.writer import make as make_fat
from engine.filesystems.fat.writer import populate as populate_fat
from engine.filesystems.populate import PopulateFailed
from engine.image.reading import BadFilesystem
from engine.pipeline.fatfiles import differences
from engine.pipeline.sparse import copy_range
from engine.pipeline.staging import VOLUME
from engine.pipeline.work import Work
from engine.tools.failure import StepFailed


async def make(work: Work) -> None:
    """Makes the empty file system at its place in the image."""
    geometry, volume = work.filesystem.layout.geometry, _volume(work)
    await work.thread(lambda report: make_fat(work.image, work.offset, geometry, volume))


async def populate(work: Work) -> None:
    """Writes every entry of the manifest.

    Raises:
        StepFailed: An entry cannot be written.
        SourceChanged: A source changed or cannot be read, by name.
    """
    geometry, volume, manifest = work.filesystem.layout.geometry, _volume(work), work.manifest
    try:
        await work.thread(
            lambda report: populate_fat(
                work.image,
                work.offset,
                geometry,
                volume,
                manifest,
                progress=report,
                seen=work.inputs.data.take,
                cancelled=work.cancelled,
            )
        )
    except PopulateFailed as error:
        raise StepFailed(str(error)) from error
    if clamped := measure(manifest).clamped:
        work.note(f"{clamped} entries have times that FAT cannot hold: it knows 1980 to 2107")


async def check(work: Work) -> None:
    """Checks the file system without changing it, on a copy: fsck.fat knows no offset.

    Raises:
        StepFailed: The file system is not clean, or does not hold what the manifest says.
        SourceChanged: A source that it is held against is no longer what was scanned.
    """
    copy = work.staging.folder / VOLUME
    volume, planned = work.volume, work.filesystem
    await work.thread(
        lambda report: copy_range(work.image, work.offset, volume.bytes, copy, work.cancelled)
    )
    for argv in work.step.argv:
        await work.tool(argv)
    manifest, alone = work.manifest, work.plan.boot.guest is None
    try:
        found = await work.thread(
            lambda report: differences(
                copy, planned.uuid, planned.label, manifest, report, work.cancelled, alone=alone
            )
        )
    except BadFilesystem as error:
        raise StepFailed(f"the {volume.title} cannot be read back: {error}") from error
    if found:
        raise StepFailed(f"the {volume.title} is not what was written: " + "; ".join(found))
    work.note(f"read back: volume id, label and files of the {volume.title} are as planned")
    copy.unlink()


def _volume(work: Work) -> Volume:
    planned = work.filesystem
    return Volume(
        label=planned.label,
        volume_id=int(planned.uuid.replace("-", ""), 16),
        epoch=work.plan.identity.epoch,
        hidden_sectors=work.offset // planned.layout.geometry.sector_size,
    )
