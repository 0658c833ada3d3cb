from __future__ import annotations

import struct
from pathlib import Path

import pytest

from engine.inspect.extract import extract
from engine.inspect.image import open_image
from engine.inspect.report import image_report
from engine.problem import Refused
from tests.fuzz import seeds
from tests.support.tools import run_tool

FIRST_ENTRY, ENTRY = 1024, 128
FAT_START = 64 * 512


def test_a_table_in_many_partitions_is_not_counted_in_all(tmp_path: Path) -> None:
    disk = bytearray(seeds.gpts(tmp_path)[0])
    struct.pack_into("<H", disk, FAT_START + 22, 300)  # sectors of a table
    entry = disk[FIRST_ENTRY : FIRST_ENTRY + ENTRY]
    for number in range(128):
        place = FIRST_ENTRY + number * ENTRY
        disk[place : place + ENTRY] = entry
    image = tmp_path / "image"
    image.write_bytes(seeds.gpt_sums(bytes(disk)))

    opened = open_image(image)
    with opened.disk:
        found = [part for part in opened.parts if part.filesystem is not None]
        report = image_report(opened)

    assert len(opened.parts) == 128
    assert len(found) == len(disk) // (300 * 512)
    assert any("its FAT is where" in finding for finding in report["findings"])


def test_a_root_that_is_no_directory_is_not_copied(tmp_path: Path) -> None:
    image = tmp_path / "image"
    run_tool(["mke2fs", "-q", image, "1M"], check=True)
    run_tool(
        ["debugfs", "-w", "-R", "sif <2> mode 0100644", image], check=True, capture_output=True
    )
    opened = open_image(image)
    with opened.disk:
        filesystem = opened.parts[0].filesystem
        assert filesystem is not None
        top = filesystem.lookup(b"")
        assert top is not None
        with pytest.raises(Refused, match="neither a file nor a directory"):
            extract(filesystem, top, tmp_path / "copy.tar")
    assert not (tmp_path / "copy.tar").exists()


@pytest.mark.parametrize("dest", ["copy", "copy.tar"])
def test_files_that_share_their_blocks_are_not_all_copied(tmp_path: Path, dest: str) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(100):
        (tree / f"{number:03}").write_text("x")
    image = tmp_path / "image"
    run_tool(["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-d", tree, image, "4M"], check=True)
    # Words 4 and 5 of a map of extents: how many blocks the first one has, and where.
    fields = ("block[4] 1024", "block[5] 0", f"size {4 << 20}")
    changes = [f"sif /{number:03} {field}" for number in range(100) for field in fields]
    run_tool(
        ["debugfs", "-w", "-f", "-", image], input="\n".join(changes), text=True, check=True,
        capture_output=True,
    )  # fmt: skip

    opened = open_image(image)
    with opened.disk:
        filesystem = opened.parts[0].filesystem
        assert filesystem is not None
        top = filesystem.lookup(b"")
        assert top is not None
        found = extract(filesystem, top, tmp_path / dest)

    assert (found.files, found.failed) == (1, 99)
    assert any("they share it" in note for note in found.notes)
