"""A damaged file system is never called sound: e2fsck and fsck.fat are the judges."""

from __future__ import annotations

import os
import random
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.filesystems.table import examine
from engine.image.container.disk import RawDisk
from engine.inspect.image import open_image
from engine.inspect.report import image_report
from tests.support.tools import run_tool

SIZE = "8M"
EXT = {
    "ext2": ("ext2",),
    "ext2, 1 KiB": ("ext2", "-b", "1024"),
    "ext3": ("ext3", "-b", "1024"),
    "ext4": ("ext4",),
    "ext4, 1 KiB": ("ext4", "-b", "1024"),
    "ext4, 2 KiB, no journal": ("ext4", "-b", "2048", "-O", "^has_journal"),
    "ext4, 8 KiB": ("ext4", "-b", "8192"),
    "ext4, 64 KiB": ("ext4", "-b", "65536"),
    "no checksums": ("ext4", "-b", "1024", "-O", "^metadata_csum,uninit_bg"),
    "uninit_bg on ext2": ("ext2", "-b", "1024", "-O", "uninit_bg"),
    "no flex_bg": ("ext4", "-b", "1024", "-g", "1024", "-O", "^flex_bg,^resize_inode"),
    "meta_bg": ("ext4", "-b", "1024", "-g", "1024", "-O", "meta_bg,^resize_inode"),
    "bigalloc": ("ext4", "-b", "1024", "-O", "bigalloc", "-C", "8192"),
    "inline data": ("ext4", "-O", "inline_data", "-I", "256"),
    "large inodes": ("ext4", "-I", "1024"),
    "quota": ("ext4", "-O", "quota,project", "-I", "256"),
    "orphan file": ("ext4", "-O", "orphan_file"),
    "folded case": ("ext4", "-O", "casefold"),
    "attribute inodes": ("ext4", "-b", "1024", "-O", "ea_inode"),
    "sparse_super2": ("ext4", "-b", "1024", "-O", "sparse_super2,^resize_inode"),
    "checksum seed": ("ext4", "-O", "metadata_csum_seed"),
    "no file types": ("ext2", "-O", "^filetype"),
    "multi-mount": ("ext4", "-O", "mmp"),
    "encryption": ("ext4", "-O", "encrypt"),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("source")
    chance = random.Random(1)
    for name in ("a", "b", "c"):
        (top / name).write_bytes(chance.randbytes(3000))
    (top / "folder").mkdir()
    for number in range(40):
        (top / "folder" / f"{number} with a name that takes room").write_text(str(number))
    (top / "link").symlink_to("t" * 55)
    (top / "long link").symlink_to("t" * 200)
    os.link(top / "a", top / "again")
    os.setxattr(top / "b", "user.note", b"n" * 300)
    with (top / "scattered").open("wb") as file:
        for number in range(30):
            file.seek(number * 16384)
            file.write(b"data")
    return top


def made(path: Path, source: Path, kind: str, *options: str) -> Path:
    run_tool(
        ["mke2fs", "-q", "-F", "-t", kind, *options, "-d", source, path, SIZE],
        check=True, capture_output=True,
    )  # fmt: skip
    return path


def debugfs(image: Path, *commands: str) -> str:
    done = run_tool(
        ["debugfs", "-w", "-f", "-", image], input="\n".join(commands), text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    return str(done.stdout)


def e2fsck(image: Path) -> int:
    return int(run_tool(["e2fsck", "-fn", image], capture_output=True).returncode)


def findings(image: Path) -> list[str]:
    opened = open_image(image)
    with opened.disk:
        return list(image_report(opened)["findings"])


@pytest.mark.parametrize("name", EXT)
def test_what_mke2fs_makes_is_sound(name: str, source: Path, tmp_path: Path) -> None:
    image = made(tmp_path / "fs.img", source, *EXT[name])
    if name == "quota":  # mke2fs 1.47.0 counts them before it copies
        run_tool(["e2fsck", "-fy", image], capture_output=True, check=False)
    assert e2fsck(image) == 0
    opened = open_image(image)
    with opened.disk:
        report = image_report(opened)
    unchecked = {"bigalloc": ["which clusters are in use"], "quota": ["quotas"]}
    assert report["findings"] == []
    assert report["filesystem"]["unchecked"] == unchecked.get(name, [])


DAMAGE: dict[str, tuple[str, tuple[str, ...]]] = {
    "free blocks": ("ext4", ("set_bg 0 free_blocks_count 17",)),
    "free inodes": ("ext2", ("set_bg 0 free_inodes_count 17",)),
    "block bitmap outside": ("ext2", ("set_bg 0 block_bitmap 999999",)),
    "inode bitmap outside": ("ext4", ("set_bg 0 inode_bitmap 1",)),
    "inode table outside": ("ext4, 1 KiB", ("set_bg 0 inode_table 8191",)),
    "two structures in one": ("no flex_bg", ("set_bg 0 inode_bitmap 5", "set_bg 0 block_bitmap 5")),
    "journal cleared": ("ext4", ("clri <8>",)),
    "journal is a folder": ("ext3", ("set_inode_field <8> mode 040755",)),
    "journal not there": ("ext3", ("ssv journal_inum 0",)),
    "link count": ("ext2", ("set_inode_field a links_count 5",)),
    "block count": ("ext4, 1 KiB", ("set_inode_field a blocks 77",)),
    "a block of another": ("ext2, 1 KiB", ("set_inode_field b block[0] {a}",)),
    "the superblock's block": ("ext2, 1 KiB", ("set_inode_field b block[0] 1",)),
    "unattached": ("ext2", ("unlink b",)),
    "not in use": ("ext2", ("freei b",)),
    "marked free": ("ext4, 2 KiB, no journal", ("freeb {a}",)),
    "marked used": ("ext3", ("setb 1900",)),
    "root is a file": ("ext2", ("set_inode_field <2> mode 0100644",)),
    "the wrong parent": ("ext2", ("cd folder", "unlink ..", "ln <12> ..")),
    "extent of nothing": ("ext4, 1 KiB", ("set_inode_field a block[4] 0",)),
    "two names of a folder": ("ext2", ("ln folder other",)),
    "file with another type": ("no checksums", ("set_inode_field a mode 060644",)),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_that_e2fsck_sees_is_found(name: str, source: Path, tmp_path: Path) -> None:
    kind, commands = DAMAGE[name]
    image = made(tmp_path / "fs.img", source, *EXT[kind])
    block = re.findall(r"^\d+", debugfs(image, "bmap a 0"), re.MULTILINE)[-1]
    debugfs(image, *(each.replace("{a}", block) for each in commands))
    assert e2fsck(image) != 0
    assert findings(image)


@pytest.mark.parametrize("command", ["ssv last_orphan 13", "ssv state 3", "ssv state 0"])
def test_what_waits_to_be_put_right_is_told(command: str, source: Path, tmp_path: Path) -> None:
    image = made(tmp_path / "fs.img", source, *EXT["ext4"])
    debugfs(image, command)
    assert findings(image)


def flip(image: Path, at: int, value: int = 0x10) -> None:
    with image.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ value]))


def block_of(image: Path, name: str, index: int = 0) -> int:
    return int(re.findall(r"^\d+", debugfs(image, f"bmap {name} {index}"), re.MULTILINE)[-1])


def inode_at(image: Path, name: str) -> int:
    shown = debugfs(image, f"imap {name}")
    found = re.search(r"located at block (\d+), offset (0x[0-9a-f]+)", shown)
    assert found
    return int(found[1]) * 1024 + int(found[2], 16)


def attributes_at(image: Path) -> int:
    acl = re.search(r"File ACL: (\d+)", debugfs(image, "stat b"))
    assert acl
    return int(acl[1]) * 1024 + 700


def bitmap_at(image: Path, which: str) -> int:
    shown = run_tool(["dumpe2fs", image], capture_output=True, text=True).stdout
    found = re.search(rf"{which} bitmap at (\d+)", shown, re.IGNORECASE)
    assert found
    return int(found[1]) * 1024 + 100


def extents_at(image: Path) -> int:
    shown = debugfs(image, "ex scattered")
    found = re.search(r"^ *0/ *1.*?\d+ - *\d+ +(\d+)", shown, re.MULTILINE)
    assert found
    return int(found[1]) * 1024 + 20


CHECKSUMS: dict[str, Callable[[Path], int]] = {
    "superblock": lambda _: 1024 + 0x78,
    "descriptor": lambda _: 2048 + 0x0C,
    "block bitmap": lambda image: bitmap_at(image, "block"),
    "inode bitmap": lambda image: bitmap_at(image, "inode"),
    "inode": lambda image: inode_at(image, "a") + 4,
    "directory": lambda image: block_of(image, "folder") * 1024 + 60,
    "extents": extents_at,
    "attributes": attributes_at,
}


@pytest.mark.parametrize("what", CHECKSUMS)
def test_a_bit_that_no_checksum_covers_up(what: str, source: Path, tmp_path: Path) -> None:
    image = made(tmp_path / "fs.img", source, *EXT["ext4, 1 KiB"])
    assert findings(image) == []
    flip(image, CHECKSUMS[what](image))
    assert e2fsck(image) != 0
    assert any("match" in each for each in findings(image))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_metadata_changed_anywhere_is_found_where_e2fsck_finds_it(
    data: st.DataObject, source: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    image = tmp_path_factory.getbasetemp() / "fuzzed.img"
    if not image.exists():
        made(image, source, *EXT["ext4, 1 KiB"])
        image.with_suffix(".whole").write_bytes(image.read_bytes())
    whole = image.with_suffix(".whole").read_bytes()
    with RawDisk(image) as _:
        pass
    changed = bytearray(whole)
    nonzero = data.draw(st.integers(1024, 400 * 1024))
    while not changed[nonzero]:
        nonzero = (nonzero + 1) % len(changed)
    changed[nonzero] ^= data.draw(st.integers(1, 255))
    image.write_bytes(changed)
    if nonzero in MAGIC:
        assert_nothing_is_known(image)
    elif e2fsck(image) & ~1:
        assert findings(image), hex(nonzero)


MAGIC = (1024 + 0x38, 1024 + 0x39)


def assert_nothing_is_known(image: Path) -> None:
    opened = open_image(image)
    with opened.disk:
        assert image_report(opened)["filesystem"] is None


@pytest.mark.parametrize("at", MAGIC)
def test_without_its_magic_a_file_system_is_none(at: int, source: Path, tmp_path: Path) -> None:
    image = made(tmp_path / "fs.img", source, *EXT["ext4, 1 KiB"])
    flip(image, at)
    assert e2fsck(image) & ~1
    assert_nothing_is_known(image)


FAT = {
    12: ("mkfs.fat", "-F", "12", "-s", "8"),
    16: ("mkfs.fat", "-F", "16", "-s", "1"),
    32: ("mkfs.fat", "-F", "32", "-s", "1"),
}


def fat(path: Path, bits: int, *options: str) -> Path:
    with path.open("wb") as file:
        file.truncate(40 << 20 if bits == 32 else 12 << 20)
    run_tool([*FAT[bits], "-n", "LABEL", *options, path], check=True, capture_output=True)
    (path.parent / "f").write_bytes(b"A" * 20_000)
    (path.parent / "g").write_bytes(b"B" * 9_000)
    for command in (
        ["mmd", "-i", path, "::D", "::D/E"],
        ["mcopy", "-i", path, path.parent / "f", "::D/E/"],
        ["mcopy", "-i", path, path.parent / "g", "::a name that is long"],
    ):
        run_tool([str(part) for part in command], check=True)
    return path


def fsck(image: Path) -> int:
    return int(run_tool(["fsck.fat", "-n", image], capture_output=True).returncode)


def tables(image: Path) -> tuple[int, int, int]:
    boot = image.read_bytes()[:512]
    sector, _, reserved, _, _, _, _, size = struct.unpack_from("<HBHBHHBH", boot, 11)
    wide = struct.unpack_from("<I", boot, 36)[0]
    return reserved * sector, (size or wide) * sector, 0


@pytest.mark.parametrize("bits", FAT)
def test_what_mkfs_fat_makes_is_sound(bits: int, tmp_path: Path) -> None:
    image = fat(tmp_path / "fat.img", bits)
    assert fsck(image) == 0
    assert findings(image) == []


def put(image: Path, at: int, data: bytes) -> None:
    with image.open("r+b") as file:
        file.seek(at)
        file.write(data)


def entry(image: Path, bits: int, cluster: int, value: int, *, both: bool = True) -> None:
    """Sets an entry of the table, in both copies or the second alone."""
    at, size, _ = tables(image)
    for start in (at, at + size) if both else (at + size,):
        if bits == 12:
            place = start + cluster * 3 // 2
            with image.open("rb") as file:
                file.seek(place)
                pair = int.from_bytes(file.read(2), "little")
            pair = pair & 0xF | value << 4 if cluster % 2 else pair & 0xF000 | value & 0xFFF
            put(image, place, pair.to_bytes(2, "little"))
        else:
            put(image, start + cluster * bits // 8, value.to_bytes(bits // 8, "little"))


FILE = {12: 4, 16: 4, 32: 5}
"""First cluster of a file."""
FAT_DAMAGE: dict[str, Callable[[Path, int], None]] = {
    "copies differ": lambda image, bits: entry(image, bits, 900, 901, both=False),
    "lost cluster": lambda image, bits: entry(image, bits, 900, (1 << min(bits, 28)) - 1),
    "chain to free": lambda image, bits: entry(image, bits, 4, 950),
    "cross link": lambda image, bits: entry(image, bits, 4, 8),
    "chain outside": lambda image, bits: entry(image, bits, 4, (1 << min(bits, 28)) - 20),
    "chain too short": lambda image, bits: entry(image, bits, FILE[bits], (1 << min(bits, 28)) - 1),
}


@pytest.mark.parametrize("bits", FAT)
@pytest.mark.parametrize("name", FAT_DAMAGE)
def test_damage_that_fsck_fat_sees_is_found(name: str, bits: int, tmp_path: Path) -> None:
    image = fat(tmp_path / "fat.img", bits)
    FAT_DAMAGE[name](image, bits)
    assert fsck(image) != 0
    assert findings(image)


@pytest.mark.parametrize(("at", "data"), [(512 + 488, b"\1\0\0\0"), (6 * 512 + 3, b"other")])
def test_the_copies_of_fat32_are_held_against_each_other(
    at: int, data: bytes, tmp_path: Path
) -> None:
    image = fat(tmp_path / "fat.img", 32)
    put(image, at, data)
    shown = run_tool(["fsck.fat", "-n", image], capture_output=True, text=True).stdout
    assert "differences between boot sector" in shown or "summary wrong" in shown
    assert findings(image)


def label_by_blkid(image: Path) -> str:
    shown = run_tool(["blkid", "-p", "-o", "value", "-s", "LABEL", image], capture_output=True)
    return str(shown.stdout.decode("cp437").rstrip("\n"))


def label(image: Path) -> str:
    opened = open_image(image)
    with opened.disk:
        content = opened.parts[0].content
        assert content is not None
        assert examine(content) is not None
        return content.label


@pytest.mark.parametrize("bits", FAT)
def test_a_fat_label_is_what_blkid_takes(bits: int, tmp_path: Path) -> None:
    image = fat(tmp_path / "fat.img", bits)
    raw = image.read_bytes()
    root = raw.index(b"LABEL      \x08")
    for name in (
        b"LABEL      ", b"NO NAME    ", b"\xe5ABEL      ", b"\x05ABEL      ", b"lower case ",
        b"           ",
    ):  # fmt: skip
        put(image, root, name)
        assert label(image) == label_by_blkid(image), name
    put(image, root, b"LABEL      \x28")
    assert label(image) == label_by_blkid(image) == "LABEL"
    put(image, root, b"LABEL      \x18")
    assert label(image) == label_by_blkid(image) == ""
    run_tool([*FAT[bits], image], check=True, capture_output=True)
    assert label(image) == label_by_blkid(image) == ""
