"""What is done to each volume: made and filled in place, then held against its plan."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace

from engine.filesystems import table
from engine.filesystems.driver import FilesystemPlan, Written
from engine.filesystems.populate import PopulateFailed
from engine.image.container.disk import RawDisk
from engine.image.reading import BadFilesystem, Window, holds_files
from engine.pipeline.readback import differences
from engine.pipeline.reusing import Filling
from engine.pipeline.sparse import copy_range
from engine.pipeline.steps import fill, verity, whole
from engine.pipeline.work import Work
from engine.plan import nixos, steps
from engine.spec.filesystems import FILESYSTEMS
from engine.tools.failure import StepFailed

_OURS = "this is a fault of Diskwright or of a tool; please report it with build.jsonl"


async def make(work: Work) -> None:
    """Makes the file system at its place in the image, by its commands or its writer.

    Raises:
        StepFailed: An entry cannot be written.
    """
    row = FILESYSTEMS[work.filesystem.type]
    if row.layer or row.own_file:
        await (verity if row.layer else whole).make(work)
        return
    planned, epoch = work.filesystem, work.plan.identity.epoch
    if work.step.argv:
        # mke2fs before 1.47.1 knows no time of 0 (tool_environment); newer ones write the same.
        now = {"SOURCE_DATE_EPOCH": str(max(epoch, 1))}
        for argv in work.step.argv:
            await work.tool(argv, extra=now)
        return
    try:
        await work.thread(
            lambda report: table.writer(planned.type).make(
                work.image, work.offset, planned, epoch=epoch, cancelled=work.cancelled
            )
        )
    except PopulateFailed as error:
        raise StepFailed(str(error)) from error


async def populate(work: Work) -> None:
    """Writes every entry of the manifest.

    Raises:
        StepFailed: An entry cannot be written.
        SourceChanged: A source changed or cannot be read, by name.
    """
    if work.volume.id in work.reuse.patches:
        await work.thread(lambda report: _patch(work))
        return
    planned = _filled(work)
    if FILESYSTEMS[planned.type].mounted:
        await fill.fill(work)
        return

    def settled(end: int) -> None:
        work.following.settled(work.volume.id, end)
        work.ahead.laid_out()

    filling = Filling(work.volume, work.offset, work.reuse, work.inputs.data, settled)
    try:
        await work.thread(
            lambda report: table.writer(planned.type).populate(
                work.image, work.offset, planned, epoch=work.plan.identity.epoch,
                progress=report, observer=filling, cancelled=work.cancelled,
            )
        )  # fmt: skip
    except PopulateFailed as error:
        raise StepFailed(str(error)) from error
    finally:
        filling.over()
    for note in planned.notes:
        work.note(note)


def _patch(work: Work) -> None:
    """Writes the entries that changed of a volume whose other bytes are taken over."""
    reuse, by = work.reuse, table.patcher(work.filesystem.type)
    assert reuse.record is not None
    assert by is not None
    with ExitStack() as stack:
        files = []
        for path in (work.staging.outdir / reuse.record.image, work.image):
            flags = os.O_RDONLY if path != work.image else os.O_RDWR
            files.append(os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW))
            stack.callback(os.close, files[-1])
        old, made = files
        by.write(
            reuse.patches[work.volume.id], old, reuse.patched[work.volume.id].offset, made,
            work.offset, work.inputs.data, work.cancelled,
        )  # fmt: skip


async def check(work: Work) -> None:
    """Runs the format's own checker, and holds everything against the plan.

    Raises:
        StepFailed: It is damaged, or not what was planned.
        SourceChanged: A source that it is held against is no longer what was scanned.
    """
    if FILESYSTEMS[work.filesystem.type].layer:
        await verity.check(work)
        return
    volume, planned = work.volume, _filled(work)
    copy = work.copy
    if any(steps.VOLUME in word for argv in work.step.argv for word in argv):
        await work.thread(
            lambda report: copy_range(work.image, work.offset, volume.bytes, copy, work.cancelled)
        )
    for argv in work.step.argv:
        await work.tool(argv)
    copy.unlink(missing_ok=True)
    try:
        found, note = await _verdict(work, planned)
    except BadFilesystem as error:
        raise StepFailed(f"the {volume.title} cannot be read back: {error}") from error
    if found:
        raise StepFailed(f"the {volume.title} is not as planned: " + "; ".join(found), _OURS)
    work.note(f"read back: {note}")


def _filled(work: Work) -> FilesystemPlan:
    """Returns the file system with all that goes in: an installer may have made some of it."""
    planned = work.filesystem
    manifest = work.manifest
    return planned if manifest is planned.manifest else replace(planned, manifest=manifest)


async def _verdict(work: Work, planned: FilesystemPlan) -> tuple[list[str], str]:
    """Returns what is not as planned, and what was seen to be."""
    own = table.check(planned.type)
    if own is None:
        return await work.thread(lambda report: _read_back(work, planned))
    command = own.command(steps.IMAGE, work.offset)
    printed = (await work.tool(command, quiet=True)).stdout if command else ""
    touched = work.plan.boot.guest is not None and work.volume.id in nixos.written(work.plan)
    return await work.thread(
        lambda report: own.verdict(
            Written(
                image=work.image, offset=work.offset, title=work.volume.title, planned=planned,
                alone=not touched, report=report, cancelled=work.cancelled,
            ),
            printed,
        )
    )  # fmt: skip


def _read_back(work: Work, planned: FilesystemPlan) -> tuple[list[str], str]:
    sums = work.inputs.data.of(planned.manifest)
    with RawDisk(work.image) as disk:
        content, trouble = table.probe(Window(disk, work.offset, work.volume.bytes))
        if content is None:
            raise BadFilesystem(trouble or f"no {planned.type} is there")
        found = differences(content, planned, sums, work.cancelled, table.keep(planned.type))
    names = len(planned.manifest) if holds_files(content) else 0
    entries = f" and its entries ({names})" if names else ""
    return found, f"figures of the {work.volume.title}{entries} are as planned"
