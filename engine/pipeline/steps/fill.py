"""Fills a volume by a kernel in a virtual machine, and compares what that kernel then reads."""

from __future__ import annotations

import asyncio
import lzma
import os
import subprocess

from engine.boot import fill as machine
from engine.boot import guest
from engine.boot.qemu import diagnose
from engine.filesystems import table
from engine.filesystems.paxstream import stream
from engine.filesystems.populate import PopulateFailed
from engine.image.reading import BadFilesystem
from engine.pipeline.archived import first_of, read
from engine.pipeline.staging import GUEST_INITRD, GUEST_KERNEL, GUEST_STATUS
from engine.pipeline.steps.guest import bytes_of, kvm_runs
from engine.pipeline.work import Work
from engine.plan import filling
from engine.tools.failure import StepFailed
from engine.tools.installed import find
from engine.tools.runner import ToolResult

_BTRFS = "btrfs"
_SHOWN = 5
"""Lines of the console that an error message has room for."""


async def fill(work: Work) -> None:
    """Has a kernel put the contents in, and holds against the manifest what it reads back.

    Raises:
        StepFailed: The machine failed or came to no end, or the contents are not as planned.
        SourceChanged: A source changed or cannot be read, by name.
    """
    plan, volume, filler = work.plan, work.volume, work.plan.boot.filler
    assert filler is not None
    assert filler.guest is not None
    paths = [work.staging.folder / name for name in (GUEST_KERNEL, GUEST_INITRD, GUEST_STATUS)]
    kernel, initrd, status = paths
    parts = filler.guest
    try:
        kernel.write_bytes(await work.thread(lambda report: bytes_of(parts.kernel)))
        initrd.write_bytes(await work.thread(lambda report: _initrd(work)))
        argv = work.step.argv[0]
        if await kvm_runs(work, filling.command(plan, volume, accelerator="kvm", probe=True)):
            argv = filling.command(plan, volume, accelerator="kvm")
        done, found = await _run(work, argv)
        _judge(status.read_text(errors="replace").strip() if status.exists() else "", done)
    except (lzma.LZMAError, subprocess.SubprocessError) as error:
        raise StepFailed(f"the virtual machine's initrd cannot be made: {error}") from error
    finally:
        for path in paths:
            path.unlink(missing_ok=True)
    if found:
        raise StepFailed(
            f"the {volume.title} is not as planned: " + "; ".join(found),
            "the kernel or tar of the virtual machine lost it; please report it with build.jsonl",
        )
    names = len(work.filesystem.manifest)
    work.note(f"{names} entries went in by {filler.origin}, which reads them back as planned")


def _initrd(work: Work) -> bytes:
    filler, planned = work.plan.boot.filler, work.filesystem
    assert filler is not None
    assert filler.guest is not None
    programs, subvolumes = [filler.tar], None
    if planned.subvolumes:
        btrfs = find(_BTRFS)
        if not btrfs:
            raise StepFailed(f"{_BTRFS}, which makes subvolumes, is no longer on this machine")
        programs.append(btrfs)
        subvolumes = machine.Subvolumes(
            os.path.realpath(btrfs), planned.subvolumes, planned.default_subvolume
        )
    files, libraries = machine.files(programs)
    script = machine.init(
        tar=os.path.realpath(filler.tar), libraries=libraries, type_=planned.type,
        options=planned.options, subvolumes=subvolumes,
    )  # fmt: skip
    return guest.initrd(filler.guest, script, files)


async def _run(work: Work, argv: tuple[str, ...]) -> tuple[ToolResult, list[str]]:
    """Runs the machine; returns how it ended, and what differs in what it read."""
    planned = work.filesystem
    keep = table.keep(planned.type)
    archive = stream(planned.manifest, keep=keep, progress=work.progress, observer=work.inputs.data)
    source, sink = os.pipe()
    reading = asyncio.ensure_future(
        work.thread(lambda report: read(source, planned.manifest, keep, work.cancelled))
    )
    try:
        done = await work.tool(argv, feed=archive, output=sink)
    except PopulateFailed as error:
        raise StepFailed(str(error)) from error
    finally:
        # The machine is over: with this end closed, the archive ends as well.
        os.close(sink)
        await asyncio.wait({reading})
        os.close(source)
    try:
        archived = reading.result()
    except BadFilesystem as error:
        # What its last word says is worth more than an archive that ends early.
        return done, [str(error)]
    sums = work.inputs.data.of(planned.manifest)
    return done, first_of(archived.differences(planned.manifest, sums, keep))


def _judge(word: str, done: ToolResult) -> None:
    """Raises unless the machine's last word is that all went well."""
    if word == "0":
        return
    tail = "".join(f"\n  | {line}" for line in done.tail[-_SHOWN:])
    if not word:
        # A panic also ends QEMU with status 0.
        console = "\n".join(done.tail)
        raise StepFailed(f"the virtual machine ended early: {diagnose(console)}{tail}")
    raise StepFailed(f"in the virtual machine: {word}{tail}")
