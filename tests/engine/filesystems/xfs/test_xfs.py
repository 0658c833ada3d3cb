"""An empty XFS, as xfs_repair, xfs_db, blkid and our own reader see it."""

from __future__ import annotations

import re
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.filesystems import table
from engine.filesystems.driver import DoesNotFit, Request
from engine.filesystems.populate import PopulateFailed
from engine.image.container.disk import RawDisk
from engine.image.reading import Window
from engine.manifest.manifest import Manifest
from tests.engine.filesystems import settling, writing
from tests.support.tools import run_tool

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40


def field(file: Path, place: str, name: str) -> str:
    """Returns a field as xfs_db prints it."""
    argv = ("xfs_db", "-r", "-c", place, "-c", f"print {name}", file)
    told = run_tool(argv, check=True, capture_output=True, text=True).stdout
    return str(told.partition(" = ")[2].strip())


@pytest.mark.parametrize(
    ("size", "sector_size"), [(300 * MIB, 512), (300 * MIB + 4096 + 512, 4096), (GIB, 512)]
)
def test_is_made_to_the_block_as_planned(size: int, sector_size: int, tmp_path: Path) -> None:
    plan = settling.planned("xfs", size, sector_size=sector_size)
    file = settling.made(tmp_path / "xfs", plan)
    run_tool(("xfs_repair", "-n", "-f", file), check=True, capture_output=True)
    assert field(file, "sb 0", "fdblocks") == str(plan.free_bytes // 4096)
    assert field(file, "sb 0", "dblocks") == str(plan.blocks)
    assert field(file, "sb 0", "sectsize") == str(sector_size)
    assert sum(part for _, part in plan.parts) == plan.size <= size
    found = settling.seen(file)
    assert (found.type, found.label, found.uuid) == ("xfs", "a label", writing.UUID)
    assert (found.size, found.free, found.clean) == (plan.size, plan.free_bytes, True)
    assert (settling.tag(file, "UUID"), settling.tag(file, "LABEL")) == (found.uuid, found.label)


def test_is_the_same_every_time(tmp_path: Path) -> None:
    plan = settling.planned("xfs", 300 * MIB)
    first = settling.made(tmp_path / "first", plan)
    time.sleep(0.01)  # mkfs.xfs takes the clock, in nanoseconds
    assert settling.same(first, settling.made(tmp_path / "second", plan))


def test_its_root_is_as_the_contents_have_it(tmp_path: Path) -> None:
    file = settling.made(tmp_path / "xfs", settling.planned("xfs", 300 * MIB))
    inode = f"inode {field(file, 'sb 0', 'rootino')}"
    assert field(file, inode, "core.mode") == "041750"
    assert (field(file, inode, "core.uid"), field(file, inode, "core.gid")) == ("7", "100000")
    assert re.search(r"Dec 31 23:59:55 1969|Jan  1", field(file, inode, "core.mtime.sec"))
    assert field(file, inode, "core.mtime.nsec") == "3"
    assert field(file, inode, "v3.crtime.sec") == "Tue Nov 14 22:13:20 2023"


def test_a_volume_without_contents_and_label(tmp_path: Path) -> None:
    file = settling.made(tmp_path / "xfs", settling.planned("xfs", 300 * MIB, label="", top=None))
    run_tool(("xfs_repair", "-n", "-f", file), check=True, capture_output=True)
    assert settling.seen(file).label == ""


@given(st.integers(300 * MIB, 40 * TIB), st.integers(0, 3 * TIB), st.sampled_from([512, 4096]))
def test_sizes_add_up(size: int, free: int, sector_size: int) -> None:
    request = Request(manifest=Manifest(()), uuid=writing.UUID, sector_size=sector_size, free=free)
    driver = table.DRIVERS["xfs"]
    plan = driver.fit(request, size)
    assert sum(part for _, part in plan.parts) == plan.size
    assert 0 <= size - plan.size < 4096
    sized = driver.least(request)
    assert sized.bytes % MIB == 0
    assert sized.filesystem.free_bytes >= free
    assert sized.bytes == 300 * MIB or driver.fit(request, sized.bytes - MIB).free_bytes < free


def test_what_is_too_small_is_told_with_the_least() -> None:
    with pytest.raises(DoesNotFit, match=f"{300 * MIB:,} at least"):
        settling.planned("xfs", 300 * MIB - 1)


def test_a_large_one_is_as_planned_too(tmp_path: Path) -> None:
    plan = settling.planned("xfs", 5 * TIB)
    file = settling.made(tmp_path / "xfs", plan)
    assert settling.seen(file).free == plan.free_bytes


def test_what_mkfs_is_not_known_to_make_is_refused(tmp_path: Path) -> None:
    plan = settling.planned("xfs", 300 * MIB)
    file = tmp_path / "xfs"
    with file.open("wb") as empty:
        empty.truncate(plan.size)
    with pytest.raises(PopulateFailed, match="no superblock"):
        table.settle(file, plan, 0)
    old = ("mkfs.xfs", "-q", "-f", "-m", "bigtime=0", file)
    run_tool(old, check=True, capture_output=True)
    with pytest.raises(PopulateFailed, match="another form"):
        table.settle(file, plan, 0)


@pytest.mark.parametrize(
    ("at", "value", "says"),
    [(4, b"\0\0\0\7", "blocks of 7 bytes"), (100, b"\0\3", "version 3"), (108, b"x", "checksum"),
     (102, b"\0\1", "sectors of 1 bytes"), (144, b"\xff" * 8, "blocks are free")],
)  # fmt: skip
def test_damage_is_told(at: int, value: bytes, says: str, tmp_path: Path) -> None:
    file = settling.made(tmp_path / "xfs", settling.planned("xfs", 300 * MIB))
    with file.open("r+b") as damaged:
        damaged.seek(at)
        damaged.write(value)
    with RawDisk(file) as disk:
        content, trouble = table.probe(Window(disk, 0, disk.size))
    assert content is None
    assert says in trouble


def test_reads_what_mkfs_makes_by_its_own_choice(tmp_path: Path) -> None:
    file = tmp_path / "xfs"
    with file.open("wb") as empty:
        empty.truncate(400 * MIB)
    options = ("-m", "crc=0,finobt=0", "-b", "size=1024", "-L", "of old")
    run_tool(("mkfs.xfs", "-q", *options, file), check=True, capture_output=True)
    found = settling.seen(file)
    assert (found.label, found.block_size, found.size) == ("of old", 1024, 400 * MIB)
    assert struct.unpack(">I", file.read_bytes()[4:8]) == (1024,)
