"""What inspect finds wrong with file systems."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

import pytest

from engine.filesystems.fat.reader import FatFilesystem
from engine.inspect.image import open_image
from engine.inspect.report import image_report
from tests.support.tools import run_tool

MIB = 1 << 20


def findings(image: Path) -> list[str]:
    opened = open_image(image)
    with opened.disk:
        found: list[str] = image_report(opened)["findings"]
        return found


def made(tmp_path: Path, *command: str) -> Path:
    image = tmp_path / "bare.img"
    with image.open("wb") as file:
        file.truncate(64 * MIB)
    subprocess.run([*command, image], check=True, capture_output=True)
    return image


def checked(image: Path) -> str:
    done = run_tool(["fsck.fat", "-n", image], capture_output=True, text=True, check=False)
    return str(done.stdout)


def test_a_sound_file_system_has_no_findings(tmp_path: Path) -> None:
    assert findings(made(tmp_path, "mke2fs", "-q", "-t", "ext4")) == []


def test_a_file_system_larger_than_its_place_is_found_with_the_figures(tmp_path: Path) -> None:
    image = made(tmp_path, "mke2fs", "-q", "-t", "ext4")
    with image.open("r+b") as file:
        file.truncate(63 * MIB)
    (finding,) = findings(image)
    assert f"{64 * MIB:,} bytes is larger than the {63 * MIB:,} bytes" in finding


def test_one_that_was_not_unmounted_is_found(tmp_path: Path) -> None:
    image = made(tmp_path, "mke2fs", "-q", "-t", "ext4")
    run_tool(["debugfs", "-w", "-R", "dirty", image], check=True, capture_output=True)
    assert findings(image) == ["disk: the ext4 file system was not unmounted cleanly"]


def test_fat_tables_past_the_end_are_a_finding(tmp_path: Path) -> None:
    image = made(tmp_path, "mkfs.fat", "-F", "32")
    with image.open("r+b") as file:
        file.truncate(MIB // 8)
    (finding,) = findings(image)
    assert "its tables end at byte" in finding


def test_a_small_fat32_is_read_as_firmware_and_fsck_read_it(tmp_path: Path) -> None:
    image = made(tmp_path, "mkfs.fat", "-F", "32", "-s", "8", "-n", "SMALL", "-i", "2E86A2FE")
    opened = open_image(image)
    with opened.disk:
        filesystem = opened.parts[0].filesystem
        assert isinstance(filesystem, FatFilesystem)
        assert (filesystem.bits, filesystem.label, filesystem.uuid) == (32, "SMALL", "2E86-A2FE")
        used = filesystem.clusters - filesystem.free // filesystem.block_size
        assert f"{used}/{filesystem.clusters} clusters" in checked(image)


def test_more_clusters_than_a_fat_can_have_are_a_finding(tmp_path: Path) -> None:
    image = made(tmp_path, "mkfs.fat", "-F", "32", "-s", "1")
    with image.open("r+b") as file:
        file.seek(32)
        file.write(b"\xff" * 4)
    (finding,) = findings(image)
    assert "clusters are more than any FAT has" in finding


# As Linux marks a mounted FAT (fs/fat/inode.c), and as the specification says others do.
PER_CLUSTER = {12: "128", 16: "2", 32: "1"}
STATE = {12: 0x25, 16: 0x25, 32: 0x41}
TABLE_FLAG = {16: 0x8000, 32: 0x0800_0000}


@pytest.mark.parametrize("bits", STATE)
def test_a_fat_that_linux_did_not_unmount_is_found(tmp_path: Path, bits: int) -> None:
    image = made(tmp_path, "mkfs.fat", "-F", str(bits), "-s", PER_CLUSTER[bits])
    assert findings(image) == []
    assert "Dirty bit" not in checked(image)
    with image.open("r+b") as file:
        file.seek(STATE[bits])
        file.write(b"\x01")
    assert "Dirty bit is set" in checked(image)
    assert findings(image) == ["disk: the vfat file system was not unmounted cleanly"]


@pytest.mark.parametrize("bits", TABLE_FLAG)
def test_a_fat_that_others_did_not_unmount_is_found(tmp_path: Path, bits: int) -> None:
    image = made(tmp_path, "mkfs.fat", "-F", str(bits), "-s", PER_CLUSTER[bits])
    with image.open("r+b") as file:
        (reserved,) = struct.unpack("<H", file.read(16)[14:16])
        at = reserved * 512 + bits // 8
        file.seek(at)
        entry = int.from_bytes(file.read(bits // 8), "little")
        file.seek(at)
        file.write((entry & ~TABLE_FLAG[bits]).to_bytes(bits // 8, "little"))
    unclean, copies = findings(image)
    assert unclean == "disk: the vfat file system was not unmounted cleanly"
    assert "table 2 differs from the first" in copies


PARTITIONS = """label: gpt
1 : start=2048, size=20480, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
2 : start=22528, size=20480, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
"""
MBR = """label: dos
start=2048, size=20480, type=83
start=22528, size=20480, type=83
"""


def partitioned(tmp_path: Path, script: str) -> Path:
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(64 * MIB)
    run_tool(["sfdisk", "-q", image], input=script, text=True, check=True)
    return image


def test_partitions_that_overlap_are_found(tmp_path: Path) -> None:
    image = partitioned(tmp_path, MBR)
    with image.open("r+b") as file:
        file.seek(446 + 16 + 8)
        file.write(struct.pack("<I", 22500))
    assert findings(image) == ["partitions 1 and 2 overlap by 28 sectors"]
    told = run_tool(["sfdisk", "--verify", image], capture_output=True, text=True)
    assert "overlap" in told.stdout + told.stderr


def test_a_partition_past_the_end_of_the_disk_is_found(tmp_path: Path) -> None:
    image = partitioned(tmp_path, PARTITIONS)
    with image.open("r+b") as file:
        file.truncate(16 * MIB)
    assert findings(image) == [
        "the backup GPT is missing",
        "partition 2 ends at sector 43007, past the last of the disk (32767)",
    ]


def test_a_backup_table_that_says_something_else_is_found(tmp_path: Path) -> None:
    image = partitioned(tmp_path, PARTITIONS)
    before = image.read_bytes()[-33 * 512 :]
    run_tool(["sgdisk", "--partition-guid=1:R", image], check=True, capture_output=True)
    with image.open("r+b") as file:
        file.seek(-33 * 512, 2)
        file.write(before)
    assert findings(image) == ["the backup GPT differs from the primary"]
    told = run_tool(["sgdisk", "-v", image], capture_output=True, text=True)
    assert "Backup partition table: ERROR" in told.stderr


def test_a_directory_that_cannot_be_read_is_a_finding_and_the_rest_is_told(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/os-release").write_text("ID=some\n")
    (tree / "boot").mkdir()
    image = made(tmp_path, "mke2fs", "-q", "-t", "ext4", "-b", "4096", "-d", str(tree))
    shown = run_tool(
        ["debugfs", "-R", "blocks /boot", image], capture_output=True, text=True, check=True
    )
    with image.open("r+b") as file:
        file.seek(int(shown.stdout.split()[0]) * 4096 + 4)
        file.write(b"\1\0")
    opened = open_image(image)
    with opened.disk:
        report = image_report(opened)
    (finding,) = report["findings"]
    assert re.fullmatch(r"disk: directory b'boot': block \d+ does not match its checksum", finding)
    assert [system["id"] for system in report["system"]] == ["some"]
