"""Formats that are written in process: made, filled, and read back entry by entry."""

from __future__ import annotations

from engine.filesystems import table
from engine.filesystems.paxstream import Keep, everything
from engine.filesystems.populate import PopulateFailed
from engine.image.container.disk import RawDisk
from engine.image.reading import BadFilesystem, Window
from engine.pipeline.readback import differences
from engine.pipeline.sparse import copy_range
from engine.pipeline.staging import VOLUME
from engine.pipeline.work import Work
from engine.plan import steps
from engine.spec.filesystems import FILESYSTEMS
from engine.tools.failure import StepFailed


async def make(work: Work) -> None:
    """Makes the file system, complete but for the data of its files."""
    planned = work.filesystem
    epoch = work.plan.identity.epoch
    try:
        await work.thread(
            lambda report: table.writer(planned.type).make(
                work.image, work.offset, planned, epoch=epoch, cancelled=work.cancelled
            )
        )
    except PopulateFailed as error:
        raise StepFailed(str(error)) from error


async def populate(work: Work) -> None:
    """Writes the data of every file.

    Raises:
        SourceChanged: A source changed or cannot be read, by name.
    """
    planned = work.filesystem
    await work.thread(
        lambda report: table.writer(planned.type).populate(
            work.image, work.offset, planned,
            progress=report, seen=work.inputs.data.take, cancelled=work.cancelled,
        )
    )  # fmt: skip


async def check(work: Work) -> None:
    """Runs the format's own checker, and reads everything back against the plan.

    Raises:
        StepFailed: It is damaged, or not what was planned.
    """
    volume = work.volume
    copy = work.staging.folder / VOLUME
    if any(steps.VOLUME in word for argv in work.step.argv for word in argv):
        await work.thread(
            lambda report: copy_range(work.image, work.offset, volume.bytes, copy, work.cancelled)
        )
    for argv in work.step.argv:
        await work.tool(argv)
    copy.unlink(missing_ok=True)
    await read_back(work)


async def read_back(work: Work, keep: Keep = everything) -> None:
    """Holds a volume, as our own reader finds it, against the plan and the sources' sums.

    Raises:
        StepFailed: It is damaged, or not what was planned.
    """
    volume, planned = work.volume, work.filesystem
    try:
        found = await work.thread(lambda report: _differences(work, keep))
    except BadFilesystem as error:
        raise StepFailed(f"the {volume.title} cannot be read back: {error}") from error
    if found:
        raise StepFailed(f"the {volume.title} is not what was written: " + "; ".join(found))
    row = FILESYSTEMS[planned.type]
    names = len(planned.manifest) if row.files and row.fillable else 0
    held = f" and its entries ({names})" if names else ""
    work.note(f"read back: figures of the {volume.title}{held} are as planned")


def _differences(work: Work, keep: Keep) -> list[str]:
    planned = work.filesystem
    sums = work.inputs.data.of(planned.manifest)
    with RawDisk(work.image) as disk:
        content, trouble = table.probe(Window(disk, work.offset, work.volume.bytes))
        if content is None:
            raise BadFilesystem(trouble or f"no {planned.type} is there")
        return differences(content, planned, sums, work.cancelled, keep)
