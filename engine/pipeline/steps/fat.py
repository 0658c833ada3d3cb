"""FAT: mkfs.fat in place, mtools file by file in sorted order, fsck.fat."""

from __future__ import annotations

from engine.image.reading import BadFilesystem
from engine.manifest.entry import Entry
from engine.pipeline.fatfiles import data_of, differences
from engine.pipeline.sparse import copy_range
from engine.pipeline.staging import IMAGE, VOLUME
from engine.pipeline.work import Work
from engine.tools.environment import FAT_EPOCH
from engine.tools.failure import StepFailed

_MANY = 200
"""Folders made by one call, so that the argument list stays short."""


async def make(work: Work) -> None:
    """Makes the empty file system at its place in the image."""
    for argv in work.step.argv:
        await work.tool(argv, extra=_clock(work))


async def populate(work: Work) -> None:
    """Writes folders, then files, each in the manifest's order whatever order sources come in.

    Raises:
        SourceChanged: A source changed or cannot be read, by name.
    """
    drive = f"{IMAGE}@@{work.offset}"
    entries = [entry for entry in work.manifest if entry.path]
    folders = [_name(entry) for entry in entries if entry.is_directory]
    for at in range(0, len(folders), _MANY):
        await work.tool(("mmd", "-i", drive, *folders[at : at + _MANY]), extra=_clock(work))
    files = [entry for entry in entries if entry.is_regular]
    total = sum(entry.size for entry in files)
    done = 0
    for entry in files:
        argv = ("mcopy", "-i", drive, "-", _name(entry))
        await work.tool(argv, feed=data_of(entry), extra=_clock(work))
        done += entry.size
        work.progress(done, total)


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
    manifest = work.manifest
    try:
        found = await work.thread(
            lambda report: differences(
                copy, planned.uuid, planned.label, manifest, report, work.cancelled
            )
        )
    except BadFilesystem as error:
        raise StepFailed(f"the {volume.title} cannot be read back: {error}") from error
    if found:
        raise StepFailed(f"the {volume.title} is not what was written: " + "; ".join(found))
    work.note(f"read back: volume id, label and files of the {volume.title} are as planned")
    copy.unlink()


def _name(entry: Entry) -> str:
    return "::/" + entry.path.decode("utf-8", errors="surrogateescape")


def _clock(work: Work) -> dict[str, str]:
    """Returns the time FAT's entries get; mtools wraps earlier ones to the year 2098."""
    return {"SOURCE_DATE_EPOCH": str(max(work.plan.settings.source_date_epoch, FAT_EPOCH))}
