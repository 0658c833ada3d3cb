"""Makes an empty file system by its own program and settles it, as a build does."""

from __future__ import annotations

import stat
from pathlib import Path

from engine.filesystems import table
from engine.filesystems.driver import FilesystemPlan, Request
from engine.image.container.disk import RawDisk
from engine.image.reading import Content, Window
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from tests.engine.filesystems import writing
from tests.support.tools import run_tool

SECOND = 10**9
TOP = Entry(b"", stat.S_IFDIR | 0o1750, uid=7, gid=100_000, mtime_ns=-5 * SECOND + 3)


def planned(
    key: str, size: int, *, label: str = "a label", sector_size: int = 512, top: Entry | None = TOP
) -> FilesystemPlan:
    """Returns a file system of so many bytes."""
    request = Request(
        manifest=Manifest([top] if top else ()),
        label=label,
        uuid=writing.UUID,
        sector_size=sector_size,
    )
    return table.DRIVERS[key].fit(request, size)


def made(file: Path, plan: FilesystemPlan) -> Path:
    """Makes it in a file of its own."""
    file.unlink(missing_ok=True)
    with file.open("xb") as empty:
        empty.truncate(plan.size)
    for argv in table.DRIVERS[plan.type].make(plan, "image", 0, str(file)):
        run_tool(argv, check=True, capture_output=True)
    table.settle(file, plan, writing.EPOCH)
    return file


def seen(file: Path) -> Content:
    """Returns what our reader finds."""
    with RawDisk(file) as disk:
        content, trouble = table.probe(Window(disk, 0, disk.size))
    assert content is not None, trouble
    return content


def tag(file: Path, name: str) -> str:
    """Returns what blkid calls a tag of it."""
    argv = ("blkid", "-p", "-o", "value", "-s", name, file)
    return str(run_tool(argv, check=True, capture_output=True, text=True).stdout.strip())


def same(one: Path, other: Path) -> bool:
    """Whether two files are equal, as cmp(1) sees it."""
    return run_tool(("cmp", "-s", one, other)).returncode == 0
