"""Formats that a program makes in a file beside the image, which is then moved into it."""

from __future__ import annotations

from engine.filesystems import table
from engine.filesystems.paxstream import stream
from engine.filesystems.populate import PopulateFailed
from engine.pipeline.sparse import copy_into
from engine.pipeline.work import Work
from engine.spec.filesystems import FILESYSTEMS
from engine.tools.failure import StepFailed
from engine.units import MIB, ceil_to, format_exact, in_bytes


async def make(work: Work) -> None:
    """Makes the file system with all that it holds.

    Raises:
        StepFailed: Its program failed, it does not fit, or an entry cannot be written.
        SourceChanged: A source changed or cannot be read, by name.
    """
    made = work.copy
    if FILESYSTEMS[work.filesystem.type].mounted:
        await _settled(work)
    else:
        await _fed(work)
    await work.thread(lambda report: copy_into(made, work.image, work.offset, work.cancelled))
    made.unlink()


async def _fed(work: Work) -> None:
    """Runs the program, fed with an archive of the contents."""
    made, planned, volume = work.copy, work.filesystem, work.volume
    archive = stream(
        planned.manifest,
        keep=table.keep(planned.type),
        progress=work.progress,
        observer=work.inputs.data,
    )
    try:
        await work.tool(work.step.argv[0], feed=archive)
    except PopulateFailed as error:
        raise StepFailed(str(error)) from error
    size = made.stat().st_size
    if size > volume.bytes:
        raise StepFailed(
            f"the contents of the {volume.title} take {in_bytes(size)} once they are "
            f"compressed, and it has {volume.bytes:,}",
            f"{format_exact(ceil_to(size, MIB))} are enough for these contents",
        )
    title = FILESYSTEMS[planned.type].title
    work.note(f"{in_bytes(planned.data_bytes)} of data became a {title} of {in_bytes(size)}")


async def _settled(work: Work) -> None:
    """Runs the program, and sets what it took from the clock or drew at random."""
    made, planned, epoch = work.copy, work.filesystem, work.plan.identity.epoch
    with made.open("xb") as file:
        file.truncate(planned.size)
    for argv in work.step.argv:
        await work.tool(argv)
    try:
        await work.thread(lambda report: table.settle(made, planned, epoch))
    except PopulateFailed as error:
        raise StepFailed(str(error), "please report it with the version of the program") from error
