"""Raw volumes: a file's bytes written in place, then read back against the file."""

from __future__ import annotations

from engine.filesystems.raw.writer import populate as populate_raw
from engine.filesystems.raw.writer import same
from engine.pipeline.work import Work
from engine.tools.failure import StepFailed


async def make(work: Work) -> None:
    """Does nothing: the volume is a hole until it is filled."""


async def populate(work: Work) -> None:
    """Writes the bytes of the file.

    Raises:
        SourceChanged: The source changed or cannot be read.
    """
    await work.thread(
        lambda report: populate_raw(
            work.image,
            work.offset,
            work.manifest,
            progress=report,
            seen=work.inputs.data.take,
            cancelled=work.cancelled,
        )
    )


async def check(work: Work) -> None:
    """Compares the volume with its file.

    Raises:
        StepFailed: They differ.
        SourceChanged: The source changed or cannot be read.
    """
    equal = await work.thread(
        lambda report: same(work.image, work.offset, work.manifest, work.cancelled)
    )
    if not equal:
        raise StepFailed(f"the {work.volume.title} does not hold the bytes of its file")
    work.note(f"read back: the bytes of the {work.volume.title} are those of its file")
