"""The virtual machine that fills what only a kernel fills: its parts, without a start."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from engine.boot import fill
from engine.boot.cpio import newc
from engine.manifest.entry import Entry, order
from engine.manifest.manifest import Manifest
from engine.manifest.memory import file_of
from tests.engine.boot.trees import X86_KERNEL
from tests.support.tools import hide_tools

NOTHING = Manifest(())
DEPENDENCIES = """\
kernel/virtio.ko:
kernel/virtio_pci.ko: kernel/virtio.ko
kernel/virtio_blk.ko: kernel/virtio.ko
kernel/virtio_console.ko: kernel/virtio.ko
kernel/xfs.ko:
"""


def tree(
    *releases: str, table: str = DEPENDENCIES, folder: str = "lib/modules", without: str = "",
    kernel: bytes = X86_KERNEL,
) -> Manifest:  # fmt: skip
    files = []
    for release in releases:
        modules = f"{folder}/{release}"
        files += [(f"boot/vmlinuz-{release}", kernel), (f"{modules}/modules.dep", table.encode())]
        files += [
            (f"{modules}/{line.partition(':')[0]}", release.encode())
            for line in table.splitlines() if line
        ]  # fmt: skip
    paths = {path for path, _ in files if path != without}
    folders = {os.path.dirname(path) for path in paths}  # noqa: PTH120 - not of this machine
    folders |= {str(above) for path in paths for above in Path(path).parents}
    entries = [file_of(path.encode(), data, mtime_ns=0) for path, data in files if path in paths]
    entries += [Entry(b"" if name == "." else name.encode(), stat.S_IFDIR | 0o755)
                for name in folders]  # fmt: skip
    return Manifest(sorted(entries, key=lambda entry: order(entry.path)))


def found(contents: Manifest, machine: Path, formats: Iterable[str] = ("xfs",)) -> fill.Filler:
    return fill.find(contents, formats, machine=machine)


@pytest.mark.parametrize("folder", ["lib/modules", "usr/lib/modules"])
def test_the_newest_kernel_of_the_contents_does_it(tmp_path: Path, folder: str) -> None:
    filler = found(tree("6.1.0-9", "6.1.0-10", folder=folder), tmp_path)

    assert filler.origin == "/boot/vmlinuz-6.1.0-10 of the contents"
    assert filler.guest is not None
    names = [module.name.decode() for module in filler.guest.modules]
    assert names == ["virtio.ko", "virtio_pci.ko", "virtio_blk.ko", "virtio_console.ko", "xfs.ko"]
    assert not filler.lacks
    assert Path(filler.tar).name == "tar"


def test_one_of_this_machine_does_it_where_the_contents_have_none(tmp_path: Path) -> None:
    modules = tmp_path / "lib" / "modules" / "7.0"
    (modules / "kernel").mkdir(parents=True)
    (modules / "modules.dep").write_text(DEPENDENCIES)
    for line in DEPENDENCIES.splitlines():
        (modules / line.partition(":")[0]).write_bytes(b"module")
    (modules / "vmlinuz").write_bytes(X86_KERNEL)

    assert found(NOTHING, tmp_path).origin == "/lib/modules/7.0/vmlinuz of this machine"
    with_own = found(tree("6.1"), tmp_path)
    assert with_own.origin == "/boot/vmlinuz-6.1 of the contents"
    without = tree("6.1", table=DEPENDENCIES.replace("xfs", "jfs"))
    assert found(without, tmp_path).origin == "/lib/modules/7.0/vmlinuz of this machine"


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (NOTHING, "neither the contents nor this machine have a kernel for x86_64 with xfs"),
        (tree("6.1", table=DEPENDENCIES.replace("virtio_console", "none")),
         "/boot/vmlinuz-6.1 of the contents has no virtio_console"),
        (tree("6.1", table=DEPENDENCIES.replace("xfs", "jfs")),
         "/boot/vmlinuz-6.1 of the contents has no xfs"),
        (tree("6.1", kernel=bytes(1024)), "/boot/vmlinuz-6.1 of the contents is not for x86_64"),
        (tree("6.1", without="lib/modules/6.1/kernel/xfs.ko"),
         "/boot/vmlinuz-6.1 of the contents lacks a module that modules.dep names, kernel/xfs.ko"),
    ],
)  # fmt: skip
def test_why_no_kernel_does_it_is_said(tmp_path: Path, contents: Manifest, reason: str) -> None:
    filler = found(contents, tmp_path)

    assert (filler.guest, filler.reason, filler.lacks) == (None, reason, True)


def test_what_the_machine_lacks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_tools(monkeypatch, tmp_path)
    assert [one.what for one in found(tree("6.1"), tmp_path).missing] == [
        "a static busybox", "GNU tar",
    ]  # fmt: skip
    for name in ("busybox", "tar"):  # a tar of busybox's keeps no attributes
        shutil.copy("/bin/busybox", tmp_path / name)
    assert [one.what for one in found(tree("6.1"), tmp_path).missing] == ["GNU tar"]


def test_tar_runs_with_what_the_initrd_has_of_it(tmp_path: Path) -> None:
    filler = found(tree("6.1"), tmp_path)
    files, libraries = fill.files([filler.tar])
    root = tmp_path / "root"
    root.mkdir()
    argv = ["cpio", "--quiet", "-i", "--no-preserve-owner"]
    subprocess.run(argv, cwd=root, input=newc(files), check=True)
    tar, loader = os.path.realpath(filler.tar), fill.interpreter(filler.tar)
    folders = ":".join(f"{root}{folder}" for folder in libraries.split(":"))
    command = [f"{root}{loader}", "--inhibit-cache", "--library-path", folders, f"{root}{tar}"]

    listed = subprocess.run([*command, "--version"], check=True, capture_output=True, text=True)
    used = subprocess.run([*command[:-1], "--list", command[-1]], check=True, capture_output=True)

    assert "GNU tar" in listed.stdout
    for line in used.stdout.decode().splitlines():
        assert str(root) in line or "vdso" in line, line


def test_the_script_is_one_that_a_shell_reads() -> None:
    script = fill.init(
        tar="/usr/bin/tar", libraries="/lib:/usr/lib", type_="xfs", options="allocsize=4k"
    )

    subprocess.run(["busybox", "sh", "-n"], input=script, check=True)
    assert b"mount -t xfs -o allocsize=4k /dev/vda /root" in script


def test_the_machine_sees_the_volume_alone() -> None:
    argv = fill.argv(
        memory_mib=512, epoch=0, sector_size=4096, image="image.part", offset=1 << 20, size=4096,
        kernel="k", initrd="i", status="s", accelerator="tcg",
    )  # fmt: skip
    words = " ".join(argv)

    assert "format=raw,offset=1048576,size=4096,cache=unsafe,discard=unmap,file=image.part" in words
    assert "logical_block_size=4096" in words
    assert "-serial file:/dev/stderr" in words
