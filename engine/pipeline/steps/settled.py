"""Formats whose program makes a file: settled, moved into the image, checked there.

XFS and Btrfs are made empty. Their programs know no offset, and take the clock and random numbers,
which their writers set right.
"""

from __future__ import annotations

from engine.filesystems import table
from engine.filesystems.populate import PopulateFailed
from engine.pipeline.sparse import copy_into
from engine.pipeline.staging import VOLUME
from engine.pipeline.steps.inprocess import check
from engine.pipeline.work import Work
from engine.tools.failure import StepFailed

__all__ = ["check", "make"]


async def make(work: Work) -> None:
    """Makes the file system.

    Raises:
        StepFailed: Its program failed, or left what it is not known to.
    """
    made, planned, epoch = work.staging.folder / VOLUME, work.filesystem, work.plan.identity.epoch
    with made.open("xb") as file:
        file.truncate(planned.size)
    for argv in work.step.argv:
        await work.tool(argv)
    try:
        await work.thread(lambda report: table.settle(made, planned, epoch))
    except PopulateFailed as error:
        raise StepFailed(str(error), "please report it with the version of the program") from error
    await work.thread(lambda report: copy_into(made, work.image, work.offset, work.cancelled))
    made.unlink()
