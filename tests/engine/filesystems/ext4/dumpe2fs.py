"""What the real mke2fs makes, as e2fsprogs tell it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from engine.filesystems.ext4.geometry import Geometry
from engine.filesystems.ext4.mke2fs import mke2fs_argv
from engine.tools.environment import tool_environment
from tests.support.ext import dumped, place, superblock
from tests.support.tools import run_tool

UUID = "6fd3c1be-8d3a-4f0e-9e55-1d7a4c2b9a10"
OFFSET = 1 << 20


def make(image: Path, layout: Geometry, *, reserved_percent: int = 0) -> None:
    """Makes an empty file system at `OFFSET` of a fresh sparse image."""
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(OFFSET + layout.requested_blocks * layout.block_size)
    argv = mke2fs_argv(
        str(image),
        layout,
        offset=OFFSET,
        uuid=UUID,
        label="root",
        reserved_percent=reserved_percent,
    )
    made = subprocess.run(argv, env=tool_environment(0), capture_output=True, text=True)
    assert (made.returncode, made.stdout.strip(), made.stderr.strip()) == (0, "", "")


def header(image: Path, offset: int = OFFSET) -> dict[str, str]:
    """Returns the fields of the superblock."""
    return superblock(image, offset)


def free(image: Path) -> tuple[int, int]:
    """Returns free blocks and free inodes."""
    fields = header(image)
    return int(fields["Free blocks"]), int(fields["Free inodes"])


def free_pieces(image: Path) -> list[tuple[int, int]]:
    """Returns the runs of free blocks (first, count)."""
    shown = dumped(image, OFFSET, image.with_name("copied out"))
    pieces: list[tuple[int, int]] = []
    for line in re.findall(r"^  Free blocks: (.+)$", shown, re.MULTILINE):
        for text in line.split(", "):
            first, _, last = text.partition("-")
            start, count = int(first), int(last or first) - int(first) + 1
            if pieces and sum(pieces[-1]) == start:
                start, before = pieces.pop()
                count += before
            pieces.append((start, count))
    return pieces


def check(image: Path) -> None:
    """Asserts that e2fsck finds nothing."""
    checked = run_tool(["e2fsck", "-fn", place(image, OFFSET)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
