from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.image.container import BadImage, open_disk
from engine.image.table import Table, read_table
from tests.support.disks import disk_of_4096
from tests.support.tools import run_tool

GPT = """label: gpt
label-id: 97FD5997-D90B-4AA3-8D16-0C1723AEA73C
first-lba: 34
1 : start=16384, size=65536, type=uefi, uuid=1C06F03B-704E-4657-B9CD-681A087A2FDC, name=ESP
2 : start=34, size=2014, type=21686148-6449-6E6F-744E-656564454649, name="no fs"
3 : start=81920, size=40000, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
"""
MBR = """label: dos
label-id: 0x4e49584f
start=2048, size=20480, type=83, bootable
start=22528, size=40960, type=5
start=24576, size=4096, type=82
start=30720, size=4096, type=83
"""


def made(tmp_path: Path, script: str) -> Path:
    image = tmp_path / "table.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    run_tool(["sfdisk", "-q", image], input=script, text=True, check=True)
    return image


def table_of(image: Path) -> Table:
    with open_disk(image) as disk:
        return read_table(disk)


def test_a_gpt_is_read_as_sfdisk_wrote_it(tmp_path: Path) -> None:
    table = table_of(made(tmp_path, GPT))
    assert (table.kind, table.guid) == ("gpt", "97FD5997-D90B-4AA3-8D16-0C1723AEA73C")
    assert table.findings == ()
    assert [(p.number, p.start, p.sectors, p.name) for p in table.partitions] == [
        (1, 16384, 65536, "ESP"),
        (2, 34, 2014, "no fs"),
        (3, 81920, 40000, ""),
    ]
    assert table.partitions[0].guid == "1C06F03B-704E-4657-B9CD-681A087A2FDC"


def test_an_mbr_with_logical_partitions_is_read_as_sfdisk_wrote_it(tmp_path: Path) -> None:
    table = table_of(made(tmp_path, MBR))
    assert (table.kind, table.signature, table.findings) == ("mbr", "0x4e49584f", ())
    assert [(p.number, p.start, p.sectors, p.type, p.active) for p in table.partitions] == [
        (1, 2048, 20480, "0x83", True),
        (2, 22528, 40960, "0x05", False),
        (5, 24576, 4096, "0x82", False),
        (6, 30720, 4096, "0x83", False),
    ]


def test_a_grown_image_has_its_backup_in_the_wrong_place(tmp_path: Path) -> None:
    image = made(tmp_path, GPT)
    with image.open("r+b") as file:
        file.truncate(80 << 20)
    (finding,) = table_of(image).findings
    assert finding == ("the backup GPT is at sector 131071, not in the last sector (163839)")


@pytest.mark.parametrize(
    ("at", "finding"),
    [
        (-512, "the backup GPT is missing"),
        (512, "the primary GPT is missing; this is its backup"),
        (512 + 60, "the primary GPT header's checksum is wrong"),
        (1024 + 40, "the primary GPT's entries do not match their checksum"),
        (510, "there is no protective MBR"),
    ],
)
def test_damage_is_named(tmp_path: Path, at: int, finding: str) -> None:
    image = made(tmp_path, GPT)
    raw = bytearray(image.read_bytes())
    raw[at] ^= 0xFF
    image.write_bytes(raw)
    assert finding in table_of(image).findings


def test_a_bare_file_system_has_no_table(tmp_path: Path) -> None:
    image = tmp_path / "fat.img"
    subprocess.run(["truncate", "-s", "64M", image], check=True)
    run_tool(["mkfs.fat", image], check=True, capture_output=True)
    assert table_of(image).kind == "none"


@settings(max_examples=200, deadline=None)
@given(script=st.sampled_from([GPT, MBR]), data=st.data())
def test_damaged_tables_never_crash(
    script: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / f"tables-{len(script)}"
    folder.mkdir(exist_ok=True)
    image = folder / "table.img"
    if not image.exists():
        made(folder, script)
    area = 17 * 1024
    with image.open("rb") as file:
        original = file.read(area)
    raw = bytearray(original)
    for _ in range(data.draw(st.integers(1, 10))):
        raw[data.draw(st.integers(440, 2047))] = data.draw(st.integers(0, 255))
    try:
        with image.open("r+b") as file:
            file.write(raw)
        table_of(image)
    except BadImage:
        pass
    finally:
        with image.open("r+b") as file:
            file.write(original)


def pttype(image: Path) -> str:
    shown = run_tool(["blkid", "-p", "-o", "value", "-s", "PTTYPE", image], capture_output=True)
    return str(shown.stdout.decode().strip())


@pytest.mark.parametrize("size", [1 << 20, 1024, 512])
def test_an_mbr_of_a_disk_that_was_cut_off_is_read_and_told(tmp_path: Path, size: int) -> None:
    image = made(tmp_path, "label: dos\nstart=2048,size=100000,type=83\n")
    with image.open("r+b") as file:
        file.truncate(size)
    table = table_of(image)
    assert [(p.number, p.start, p.sectors) for p in table.partitions] == [(1, 2048, 100000)]
    (finding,) = table.findings
    assert finding == (
        f"partition 1 ends at sector 102047, past the last of the disk ({size // 512 - 1})"
    )
    assert size < 1 << 20 or pttype(image) == "dos"


def patched(image: Path, *changes: tuple[int, bytes]) -> Path:
    with image.open("r+b") as file:
        for at, data in changes:
            file.seek(at if at >= 0 else image.stat().st_size + at)
            file.write(data)
    return image


def test_a_gpt_counts_only_behind_a_protective_mbr(tmp_path: Path) -> None:
    image = patched(made(tmp_path, GPT), (450, b"\x83"))
    table = table_of(image)
    assert (table.kind, pttype(image)) == ("mbr", "dos")
    assert "no protective entry" in table.findings[0]


def test_the_backup_counts_where_the_primary_is_damaged(tmp_path: Path) -> None:
    image = made(tmp_path, GPT)
    whole, sound = image.read_bytes(), table_of(image)
    for at in (512 + 24, 512 + 72, 1024 + 40, 512 + 56):
        image.write_bytes(whole)
        table = table_of(patched(image, (at, b"\x99")))
        assert table.partitions == sound.partitions
        assert any("does not match" in x or "do not match" in x or "wrong" in x or "entries" in x
                   for x in table.findings)  # fmt: skip
        assert "the partitions are those of the backup GPT, which is sound" in table.findings


def test_a_protective_mbr_without_its_gpt_is_told(tmp_path: Path) -> None:
    image = patched(made(tmp_path, GPT), (512, bytes(512)), (-512, bytes(512)))
    table = table_of(image)
    assert table.kind == "mbr"
    assert "the table is lost" in table.findings[0]


@pytest.mark.parametrize("count", [1, 4, 56, 256, 1024])
def test_gpts_of_other_numbers_of_entries(tmp_path: Path, count: int) -> None:
    script = f"label: gpt\ntable-length: {count}\nstart=4096,size=2048\n"
    table = table_of(made(tmp_path, script))
    assert (table.kind, len(table.partitions), table.findings) == ("gpt", 1, ())


def test_the_boot_sector_of_a_file_system_is_not_a_table(tmp_path: Path) -> None:
    image = made(tmp_path, "label: dos\nstart=2048,size=20480,type=83\n")
    for name in (b"NTFS    ", b"EXFAT   ", b"-FVE-FS-"):
        assert table_of(patched(image, (3, name))).kind == "none"


@pytest.mark.parametrize("sector", [512, 4096])
def test_the_sectors_of_an_mbr_are_known_by_what_is_in_its_partitions(
    tmp_path: Path, sector: int
) -> None:
    image = disk_of_4096(tmp_path / "disk.img", label="msdos")
    assert table_of(image).sector_size == 512  # nothing tells
    with image.open("r+b") as file:
        file.seek(1280 * sector + 1080)
        file.write(b"\x53\xef")
    assert table_of(image).sector_size == sector


def test_logical_partitions_of_4096_byte_sectors_are_found(tmp_path: Path) -> None:
    image = disk_of_4096(tmp_path / "disk.img", label="msdos", logical=True)
    table = table_of(image)
    assert (table.sector_size, table.findings) == (4096, ())
    assert [(p.number, p.start) for p in table.partitions] == [(1, 256), (2, 1280), (5, 1536)]
