"""The examples of an A/B pair and of a board, with a system in them: read by tools, and booted."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.engine.boot.conftest import PROJECT
from tests.support import ext
from tests.support.booting import SPEC, Built, boots, build_spec, report
from tests.support.busybox import MARKER
from tests.support.tools import run_tool

pytestmark = pytest.mark.slow

LIMIT = 300


def built_of(example: str, system: Path, folder: Path, *overrides: str) -> Built:
    """Builds an example's volumes around the busybox system."""
    text = (PROJECT / f"examples/{example}.toml").read_text().partition("[[contents]]")[0]
    spec = folder / "spec.toml"
    spec.write_text(text + "".join(SPEC.format(root=system).partition("[boot]")[1:]))
    return build_spec(spec, folder / "out", *overrides)


def checked(built: Built, *volumes: str) -> None:
    """Asks e2fsck about ext4 volumes."""
    for name in volumes:
        place = ext.place(built.image, built.plan.offset(name))
        run_tool(["e2fsck", "-f", "-n", place], check=True, capture_output=True)


def uuid_of(built: Built, volume: str) -> str:
    filesystem = built.plan.volume(volume).filesystem
    assert filesystem is not None
    return filesystem.uuid


def test_the_first_root_of_a_pair_boots(system: Path, tmp_path: Path) -> None:
    built = built_of("ab", system, tmp_path, "boot.loader=systemd-boot", "size.boot=80MiB")
    shown = run_tool(["sgdisk", "-v", built.image], check=True, capture_output=True, text=True)
    assert "No problems found" in shown.stdout
    checked(built, "root-a", "root-b", "data")
    told = run_tool(["sfdisk", "--json", built.image], check=True, capture_output=True)
    parts = json.loads(told.stdout)["partitiontable"]["partitions"]
    assert [part["name"] for part in parts] == ["ESP", "root-a", "root-b", "data"]
    assert parts[1]["type"] == parts[2]["type"]

    said = report(boots(built, "uefi"))

    assert f"root=UUID={uuid_of(built, 'root-a')}" in said["cmdline"][0]
    assert uuid_of(built, "root-b") != uuid_of(built, "root-a")


def test_a_kernel_finds_the_root_of_a_board(system: Path, tmp_path: Path) -> None:
    """What the board's own loader does is done by QEMU: it reads the kernel and starts it."""
    (tmp_path / "board").mkdir()
    blob = (PROJECT / "examples/board/u-boot.img").read_bytes()
    (tmp_path / "board/u-boot.img").write_bytes(blob)
    built = built_of("board", system, tmp_path)
    checked(built, "root")
    told = run_tool(["sfdisk", "--json", built.image], check=True, capture_output=True)
    table = json.loads(told.stdout)["partitiontable"]
    assert [part["type"] for part in table["partitions"]] == ["c", "83"]
    assert built.image.read_bytes()[8192 : 8192 + len(blob)] == blob
    root = ext.place(built.image, built.plan.offset("root"))
    kernel = max(path.name for path in (system / "boot").glob("vmlinuz-[6-9]*"))
    for name in (kernel, kernel.replace("vmlinuz", "initrd.img")):
        command = ["debugfs", "-R", f"dump /boot/{name} {tmp_path / name}", root]
        run_tool(command, check=True, capture_output=True)
    started = subprocess.run(
        ["qemu-system-x86_64", "-machine", "q35,accel=tcg", "-m", "512", "-nographic",
         "-no-reboot", "-nodefaults", "-serial", "stdio", "-kernel", tmp_path / kernel,
         "-initrd", tmp_path / kernel.replace("vmlinuz", "initrd.img"),
         "-append", f"console=ttyS0 panic=-1 quiet root=UUID={uuid_of(built, 'root')} rw",
         "-drive", f"file={built.image},format=raw,if=virtio,snapshot=on"],
        capture_output=True, timeout=LIMIT, check=True,
    )  # fmt: skip
    console = started.stdout.decode(errors="replace")
    assert MARKER in console
    assert "REPORT mount ext4 rw" in console
    assert "REPORT stat /home/alice 1000:100 700" in console
