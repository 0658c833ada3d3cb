"""An empty Btrfs, as `btrfs check`, its dumps, blkid and our own reader see it."""

from __future__ import annotations

import re
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


def told(*argv: str | Path) -> str:
    """Returns what `btrfs inspect-internal` prints."""
    command = ("btrfs", "inspect-internal", *argv)
    return str(run_tool(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("size", [109 * MIB, 400 * MIB + 512, 300 * GIB])
def test_is_made_as_planned(size: int, tmp_path: Path) -> None:
    plan = settling.planned("btrfs", size)
    file = settling.made(tmp_path / "btrfs", plan)
    checked = run_tool(("btrfs", "check", "--readonly", file), check=True, capture_output=True)
    assert b"no error found" in checked.stdout
    assert sum(part for _, part in plan.parts) == plan.size <= size
    found = settling.seen(file)
    assert (found.type, found.label, found.uuid) == ("btrfs", "a label", writing.UUID)
    assert (found.size, found.clean) == (plan.size, True)
    assert found.free >= plan.free_bytes
    assert (settling.tag(file, "UUID"), settling.tag(file, "LABEL")) == (found.uuid, found.label)
    supers = told("dump-super", "--all", file)
    copies = sum(at + 4096 <= size for at in (0x10000, 0x4000000, 0x4000000000))
    assert supers.count("[match]") == 3 * copies  # checksum, magic number, metadata's UUID
    assert supers.count(f"fsid\t\t\t{writing.UUID}") == copies


@pytest.mark.parametrize("size", [109 * MIB, 3 * GIB])
def test_free_space_is_that_of_its_block_groups(size: int, tmp_path: Path) -> None:
    file = settling.made(tmp_path / "btrfs", settling.planned("btrfs", size))

    def ranges(tree: str, kind: str) -> list[tuple[int, int]]:
        keys = re.findall(rf"key \((\d+) {kind} (\d+)\)", told("dump-tree", "-t", tree, file))
        return [(int(start), int(start) + int(length)) for start, length in keys]

    groups = ranges("extent", "BLOCK_GROUP_ITEM")
    assert ranges("10", "FREE_SPACE_INFO") == groups
    extents = ranges("10", "FREE_SPACE_EXTENT")
    assert len(extents) >= len(groups)
    assert all(any(a <= start and end <= z for a, z in groups) for start, end in extents)


def test_is_the_same_every_time(tmp_path: Path) -> None:
    plan = settling.planned("btrfs", 109 * MIB)
    first = settling.made(tmp_path / "first", plan)
    assert settling.same(first, settling.made(tmp_path / "second", plan))
    other = settling.planned("btrfs", 109 * MIB, label="another")
    assert not settling.same(first, settling.made(tmp_path / "third", other))


def test_its_top_is_as_the_contents_have_it(tmp_path: Path) -> None:
    file = settling.made(tmp_path / "btrfs", settling.planned("btrfs", 109 * MIB))
    tree = told("dump-tree", "-t", "5", file)
    assert "mode 41750 links 1 uid 7 gid 100000" in tree
    assert "mtime -5.3 (" in tree or "mtime 18446744073709551611.3 (" in tree
    assert "otime 1700000000.0 (2023-11-14 22:13:20)" in tree
    own = told("dump-tree", "-t", "uuid", file)
    (uuid,) = {line.split()[-1] for line in told("dump-tree", "-t", "root", file).splitlines()
               if line.strip().startswith("uuid ") and "00000000-0000" not in line}  # fmt: skip
    halves = bytes.fromhex(uuid.replace("-", ""))
    key = (int.from_bytes(halves[:8], "little"), int.from_bytes(halves[8:], "little"))
    assert f"key (0x{key[0]:016x} UUID_KEY_SUBVOL 0x{key[1]:016x})" in own


def test_a_volume_without_contents_and_label(tmp_path: Path) -> None:
    plan = settling.planned("btrfs", 109 * MIB, label="", top=None)
    file = settling.made(tmp_path / "btrfs", plan)
    run_tool(("btrfs", "check", "--readonly", file), check=True, capture_output=True)
    assert settling.seen(file).label == ""


@given(st.integers(109 * MIB, 40 * TIB), st.integers(0, 3 * TIB))
def test_sizes_add_up(size: int, free: int) -> None:
    request = Request(manifest=Manifest(()), uuid=writing.UUID, free=free)
    driver = table.DRIVERS["btrfs"]
    plan = driver.fit(request, size)
    assert sum(part for _, part in plan.parts) == plan.size
    assert 0 <= size - plan.size < 4096
    sized = driver.least(request)
    assert sized.filesystem.free_bytes >= free
    assert sized.bytes == 109 * MIB or driver.fit(request, sized.bytes - MIB).free_bytes < free


def test_what_is_too_small_is_told_with_the_least(tmp_path: Path) -> None:
    with pytest.raises(DoesNotFit, match=f"{109 * MIB:,} at least"):
        settling.planned("btrfs", 109 * MIB - 1)
    file = tmp_path / "small"
    with file.open("wb") as empty:
        empty.truncate(109 * MIB - 4096)
    refused = run_tool(("mkfs.btrfs", "-q", file), capture_output=True)
    assert b"minimum size for each btrfs device is 114294784" in refused.stderr


def test_what_mkfs_is_not_known_to_make_is_refused(tmp_path: Path) -> None:
    plan = settling.planned("btrfs", 109 * MIB)
    file = tmp_path / "btrfs"
    with file.open("wb") as empty:
        empty.truncate(plan.size)
    with pytest.raises(PopulateFailed, match="no superblock"):
        table.settle(file, plan, 0)


@pytest.mark.parametrize(
    ("at", "value", "says"),
    [(0x12B, b"x", "checksum"), (0xC4, b"\x09", "checksums of kind 9")],
)
def test_damage_is_told(at: int, value: bytes, says: str, tmp_path: Path) -> None:
    file = settling.made(tmp_path / "btrfs", settling.planned("btrfs", 109 * MIB))
    with file.open("r+b") as damaged:
        damaged.seek(0x10000 + at)
        damaged.write(value)
    with RawDisk(file) as disk:
        content, trouble = table.probe(Window(disk, 0, disk.size))
    assert content is None
    assert says in trouble


@pytest.mark.parametrize("checksums", ["xxhash", "sha256", "blake2"])
def test_reads_what_mkfs_makes_by_its_own_choice(checksums: str, tmp_path: Path) -> None:
    file = tmp_path / "btrfs"
    with file.open("wb") as empty:
        empty.truncate(200 * MIB)
    options = ("--csum", checksums, "--mixed", "--label", "mixed")
    run_tool(("mkfs.btrfs", "-q", *options, file), check=True, capture_output=True)
    found = settling.seen(file)
    assert (found.label, found.size) == ("mixed", 200 * MIB)
    assert settling.tag(file, "UUID") == found.uuid
