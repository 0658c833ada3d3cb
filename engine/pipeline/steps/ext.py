"""ext2, ext3 and ext4: made in place, filled from the manifest, checked by independent tools."""

from __future__ import annotations

import re

from engine.filesystems.driver import FilesystemPlan
from engine.filesystems.ext4.driver import ExtLayout
from engine.filesystems.ext4.solve import taken_blocks
from engine.filesystems.ext4.writer import populate as populate_ext4
from engine.filesystems.populate import PopulateFailed
from engine.pipeline.work import Work
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
    filesystem = work.filesystem
    try:
        await work.thread(
            lambda report: populate_ext4(
                work.image,
                work.offset,
                filesystem.manifest,
                epoch=work.plan.identity.epoch,
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
    filesystem, title = work.filesystem, work.volume.title
    installed = work.volume.role == "root" and work.plan.boot.guest is not None
    differences = compare(filesystem, header.stdout, counted=not installed)
    if differences:
        raise StepFailed(
            f"the {title} is not as planned: " + "; ".join(differences),
            "this is a fault of Diskwright or of mke2fs; please report it with build.jsonl",
        )
    if installed:
        work.note(f"read back: the {title} is as planned but for what the installer added")
        return
    spare = int(fields(header.stdout)[_FREE]) - filesystem.free_bytes // filesystem.block_size
    more = f", {spare} more blocks are free" if spare else ""
    work.note(f"read back: the {title}'s figures are as planned{more}")


def fields(header: str) -> dict[str, str]:
    """Returns what `debugfs -R "stats -h"` prints, by name."""
    return {name: value.strip() for name, value in _FIELD.findall(header)}


def compare(planned: FilesystemPlan, header: str, *, counted: bool = True) -> list[str]:
    """Returns how a superblock, as `debugfs` prints it, differs from the plan.

    More free blocks than planned are not a difference: the plan promises a least figure, and a
    large file that finds its blocks in one piece needs fewer for its extents.

    Args:
        planned: The file system.
        header: What was printed.
        counted: Whether what is free is planned; what an installer adds in a virtual machine is
            not.
    """
    seen = fields(header)
    wanted = {
        "Filesystem volume name": planned.label or "<none>",
        "Filesystem UUID": planned.uuid.lower(),
        "Filesystem state": "clean",
        "Block size": str(planned.block_size),
        "Block count": str(planned.blocks),
        "Inode count": str(planned.inodes),
    }
    if counted:
        wanted["Free inodes"] = str(planned.free_inodes)
    differences = [
        f"{name} is {seen.get(name)}, planned {value}"
        for name, value in wanted.items()
        if seen.get(name) != value
    ]
    if not counted:
        return differences
    # The plan assumes that every large file meets the file system's own blocks on its way.
    least = planned.free_bytes // planned.block_size
    layout: ExtLayout = planned.layout
    most = least + taken_blocks(layout.need, layout.geometry) - layout.need.blocks
    free = int(seen.get("Free blocks", "-1"))
    if not least <= free <= most:
        differences.append(f"Free blocks is {free}, planned {least} to {most}")
    return differences
