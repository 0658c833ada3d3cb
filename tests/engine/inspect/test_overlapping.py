from __future__ import annotations

import struct
from pathlib import Path

from engine.inspect.image import open_image
from engine.inspect.report import image_report
from tests.fuzz import seeds

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
    assert any("its FAT lies where" in finding for finding in report["findings"])
