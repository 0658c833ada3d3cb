"""What inspect finds wrong with file systems."""

from __future__ import annotations

import subprocess
from pathlib import Path

from engine.inspect.image import open_image
from engine.inspect.report import image_report

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


def test_a_sound_file_system_has_no_findings(tmp_path: Path) -> None:
    assert findings(made(tmp_path, "mke2fs", "-q", "-t", "ext4")) == []


def test_a_file_system_larger_than_its_place_is_found_with_the_figures(tmp_path: Path) -> None:
    image = made(tmp_path, "mke2fs", "-q", "-t", "ext4")
    with image.open("r+b") as file:
        file.truncate(63 * MIB)
    (finding,) = findings(image)
    assert f"{64 * MIB} bytes is larger than the {63 * MIB} bytes" in finding


def test_one_that_was_not_unmounted_is_found(tmp_path: Path) -> None:
    image = made(tmp_path, "mke2fs", "-q", "-t", "ext4")
    subprocess.run(["debugfs", "-w", "-R", "dirty", image], check=True, capture_output=True)
    assert findings(image) == ["disk: the ext4 file system was not unmounted cleanly"]


def test_fat_tables_past_the_end_are_a_finding(tmp_path: Path) -> None:
    image = made(tmp_path, "mkfs.fat", "-F", "32")
    with image.open("r+b") as file:
        file.truncate(MIB // 8)
    (finding,) = findings(image)
    assert "its tables end at byte" in finding
