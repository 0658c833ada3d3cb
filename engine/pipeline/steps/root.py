"""The root file system: made in place, filled from the manifest, checked by independent tools."""

from __future__ import annotations

import re

from engine.filesystems.ext4.failure import PopulateFailed
from engine.filesystems.ext4.format import FORMATS
from engine.filesystems.ext4.measure import measure
from engine.filesystems.ext4.solve import taken_blocks
from engine.filesystems.ext4.writer import populate as populate_ext4
from engine.pipeline.work import Work
from engine.plan.model import FilesystemPlan, Plan
from engine.tools.failure import StepFailed

_FIELD = re.compile(r"^([A-Z][A-Za-z ]+):\s+(.*)$", re.MULTILINE)
_FREE = "Free blocks"


async def make(work: Work) -> None:
    """Makes the empty file system at its place in the image."""
    for argv in work.step.argv:
        await work.tool(argv)


async def populate(work: Work) -> None:
    """Writes every entry of the manifest.

    Raises:
        StepFailed: An entry cannot be written.
        SourceChanged: A source changed or cannot be read, by name.
    """
    plan = work.plan
    try:
        await work.thread(
            lambda report: populate_ext4(
                work.image,
                plan.offset("root"),
                plan.root.manifest,
                epoch=plan.settings.source_date_epoch,
                progress=report,
                seen=work.inputs.data.take,
                cancelled=work.cancelled,
            )
        )
    except PopulateFailed as error:
        raise StepFailed(str(error)) from error


async def check(work: Work) -> None:
    """Checks the file system without changing it, and compares its figures with the plan's.

    Raises:
        StepFailed: The file system is not clean, or not the one that was planned.
    """
    for argv in work.step.argv:
        await work.tool(argv)
    target = work.step.argv[-1][-1]
    # dumpe2fs of e2fsprogs 1.47.2 refuses an offset with options; debugfs shows the same fields.
    header = await work.tool(("debugfs", "-R", "stats -h", target), quiet=True)
    differences = compare(work.plan, header.stdout)
    if differences:
        raise StepFailed(
            "the root file system is not as planned: " + "; ".join(differences),
            "this is a fault of Diskwright or of mke2fs; please report it with build.jsonl",
        )
    if work.plan.boot.guest is not None:
        work.note("read back: the root file system is as planned but for what the installer added")
        return
    spare = (
        int(fields(header.stdout)[_FREE]) - work.plan.root.free_bytes // work.plan.root.block_size
    )
    more = f", {spare} more blocks are free" if spare else ""
    work.note(f"read back: the root file system's figures are as planned{more}")


def fields(header: str) -> dict[str, str]:
    """Returns what `debugfs -R "stats -h"` prints, by name."""
    return {name: value.strip() for name, value in _FIELD.findall(header)}


def compare(plan: Plan, header: str) -> list[str]:
    """Returns how a superblock, as `debugfs` prints it, differs from the plan.

    More free blocks than planned are no difference: the plan promises a least figure, and a
    large file that finds its blocks in one piece needs fewer for its extents. What an installer
    adds in a virtual machine is not planned, so nothing is said of what is free then.
    """
    seen = fields(header)
    root = plan.root
    wanted = {
        "Filesystem volume name": root.label or "<none>",
        "Filesystem UUID": root.uuid.lower(),
        "Filesystem state": "clean",
        "Block size": str(root.block_size),
        "Block count": str(root.blocks),
        "Inode count": str(root.inodes),
    }
    counted = plan.boot.guest is None
    if counted:
        wanted["Free inodes"] = str(root.free_inodes)
    differences = [
        f"{name} is {seen.get(name)}, planned {value}"
        for name, value in wanted.items()
        if seen.get(name) != value
    ]
    if not counted:
        return differences
    # The plan assumes that every large file meets the file system's own blocks on its way.
    least = root.free_bytes // root.block_size
    most = least + _assumed_breaks(root)
    free = int(seen.get("Free blocks", "-1"))
    if not least <= free <= most:
        differences.append(f"Free blocks is {free}, planned {least} to {most}")
    return differences


def _assumed_breaks(root: FilesystemPlan) -> int:
    """Returns the map blocks that were planned but need not have been taken."""
    if root.geometry is None:
        return 0
    need = measure(root.manifest, FORMATS[root.type])
    return taken_blocks(need, root.geometry) - need.blocks
