"""The entry that the plan calls the default is the one that starts, seen in QEMU.

Every kernel is one and the same file: what started is told by the initrd, which says which it is.
"""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import pytest

from engine.boot.cpio import newc
from engine.boot.firmware import FirmwareKind
from tests.engine.boot.conftest import OLD
from tests.support.booting import boots, build_image, esp_drive, report
from tests.support.tools import run_tool

FIRST = "6.10.0"
OTHERS = (
    "6.10.0-rc5", "6.10.0~rc6", "6.10.0.old", "6.10.0.bak", "6.10.0.dpkg-new", "6.10.0.rpmsave",
    "6.10.0+debug", "6.9.12", "0-rescue-0123456789abcdef",
)  # fmt: skip


def marked(**marks: str) -> bytes:
    """Returns an archive with what the initrd says before it looks for the root."""
    files = [(f"marks/{name}", 0o100644, f"{text}\n".encode()) for name, text in marks.items()]
    return newc([("marks", 0o40755, b""), *files])


@pytest.fixture(scope="module")
def many(system: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The system with many names for its kernel, each with an initrd of its own."""
    root = tmp_path_factory.mktemp("many") / "root"
    shutil.copytree(system, root, symlinks=True)
    boot = root / "boot"
    kernel = next(path for path in boot.glob("vmlinuz-*") if OLD not in path.name)
    initrd = boot / kernel.name.replace("vmlinuz", "initrd.img")
    for version in (FIRST, *OTHERS):
        os.link(kernel, boot / f"vmlinuz-{version}")
        mark = marked(initrd=f"REPORT initrd {version}", order="REPORT last initrd")
        text = initrd.read_bytes() + gzip.compress(mark, mtime=0)
        (boot / f"initrd.img-{version}").write_bytes(text)
    for path in [*boot.glob(f"*{OLD}"), kernel, initrd]:
        path.unlink()
    early = marked(microcode="REPORT microcode loaded", order="REPORT last microcode")
    # No multiple of four bytes: loaders have to fill up to where the next archive may start.
    (boot / "amd-ucode.img").write_bytes(early + bytes(3))
    return root


CASES: list[tuple[str, str, FirmwareKind]] = [
    ("efi", "systemd-boot", "uefi"), ("hybrid", "systemd-boot", "bios"),
    ("legacy", "grub", "bios"), ("efi", "grub", "uefi"), ("efi", "uki", "uefi"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "loader", "firmware"),
    [
        pytest.param(*case, marks=[pytest.mark.slow] if number else [])
        for number, case in enumerate(CASES)
    ],
)
def test_the_default_of_the_plan_is_what_starts(
    many: Path, tmp_path: Path, table: str, loader: str, firmware: FirmwareKind
) -> None:
    built = build_image(
        many, tmp_path, f"layout.table={table}", f"boot.loader={loader}", 'size.boot="250MiB"'
    )
    assert built.plan.boot.menu[0].version == FIRST
    if loader == "systemd-boot":
        # The loader's own order makes it the first.
        argv = ["mtype", "-i", esp_drive(built), "::/loader/loader.conf"]
        conf = run_tool(argv, check=True, capture_output=True, text=True).stdout
        assert "default" not in conf
    said = report(boots(built, firmware))
    assert said["initrd"] == [FIRST]
    assert said["microcode"] == ["loaded"]
    assert said["last"] == ["initrd"]
