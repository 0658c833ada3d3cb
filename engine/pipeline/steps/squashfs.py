"""squashfs: made by tar2sqfs in a file beside the image, moved into it, read back by our reader."""

from __future__ import annotations

from engine.filesystems.paxstream import stream
from engine.filesystems.populate import PopulateFailed
from engine.filesystems.squashfs.kept import kept
from engine.pipeline.sparse import copy_into
from engine.pipeline.staging import VOLUME
from engine.pipeline.steps.inprocess import read_back
from engine.pipeline.work import Work
from engine.tools.failure import StepFailed
from engine.units import MIB, ceil_to, format_exact


async def make(work: Work) -> None:
    """Makes the file system with all that it holds.

    Raises:
        StepFailed: It does not fit, or an entry cannot be written.
        SourceChanged: A source changed or cannot be read, by name.
    """
    made, planned, volume = work.staging.folder / VOLUME, work.filesystem, work.volume
    archive = stream(
        planned.manifest, keep=kept, progress=work.progress, seen=work.inputs.data.take
    )
    try:
        await work.tool(work.step.argv[0], feed=archive)
    except PopulateFailed as error:
        raise StepFailed(str(error)) from error
    size = made.stat().st_size
    if size > volume.bytes:
        raise StepFailed(
            f"the contents of the {volume.title} take {size} bytes once they are compressed, and "
            f"it has {volume.bytes}",
            f"{format_exact(ceil_to(size, MIB))} are enough for these contents",
        )
    await work.thread(lambda report: copy_into(made, work.image, work.offset, work.cancelled))
    made.unlink()
    work.note(f"{planned.data_bytes} bytes of data became a squashfs of {size} bytes")


async def check(work: Work) -> None:
    """Reads everything back against the plan, with a reader of our own.

    Raises:
        StepFailed: It is damaged, or not what was planned.
    """
    await read_back(work, kept)
