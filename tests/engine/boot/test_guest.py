"""The virtual machine that a NixOS system's own installer runs in: its parts, without a start."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from engine.boot.cpio import newc
from engine.boot.guest import Guest, init, initrd, static_busybox
from engine.boot.installer_mounts import Mount
from engine.boot.modules import Modules
from engine.manifest.memory import file_of
from tests.support.tools import hide_tools, run_tool

FILES = (
    ("bin", stat.S_IFDIR | 0o755, b""),
    ("bin/busybox", stat.S_IFREG | 0o755, b"\x7fELF" * 7),
    ("init", stat.S_IFREG | 0o755, b"#!/bin/busybox sh\n"),
    ("nothing", stat.S_IFREG | 0o600, b""),
)
MOUNTS = (
    Mount("root", 2, "/", "ext4"), Mount("esp", 1, "/boot", "vfat"),
    Mount("nix", 3, "/my nix", "erofs"), Mount("all", 4, "/var/log", "btrfs", "subvol=@log"),
)  # fmt: skip
DEPENDENCIES = """\
kernel/drivers/virtio/virtio.ko.xz:
kernel/drivers/virtio/virtio_ring.ko.xz:
kernel/drivers/block/virtio-blk.ko.xz: kernel/drivers/virtio/virtio_ring.ko.xz \
kernel/drivers/virtio/virtio.ko.xz
kernel/drivers/char/virtio_console.ko.xz: kernel/drivers/virtio/virtio.ko.xz
"""


def unpacked(archive: bytes, folder: Path) -> Path:
    """Unpacks an archive by a tool that is not ours."""
    folder.mkdir()
    argv = ["cpio", "--quiet", "-i", "--no-preserve-owner"]
    subprocess.run(argv, cwd=folder, input=archive, check=True)
    return folder


def test_cpio_reads_what_was_written(tmp_path: Path) -> None:
    archive = newc(FILES)

    root = unpacked(archive, tmp_path / "root")

    assert len(archive) % 4 == 0
    argv = ["cpio", "--quiet", "-itvn"]
    listed = subprocess.run(argv, input=archive, capture_output=True, check=True).stdout
    assert [line.split()[2:4] for line in listed.splitlines()] == [[b"0", b"0"]] * len(FILES)
    for name, mode, data in FILES:
        assert (root / name).stat().st_mode == mode
        assert stat.S_ISDIR(mode) or (root / name).read_bytes() == data


def test_modules_come_after_what_they_need() -> None:
    modules = Modules(DEPENDENCIES, "kernel/fs/ext4/ext4.ko\n")

    order = [Path(path).name for path in modules.load_order(["virtio_blk", "virtio_console"])]

    assert order == [
        "virtio.ko.xz", "virtio_ring.ko.xz", "virtio-blk.ko.xz", "virtio_console.ko.xz",
    ]  # fmt: skip
    assert modules.has("ext4")
    assert modules.has("virtio_blk")
    assert not modules.has("virtio_pci")
    assert modules.load_order(["ext4"]) == []


def zstd(data: bytes) -> bytes:
    return bytes(run_tool(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout)


def test_the_initrd_holds_unpacked_modules_and_repeats(tmp_path: Path) -> None:
    packed = {
        b"lib/virtio.ko": b"plain",
        b"lib/virtio-ring.ko.xz": lzma.compress(b"from xz"),
        b"lib/virtio_blk.ko.gz": gzip.compress(b"from gzip"),
        b"lib/ext4.ko.zst": zstd(b"from zstd"),
    }
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"the shell")
    modules = tuple(file_of(path, data, mtime_ns=0) for path, data in packed.items())
    kernel = file_of(b"linux", b"kernel", mtime_ns=0)
    guest = Guest(kernel=kernel, modules=modules, busybox=busybox)

    made = initrd(guest, b"the script")
    os.utime(busybox, (1, 1))

    assert initrd(guest, b"the script") == made
    root = unpacked(gzip.decompress(made), tmp_path / "root")
    assert (root / "init").read_bytes() == b"the script"
    assert {path.name: path.read_bytes() for path in (root / "modules").iterdir()} == {
        "00-virtio.ko": b"plain",
        "01-virtio_ring.ko": b"from xz",
        "02-virtio_blk.ko": b"from gzip",
        "03-ext4.ko": b"from zstd",
    }


def test_the_script_is_one_that_a_shell_reads() -> None:
    script = init(
        mounts=MOUNTS, system="/nix/store/a b", command=("/switch", "boot"),
        environment={"WITH": "two words; and 'more'"},
    )  # fmt: skip

    subprocess.run(["busybox", "sh", "-n"], input=script, check=True)
    lines = [
        line for line in script.decode().splitlines() if "mount -t" in line or "umount" in line
    ]
    assert [line.partition(" || ")[0] for line in lines[3:]] == [
        "$b mkdir -p /root; $b mount -t ext4 -o rw,noinit_itable /dev/vda2 /root",
        "$b mkdir -p /root/boot; $b mount -t vfat -o rw /dev/vda1 /root/boot",
        "$b mkdir -p '/root/my nix'; $b mount -t erofs -o ro /dev/vda3 '/root/my nix'",
        "$b mkdir -p /root/var/log; $b mount -t btrfs -o rw,subvol=@log /dev/vda4 /root/var/log",
        "$b mount -t tmpfs tmpfs /root/tmp",
        "$b mount -t tmpfs tmpfs /root/run",
        "for name in run tmp sys proc dev; do $b umount /root/$name; done",
        "$b umount /root/var/log",
        "$b umount '/root/my nix'",
        "$b umount /root/boot",
        "$b umount /root",
    ]
    assert b"'WITH=two words; and '" in script
    assert b"ln -s '/nix/store/a b'" in script


def test_only_a_static_busybox_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = static_busybox()
    assert found is not None
    shell = shutil.which("sh")
    assert shell is not None
    shutil.copy(shell, tmp_path / "busybox")
    hide_tools(monkeypatch, tmp_path)

    assert static_busybox() is None

    shutil.copy(found, tmp_path / "busybox")
    assert static_busybox() == tmp_path / "busybox"
    (tmp_path / "busybox").write_bytes(found.read_bytes()[:3])
    assert static_busybox() is None
