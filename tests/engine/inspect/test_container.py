from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.image.container import BadImage, open_disk
from engine.image.container.disk import RawDisk
from tests.support.tools import run_tool

SIZE = 24 << 20
FORMATS = {
    "raw": ("raw",),
    "qcow2": ("qcow2",),
    "qcow2, small clusters": ("qcow2", "-o", "cluster_size=512"),
    "qcow2, zlib": ("qcow2", "-c"),
    "qcow2, zstd": ("qcow2", "-c", "-o", "compression_type=zstd"),
    "qcow2, version 2": ("qcow2", "-o", "compat=0.10"),
    "vdi": ("vdi",),
    "vdi, fixed": ("vdi", "-o", "static=on"),
    "vhd": ("vpc", "-o", "force_size=on"),
    "vhd, fixed": ("vpc", "-o", "subformat=fixed,force_size=on"),
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("containers")
    raw = folder / "source.img"
    chance = random.Random(7)
    with raw.open("wb") as file:
        file.truncate(SIZE)
        for _ in range(40):
            file.seek(chance.randrange(SIZE - 70_000))
            file.write(chance.randbytes(chance.randrange(1, 70_000)))
    made = {"source": raw}
    for name, (kind, *options) in FORMATS.items():
        made[name] = folder / f"{name}.image"
        run_tool(
            ["qemu-img", "convert", "-O", kind, *options, str(raw), str(made[name])], check=True
        )
    return made


@pytest.mark.parametrize("open_it", [open_disk, RawDisk])
def test_what_is_no_file_is_refused_at_once(
    tmp_path: Path, open_it: Callable[[Path], object]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(BadImage, match=r"neither a file nor a disk|is a folder, not an image"):
            open_it(path)


@pytest.mark.parametrize("name", FORMATS)
def test_every_container_reads_as_the_disk_it_was_made_from(
    images: dict[str, Path], name: str
) -> None:
    expected = images["source"].read_bytes()
    with open_disk(images[name]) as disk:
        assert disk.size == SIZE
        assert disk.read(0, SIZE) == expected
        assert disk.read(123_457, 300_001) == expected[123_457 : 123_457 + 300_001]
        rest = bytearray(expected)
        last = 0
        for offset, length in disk.allocated():
            assert offset >= last
            rest[offset : offset + length] = bytes(length)
            last = offset + length
        assert last <= SIZE
        assert not any(rest), "data outside the allocated ranges"


def test_reading_outside_the_disk_is_refused_with_the_numbers(images: dict[str, Path]) -> None:
    with open_disk(images["qcow2"]) as disk, pytest.raises(BadImage, match=f"{SIZE:,}"):
        disk.read(SIZE - 1, 2)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_headers_are_refused_or_read_but_never_crash(
    images: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from([name for name in FORMATS if name != "raw"]))
    content = bytearray(images[name].read_bytes()[: 1 << 20])
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, 2047) | st.integers(len(content) - 512, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.image"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        with open_disk(path) as disk:
            disk.read(0, min(disk.size, 1 << 16))
            for _, _ in zip(range(100), disk.allocated(), strict=False):
                pass
    except BadImage:
        pass


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("zstd -q -k disk", "disk.zst is compressed by zstd: unpack it with `zstd -d {}"),
        ("xz -k disk", "disk.xz is compressed by xz: unpack it with `xz -dk {}"),
        ("gzip -k disk", "disk.gz is compressed by gzip: unpack it with `gzip -dk {}"),
        ("qemu-img convert -O vmdk disk disk.vmdk", "disk.vmdk is a VMDK image: convert it with `"),
        (
            "qemu-img convert -O vmdk -o subformat=streamOptimized disk disk.vmdk",
            "disk.vmdk is a VMDK image: convert it with `qemu-img convert -O raw {}",
        ),
        ("qemu-img convert -O vhdx disk disk.vhdx", "disk.vhdx is a VHDX image: convert it with `"),
        ("qemu-img convert -O qed disk disk.qed", "disk.qed is a QED image: convert it with `"),
        ("tar -cf disk.ova machine.ovf disk", "disk.ova is an OVA, a machine with its disk in a"),
        ("tar -czf disk.tar.gz disk.raw", "disk.tar.gz is an image for Google Compute Engine"),
        (
            "tar -czf other.tar.gz disk",
            "other.tar.gz is a tar archive compressed by gzip: unpack it with `tar",
        ),
    ],
)
def test_what_holds_a_disk_in_another_way_is_named_with_the_command_that_makes_one(
    tmp_path: Path, command: str, words: str
) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "disk").write_bytes(random.Random(1).randbytes(1 << 20))
    (folder / "disk.raw").write_bytes((folder / "disk").read_bytes())
    (folder / "machine.ovf").write_text("<Envelope/>")
    before = set(folder.iterdir())
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    (made,) = set(folder.iterdir()) - before
    with pytest.raises(BadImage) as refused:
        open_disk(made)
    assert words.replace("{}", f"'{made}'") in str(refused.value)
    (folder / "disk").unlink()
    shown = re.findall("`([^`]+)`", str(refused.value))
    if made.suffix != ".ova":  # of which one that was built is tried, in tests/e2e
        subprocess.run(shown[0], shell=True, cwd=tmp_path, check=True, capture_output=True)


def test_what_goes_through_an_image_without_end_is_given_up(images: dict[str, Path]) -> None:
    with open_disk(images["qcow2"]) as disk:
        with disk.at_most(1 << 20):
            for _ in range(600):
                disk.read(0, 512)
            with pytest.raises(BadImage, match="gave up"):
                disk.read(0, 1 << 18)
        with disk.at_most(1 << 20), pytest.raises(BadImage, match="gave up"):
            disk.read(0, 1 << 20)
        disk.read(0, SIZE)


@pytest.mark.parametrize("name", ["qcow2", "qcow2, small clusters", "vdi", "vhd"])
def test_a_container_cut_short_is_not_read_as_zeros(
    images: dict[str, Path], tmp_path: Path, name: str
) -> None:
    path = tmp_path / "cut.image"
    data = images[name].read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with open_disk(path) as disk:
        with pytest.raises(BadImage, match="cut short"):
            disk.read(0, SIZE)
        with pytest.raises(BadImage, match="cut short"):
            list(disk.allocated())


def test_clusters_that_share_a_place_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "shared.qcow2"
    run_tool(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=64k", path, "512M"],
        check=True,
    )
    subprocess.run(["qemu-io", "-c", "write -P 7 0 64k", path], check=True, capture_output=True)
    data = bytearray(path.read_bytes())
    first = int.from_bytes(data[40:48], "big")
    second = int.from_bytes(data[first : first + 8], "big") & ((1 << 56) - 512)
    # Every entry of the level 2 table is the first one: 512 MiB in a file of some KiB.
    data[second : second + 65536] = data[second : second + 8] * 8192
    path.write_bytes(data)

    with open_disk(path) as disk:
        assert disk.read((512 << 20) - 1, 1) == b"\7"
        with pytest.raises(BadImage, match="8 clusters of 65536 bytes do not fit"):
            list(disk.allocated())


def test_a_compressed_cluster_that_is_read_again_is_not_unpacked_again(
    images: dict[str, Path],
) -> None:
    # Tables and data of a file system are read in turns.
    with open_disk(images["qcow2, zlib"]) as disk:
        first, second = list(disk.allocated())[:2]
        with disk.at_most(3 << 20):
            for _ in range(500):
                disk.read(first[0], 512)
                disk.read(second[0], 512)


def test_a_footer_alone_is_an_empty_disk(images: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "footer.image"
    path.write_bytes(images["vhd, fixed"].read_bytes()[-512:][:100])
    with open_disk(path) as disk:
        assert disk.size == 0
        assert list(disk.allocated()) == []
