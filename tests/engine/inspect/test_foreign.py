"""What is not read here is named in a sentence, as blkid and the programs that make it do."""

from __future__ import annotations

import json
import random
import re
import struct
import subprocess
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.image.container import BadImage, open_disk
from engine.image.container.disk import RawDisk
from engine.image.identify import Foreign, identify
from engine.image.reading import Window
from engine.image.signatures import SIGNATURES, Signature
from engine.inspect.image import open_image
from engine.inspect.report import image_report
from tests.support.tools import run_tool

MIB = 1 << 20
SIZE = 4 * MIB
BY_MAGIC_ALONE = {
    "LVM1_member", "VMFS_volume_member", "bfs", "ceph_bluestore", "cramfs", "crypto_LUKS",
    "ddf_raid_member", "f2fs", "isw_raid_member", "nss", "oracleasm", "reiser4",
    "squashfs", "squashfs3", "swsuspend", "sysv", "ufs", "vxfs", "xenix",
}  # fmt: skip
"""What blkid of util-linux 2.38 to 2.42 tells by the magic number alone; of others it asks more."""
NOT_SINCE = {"ddf_raid_member": (2, 42), "reiser4": (2, 42)}
"""Versions of util-linux from which blkid asks more of one, too, or no longer knows it."""


def planted(path: Path, test: tuple[tuple[int, bytes], ...]) -> Foreign | None:
    with path.open("wb") as file:
        file.truncate(SIZE)
        for at, magic in test:
            file.seek(at if at >= 0 else SIZE + at)
            file.write(magic)
    return identified(path)


def identified(path: Path) -> Foreign | None:
    with RawDisk(path) as disk:
        return identify(Window(disk, 0, disk.size))


def by_blkid(path: Path) -> str:
    shown = run_tool(["blkid", "-p", "-o", "export", path], capture_output=True, text=True).stdout
    found = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    return str(found.get("TYPE") or found.get("PTTYPE") or "")


def tells_by_magic(key: str) -> bool:
    said = run_tool(["blkid", "-V"], capture_output=True, text=True).stdout
    version = re.search(r"(\d+)\.(\d+)", said)
    assert version, said
    since = NOT_SINCE.get(key)
    return key in BY_MAGIC_ALONE and (since is None or tuple(map(int, version.groups())) < since)


@pytest.mark.parametrize("row", SIGNATURES, ids=lambda row: row.key)
def test_a_magic_number_is_where_blkid_looks_for_it(row: Signature, tmp_path: Path) -> None:
    path = tmp_path / "planted.img"
    for test in row.tests[:: max(len(row.tests) // 4, 1)]:
        found = planted(path, test) if test else None
        if row.holds is None:
            assert found is not None
            assert found.signature.key == row.key
            assert by_blkid(path) in {row.key, ""} | (
                {"bcachefs"} if row.key == "bcache" else set()
            )
            if test == row.tests[0] and tells_by_magic(row.key):
                assert by_blkid(path) == row.key
        elif found is not None:
            assert found.signature.key == row.key


def test_the_rows_tell_what_would_read_each() -> None:
    for row in SIGNATURES:
        assert row.title.split()[0] in {"a", "an", "the"}, row
        assert row.source, row
        assert " " in row.would, row
        assert not row.would.endswith("."), row


MAKERS = {
    "minix": ("mkfs.minix", "{}"),
    "bfs": ("mkfs.bfs", "{}"),
    "crypto_LUKS": (
        "cryptsetup", "luksFormat", "--batch-mode", "--type", "luks1", "--pbkdf-force-iterations",
        "1000", "--key-file", "{key}", "{}",
    ),
    "sun": ("sfdisk", "-q", "{}", "label: sun\n,\n"),
    "sgi": ("sfdisk", "-q", "{}", "label: sgi\n,\n"),
    "mac": ("parted", "-s", "{}", "mklabel", "mac"),
    "bsd": ("parted", "-s", "{}", "mklabel", "bsd"),
    "amiga": ("parted", "-s", "{}", "mklabel", "amiga"),
}  # fmt: skip


@pytest.mark.parametrize("key", MAKERS)
def test_what_others_make_is_named_by_every_verb(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, secret = tmp_path / "made.img", tmp_path / "key"
    secret.write_bytes(b"a key of some bytes")
    with image.open("wb") as file:
        file.truncate(24 * MIB)
    *command, last = MAKERS[key]
    script = last if "\n" in last else None
    command += [] if script else [last]
    argv = [part.replace("{key}", str(secret)).replace("{}", str(image)) for part in command]
    subprocess.run(argv, input=script or "", text=True, check=True, capture_output=True)

    found = identified(image)
    assert found is not None
    assert found.signature.key == key
    assert main(["inspect", str(image)]) == 0
    shown = capsys.readouterr().out
    assert found.sentence in shown
    assert "which is not read here" in shown
    assert "no file system known here" not in shown
    assert main(["inspect", str(image), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["foreign"]["type"] == key
    for verb in (
        ["inspect", str(image), "/"],
        ["import", str(image), "-o", str(tmp_path / "spec")],
    ):
        assert main(verb) == 2
        assert found.signature.title in capsys.readouterr().err
    other = tmp_path / "other.img"
    other.write_bytes(image.read_bytes()[:-MIB] + bytes([1]) * MIB)
    assert main(["diff", str(image), str(other)]) == 3
    assert found.signature.title in capsys.readouterr().out


def test_a_partition_is_named_with_its_label(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(16 * MIB)
    run_tool(["sfdisk", "-q", image], input="label: gpt\nsize=8M\nsize=4M\n", text=True, check=True)
    with image.open("r+b") as file:
        file.seek(MIB)
        file.write(b"XFSB")
        file.seek(MIB + 32)
        file.write(bytes(range(16)))
        file.seek(MIB + 108)
        file.write(b"a \x1b[1mlabel")
    with RawDisk(image) as disk:
        found = identify(Window(disk, MIB, 8 * MIB))
    assert found is not None
    assert found.what == (
        'an XFS file system "a \\x1b[1mlabel" 00010203-0405-0607-0809-0a0b0c0d0e0f'
    )


def test_a_hybrid_image_is_told_to_be_a_cd_as_well(tmp_path: Path) -> None:
    image = tmp_path / "hybrid.iso"
    with image.open("wb") as file:
        file.truncate(16 * MIB)
        file.seek(0x8001)
        file.write(b"CD001")
    run_tool(
        ["sfdisk", "-q", image], input="label: dos\nstart=2048,type=83\n", text=True, check=True
    )
    opened = open_image(image)
    with opened.disk:
        findings = image_report(opened)["findings"]
    assert any("as a whole is an ISO 9660 file system" in finding for finding in findings)


@pytest.mark.parametrize("size", [0, 1, 511, 512, 4095, 5000, 70_000])
def test_nothing_is_known_of_zeros_and_noise(tmp_path: Path, size: int) -> None:
    path = tmp_path / "noise"
    for data in (bytes(size), b"\xff" * size, random.Random(size).randbytes(size)):
        path.write_bytes(data)
        assert identified(path) is None


def made_raid(path: Path, at: int, raw: bytes) -> None:
    with path.open("wb") as file:
        file.truncate(SIZE)
        file.seek(at)
        file.write(raw)


@pytest.mark.parametrize(
    ("at", "raw"),
    [
        (SIZE - 65536, b"\xfc\x4e\x2b\xa9"),
        (SIZE - 65536, b"\xa9\x2b\x4e\xfc"),
        ((SIZE // 512 - 16 & ~7) * 512, b"\xfc\x4e\x2b\xa9\1\0\0\0"),
        (0, b"\xfc\x4e\x2b\xa9\1\0\0\0"),
        (4096, b"\xfc\x4e\x2b\xa9\1\0\0\0"),
    ],
)
def test_raid_members_of_every_version(tmp_path: Path, at: int, raw: bytes) -> None:
    path = tmp_path / "member"
    made_raid(path, at, raw)
    found = identified(path)
    assert found is not None
    assert found.signature.key == "linux_raid_member"


def test_a_zfs_label_needs_more_than_one_uberblock(tmp_path: Path) -> None:
    path = tmp_path / "pool"
    for count, known in ((1, False), (4, True)):
        with path.open("wb") as file:
            file.truncate(SIZE)
            for number in range(count):
                file.seek((128 + number) << 10)
                file.write(struct.pack("<Q", 0x00BAB10C))
        assert (identified(path) is not None) == known


CONTAINERS = {
    "qcow2 overlay": (
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", "{}"],
        'holds only what changed against another, "base.raw"',
    ),
    "qcow2 data file": (
        ["qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file=apart.raw", "{}", "4M"],
        'whose data is in "apart.raw"',
    ),
    "qcow2 subclusters": (
        ["qemu-img", "create", "-q", "-f", "qcow2", "-o", "extended_l2=on", "{}", "4M"],
        "with subclusters",
    ),
    "qcow": (["qemu-img", "create", "-q", "-f", "qcow", "{}", "4M"], "of the original qcow format"),
    "parallels": (["qemu-img", "create", "-q", "-f", "parallels", "{}", "4M"], "a Parallels image"),
    "vmdk overlay": (
        ["qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", "{}", "4M"],
        "the description of a VMDK image",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_that_is_not_whole_or_not_read_is_named(tmp_path: Path, name: str) -> None:
    argv, words = CONTAINERS[name]
    (tmp_path / "base.raw").write_bytes(bytes(MIB))
    image = tmp_path / "made.image"
    subprocess.run(
        [part.replace("{}", str(image)) for part in argv], cwd=tmp_path, check=True,
        capture_output=True,
    )  # fmt: skip
    with pytest.raises(BadImage, match=r"made\.image is ") as refused:
        open_disk(image)
    assert words in str(refused.value)


MAGICS = {
    "encrypted qcow2": (
        b"QFI\xfb\0\0\0\3" + bytes(24) + b"\0\0\0\2" + bytes(600),
        "is an encrypted",
    ),
    "ewf": (b"EVF\x09\x0d\x0a\xff\x00" + bytes(600), "is an EWF (EnCase) image: export it"),
    "dmg": (bytes(4096) + b"koly" + bytes(508), "is an Apple disk image (DMG): convert it"),
    "lz4": (b"\x04\x22\x4d\x18" + bytes(600), "is compressed by lz4: unpack it"),
    "pzstd": (b"\x50\x2a\x4d\x18" + bytes(600), "is compressed by zstd: unpack it"),
    "sparse": (b"\x3a\xff\x26\xed" + bytes(600), "is an Android sparse image: convert it"),
    "zip": (b"PK\x03\x04" + bytes(600), "is a zip archive: take the image out"),
}


@pytest.mark.parametrize("name", MAGICS)
def test_a_file_that_holds_a_disk_is_named_by_its_first_bytes(tmp_path: Path, name: str) -> None:
    data, words = MAGICS[name]
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(BadImage) as refused:
        open_disk(path)
    assert words in str(refused.value)


def vhd(tmp_path: Path, *options: str) -> Path:
    path = tmp_path / "disk.vhd"
    run_tool(["qemu-img", "create", "-q", "-f", "vpc", *options, path, "8M"], check=True)
    return path


def summed(raw: bytearray, at: int) -> None:
    raw[at : at + 4] = bytes(4)
    raw[at : at + 4] = struct.pack(">I", ~sum(raw) & 0xFFFF_FFFF)


def test_a_differencing_vhd_names_its_parent(tmp_path: Path) -> None:
    path = vhd(tmp_path)
    data = bytearray(path.read_bytes())
    for start in (0, len(data) - 512):
        footer = data[start : start + 512]
        footer[60:64] = struct.pack(">I", 4)
        summed(footer, 64)
        data[start : start + 512] = footer
    data[512 + 64 : 512 + 64 + 20] = "parent.vhd".encode("utf-16-be")
    path.write_bytes(data)
    with pytest.raises(BadImage, match=r'differencing VHD, .* its parent "parent.vhd": merge'):
        open_disk(path)


@pytest.mark.parametrize("options", [(), ("-o", "subformat=fixed")])
def test_a_vhd_footer_is_held_to_its_checksum(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = vhd(tmp_path, *options)
    with open_disk(path) as disk:
        assert disk.findings == ()
    at = path.stat().st_size - 512 + 67
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0xFF]))
    with open_disk(path) as disk:
        assert "does not match its checksum" in disk.findings[0]


def test_a_differencing_vdi_is_named(tmp_path: Path) -> None:
    path = tmp_path / "disk.vdi"
    run_tool(["qemu-img", "create", "-q", "-f", "vdi", path, "4M"], check=True)
    with path.open("r+b") as file:
        file.seek(0x4C)
        file.write(struct.pack("<I", 4))
    with pytest.raises(BadImage, match=r"differencing VDI.*VBoxManage"):
        open_disk(path)
