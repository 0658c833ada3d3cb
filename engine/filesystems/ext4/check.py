"""Holds the superblock of an ext file system, as debugfs shows it, against its plan."""

from __future__ import annotations

import re

from engine.filesystems.driver import FilesystemPlan, Written
from engine.filesystems.ext4.driver import ExtLayout
from engine.filesystems.ext4.solve import taken_blocks

_FIELD = re.compile(r"^([A-Z][A-Za-z ]+):\s+(.*)$", re.MULTILINE)
_FREE = "Free blocks"


def command(image: str, offset: int) -> tuple[str, ...]:
    """See `engine.filesystems.driver.Check.command`.

    dumpe2fs of e2fsprogs 1.47.2 refuses an offset with options; debugfs shows the same fields.
    """
    return ("debugfs", "-R", "stats -h", f"{image}?offset={offset}" if offset else image)


def verdict(written: Written, printed: str) -> tuple[list[str], str]:
    """See `engine.filesystems.driver.Check.verdict`."""
    planned, title = written.planned, written.title
    differences = compare(planned, printed, counted=written.alone)
    if not written.alone:
        return differences, f"the {title} is as planned but for what the installer added"
    free = int(fields(printed).get(_FREE, "0"))
    spare = free - planned.free_bytes // planned.block_size
    more = f", {spare} more blocks are free" if spare else ""
    return differences, f"the {title}'s figures are as planned{more}"


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
    free = int(seen.get(_FREE, "-1"))
    if not least <= free <= most:
        differences.append(f"{_FREE} is {free}, planned {least} to {most}")
    return differences
