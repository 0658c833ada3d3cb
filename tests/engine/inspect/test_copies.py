"""A file system whose first superblock is gone is told by a copy, which its own tool takes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.inspect.image import open_image
from engine.inspect.report import image_report
from tests.support.tools import run_tool as tool

MADE: dict[str, tuple[str, tuple[str, ...], int, str]] = {
    "ext2, 1 KiB": ("32M", ("mke2fs", "-q", "-F", "-t", "ext2", "-b", "1024"), 1024, "ext2"),
    "ext3, 2 KiB": ("64M", ("mke2fs", "-q", "-F", "-t", "ext3", "-b", "2048"), 1024, "ext3"),
    "ext4, 4 KiB": ("200M", ("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096"), 1024, "ext4"),
    "sparse_super2": (
        "64M", ("mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-O", "sparse_super2"), 1024,
        "ext4",
    ),
    "bigalloc": (
        "4G", ("mke2fs", "-q", "-F", "-t", "ext4", "-O", "bigalloc", "-C", "65536"), 1024, "ext4",
    ),
    "Btrfs": ("110M", ("mkfs.btrfs", "-q"), 0x10000, "Btrfs"),
    "XFS": ("300M", ("mkfs.xfs", "-q"), 0, "XFS"),
    "FAT32": ("34M", ("mkfs.fat", "-F", "32", "-s", "1"), 0, "FAT"),
}  # fmt: skip
LABELS = {"mkfs.fat": "-n", "mkfs.btrfs": "-L", "mkfs.xfs": "-L", "mke2fs": "-L"}


def run_tool(*argv: str, allowed: tuple[int, ...] = (0,), text: bytes = b"") -> None:
    done = tool(argv, check=False, capture_output=True, input=text)
    assert done.returncode in allowed, done


def made(path: Path, case: str) -> Path:
    size, command, at, _ = MADE[case]
    run_tool("truncate", "-s", size, str(path))
    run_tool(*command, LABELS[command[0]], "KEPT", str(path))
    with path.open("r+b") as file:
        os.pwrite(file.fileno(), bytes(512), at)
    return path


def findings(image: Path) -> list[str]:
    opened = open_image(image)
    with opened.disk:
        return list(image_report(opened)["findings"])


def type_of(image: Path) -> str | None:
    opened = open_image(image)
    with opened.disk:
        content = opened.parts[0].content
        return None if content is None else content.type


REPAIRED: dict[str, Callable[[Path, str], object]] = {
    "e2fsck": lambda image, found: run_tool(
        *found.partition("run ")[2].split(), "-fy", str(image), allowed=(0, 1)
    ),
    "btrfs": lambda image, _: run_tool("btrfs", "rescue", "super-recover", "-y", str(image),
                                       allowed=(0, 2)),
    "xfs_repair,": lambda image, _: run_tool("xfs_repair", str(image)),
    "copy": lambda image, _: run_tool("dd", f"if={image}", f"of={image}", "bs=512", "skip=6",
                                      "count=1", "conv=notrunc"),
}  # fmt: skip


@pytest.mark.parametrize("case", MADE)
def test_the_copy_is_named_and_what_repairs_it_does(case: str, tmp_path: Path) -> None:
    image = made(tmp_path / "fs.img", case)
    (found,) = findings(image)
    assert f'describes {MADE[case][3]} "KEPT" of ' in found
    words = found.partition("to repair it, ")[2].removeprefix("run ").split()
    REPAIRED[words[0]](image, found)
    assert findings(image) == []
    assert type_of(image) is not None


@pytest.mark.parametrize("case", ["ext2, 1 KiB", "Btrfs", "XFS", "FAT32"])
def test_an_old_copy_below_another_file_system_means_nothing(case: str, tmp_path: Path) -> None:
    image = made(tmp_path / "fs.img", case)
    run_tool("mkswap", "-q", str(image))
    assert findings(image) == []


@pytest.mark.parametrize("case", ["ext2, 1 KiB", "Btrfs", "XFS", "FAT32"])
def test_an_old_copy_below_what_is_only_known_by_name_means_nothing(
    case: str, tmp_path: Path
) -> None:
    image = made(tmp_path / "fs.img", case)
    with image.open("r+b") as file:
        os.pwrite(file.fileno(), b"LUKS\xba\xbe\0\2", 0)
    assert findings(image) == []


@pytest.mark.parametrize("case", ["ext4, 4 KiB", "Btrfs", "XFS", "FAT32"])
def test_a_copy_of_what_is_larger_than_its_place_means_nothing(case: str, tmp_path: Path) -> None:
    image = made(tmp_path / "fs.img", case)
    os.truncate(image, image.stat().st_size - 4096)
    assert findings(image) == []


def test_a_copy_in_another_group_than_its_own_means_nothing(tmp_path: Path) -> None:
    image = made(tmp_path / "fs.img", "ext2, 1 KiB")
    with image.open("r+b") as file:
        third = os.pread(file.fileno(), 1024, (1 + 3 * 8192) * 1024)
        for group in range(4):
            os.pwrite(file.fileno(), third if group == 1 else bytes(1024), (1 + group * 8192) << 10)
    assert findings(image) == []


def test_a_damaged_superblock_that_is_there_names_its_copy_too(tmp_path: Path) -> None:
    image = made(tmp_path / "fs.img", "ext4, 4 KiB")
    with image.open("r+b") as file:
        os.pwrite(file.fileno(), b"\x53\xef", 1024 + 0x38)
    (found,) = findings(image)
    assert found.startswith("disk: superblock: ")
    assert "run e2fsck -b 32768 -B 4096" in found


def test_in_a_partition_places_count_from_its_beginning(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    run_tool("truncate", "-s", "40M", str(image))
    run_tool("sfdisk", "-q", str(image), text=b"label: gpt\nstart=2048, size=65536\n")
    filesystem = made(tmp_path / "fs.img", "ext2, 1 KiB")
    with image.open("r+b") as file, filesystem.open("rb") as source:
        file.seek(1 << 20)
        shutil.copyfileobj(source, file)
    (found,) = findings(image)
    assert found.startswith("partition 1: its first superblock")
    assert "at byte 8389632 " in found
