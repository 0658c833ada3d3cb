from __future__ import annotations

import os
import random
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.filesystems.ext4.reader import ExtFilesystem
from engine.filesystems.fat.reader import FatFilesystem
from engine.image.container import BadImage, open_disk
from engine.image.reading import BadFilesystem, Filesystem, Window, contents, walk
from tests.support.folders import below
from tests.support.tools import run_tool

T = TypeVar("T")
UUID = "11111111-2222-3333-4444-555555555555"


def window(path: Path) -> Window:
    disk = open_disk(path)
    return Window(disk, 0, disk.size)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("tree")
    chance = random.Random(3)
    for number in range(300):
        folder = top / f"d{number % 7}" / "deep"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file {number}.txt").write_bytes(chance.randbytes(chance.randrange(20_000)))
    (top / "big").write_bytes(chance.randbytes(3 << 20))
    with (top / "sparse").open("wb") as file:
        for number in range(12):
            file.seek(number << 20)
            file.write(b"x" * 5000)
    (top / ("n" * 255)).write_text("long name")
    (top / "short-link").symlink_to("d1/deep")
    (top / "long-link").symlink_to("y" * 200)
    os.link(top / "big", top / "same")
    (top / "mode").write_text("")
    (top / "mode").chmod(0o4751)
    os.utime(top / "mode", ns=(5, 1_234_567_890_123_456_789))
    os.setxattr(top / "mode", "user.colour", b"green")
    os.setxattr(top / "mode", "user.large", b"L" * 900)
    os.mknod(top / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(top / "wide", stat.S_IFBLK | 0o600, os.makedev(259, 70_000))
    return top


@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4"])
@pytest.mark.parametrize("block", [1024, 4096])
def test_an_ext_file_system_reads_back_as_its_source(
    source: Path, tmp_path: Path, kind: str, block: int
) -> None:
    image = tmp_path / "fs.img"
    run_tool(
        ["mke2fs", "-q", "-t", kind, "-b", str(block), "-U", UUID, "-L", "Label", "-d", source,
         image, "64M"], check=True,
    )  # fmt: skip
    ext = ExtFilesystem(window(image))
    assert (ext.type, ext.label, ext.uuid, ext.clean) == (kind, "Label", UUID, True)
    shown = run_tool(["dumpe2fs", "-h", image], capture_output=True, text=True, check=True)
    free = next(line for line in shown.stdout.splitlines() if line.startswith("Free blocks:"))
    assert ext.free == int(free.split()[-1]) * block

    found = {node.path: node for node in walk(ext)}
    assert found.pop(b"lost+found").mode == stat.S_IFDIR | 0o700
    names = [os.fsencode(p.relative_to(source)) for p in below(source)]
    assert sorted(found) == sorted(names)
    for path, node in found.items():
        real = Path(os.fsdecode(os.fsencode(source) + b"/" + path))
        status = real.lstat()
        assert node.mode == status.st_mode
        assert (node.uid, node.gid) == (status.st_uid, status.st_gid)
        if stat.S_ISREG(node.mode):
            assert node.size == status.st_size
            assert node.links == status.st_nlink
            assert contents(ext, node, 1 << 30) == real.read_bytes()
        if stat.S_ISLNK(node.mode):
            assert node.target == os.fsencode(real.readlink())
        if stat.S_ISCHR(node.mode) or stat.S_ISBLK(node.mode):
            assert node.rdev == status.st_rdev
    marked = found[b"mode"]
    assert marked.mtime_ns // 10**9 == 1_234_567_890
    attributes = {
        name: os.getxattr(source / "mode", name) for name in os.listxattr(source / "mode")
    }
    assert dict(marked.xattrs) == {os.fsencode(n): v for n, v in attributes.items()}
    assert ext.lookup(b"d3/deep/none") is None
    assert ext.lookup(b"big/none") is None


@pytest.mark.parametrize(("bits", "size"), [(12, "2M"), (16, "32M"), (32, "64M")])
def test_a_fat_file_system_reads_back_as_its_source(tmp_path: Path, bits: int, size: str) -> None:
    image = tmp_path / "fat.img"
    subprocess.run(["truncate", "-s", size, image], check=True)
    run_tool(
        ["mkfs.fat", "-F", str(bits), "-n", "ESP", "-i", "2E86A2FE", image],
        check=True, capture_output=True,
    )  # fmt: skip
    files = {
        "EFI/BOOT/BOOTX64.EFI": os.urandom(300_000),
        "loader/entries/a long name, with [brackets].conf": b"title x\n",
        "lower.txt": b"",
        "Ünïcode.dat": b"u" * 5000,
    }
    for name, data in files.items():
        source = tmp_path / "file"
        source.write_bytes(data)
        folders = name.split("/")[:-1]
        for depth in range(1, len(folders) + 1):
            run_tool(
                ["mmd", "-i", image, "-D", "s", "::/" + "/".join(folders[:depth])],
                capture_output=True, check=False,
            )  # fmt: skip
        run_tool(["mcopy", "-i", image, source, f"::/{name}"], check=True)
    fat = FatFilesystem(window(image))
    assert (fat.bits, fat.label, fat.uuid) == (bits, "ESP", "2E86-A2FE")
    regular = {
        node.path.decode(): contents(fat, node, 1 << 20)
        for node in walk(fat)
        if stat.S_ISREG(node.mode)
    }
    assert regular == files
    upper = fat.lookup(b"efi/boot/bootx64.efi")
    assert upper is not None
    assert upper.size == 300_000
    shown = run_tool(
        ["minfo", "-i", image, "::"], capture_output=True, text=True, check=False
    ).stdout
    if bits == 32:
        free = next(line for line in shown.splitlines() if line.startswith("free clusters="))
        assert fat.free == int(free.split("=")[1]) * fat.block_size


@pytest.fixture(scope="module")
def systems(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("systems")
    made = {}
    small = folder / "small"
    small.mkdir()
    (small / "a").mkdir()
    (small / "a/file").write_bytes(b"z" * 9000)
    (small / "link").symlink_to("a/file")
    for kind in ("ext2", "ext4"):
        image = folder / kind
        run_tool(["mke2fs", "-q", "-t", kind, "-b", "1024", "-d", small, image, "512K"], check=True)
        made[kind] = image.read_bytes()
    image = folder / "fat"
    subprocess.run(["truncate", "-s", "256K", image], check=True)
    run_tool(["mkfs.fat", image], check=True, capture_output=True)
    run_tool(["mcopy", "-s", "-i", image, small / "a", "::/"], check=True)
    made["fat"] = image.read_bytes()
    return made


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damage_is_reported_or_read_but_never_crashes_or_hangs(
    systems: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from(sorted(systems)))
    raw = bytearray(systems[kind])
    used = [at for at in range(0, len(raw), 16) if any(raw[at : at + 16])]
    for _ in range(data.draw(st.integers(1, 20))):
        at = data.draw(st.sampled_from(used)) + data.draw(st.integers(0, 15))
        raw[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.fs"
    path.write_bytes(raw)
    view = window(path)
    try:
        filesystem: Filesystem = ExtFilesystem(view) if kind != "fat" else FatFilesystem(view)
        for node in _first(walk(filesystem), 2000):
            for _ in _first(filesystem.data(node), 100):
                pass
    except BadImage:
        pass
    finally:
        view.disk.close()


def _first(items: Iterator[T], most: int) -> Iterator[T]:
    for _, item in zip(range(most), items, strict=False):
        yield item


def test_directories_that_share_a_block_end_the_walk(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("a", "b"):
        (tree / name).mkdir(parents=True)
        (tree / name / "file").write_text(name)
    image = tmp_path / "ext2.img"
    run_tool(["mke2fs", "-q", "-t", "ext2", "-d", tree, image, "1M"], check=True)
    blocks = run_tool(
        ["debugfs", "-R", "blocks /a", image], check=True, capture_output=True, text=True
    ).stdout.split()
    run_tool(
        ["debugfs", "-w", "-R", f"sif /b block[0] {blocks[0]}", image],
        check=True, capture_output=True,
    )  # fmt: skip
    with pytest.raises(BadFilesystem, match="shares a block"):
        list(walk(ExtFilesystem(window(image))))
