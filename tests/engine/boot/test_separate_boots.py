"""Disks whose kernels lie on a volume of their own, booted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.boot.firmware import FirmwareKind
from tests.engine.boot.conftest import OLD
from tests.support.booting import SPEC, boots, build_image, build_spec, check_report, check_tools

pytestmark = pytest.mark.slow

VOLUMES = """
[layout]
table = "gpt"
[[volume]]
id = "bios-boot"
[[volume]]
id = "root"
free = "8MiB"
[[volume]]
id = "usr"
"""


@pytest.mark.parametrize(
    ("table", "loader", "firmware"),
    [
        ("legacy+boot", "grub", "bios"),
        ("efixbootldr", "systemd-boot", "uefi"),
        ("efixbootldr", "grub", "uefi"),
        ("efixbootldr", "uki", "uefi"),
    ],
)
def test_a_boot_partition_boots(
    system: Path, tmp_path: Path, table: str, loader: str, firmware: FirmwareKind
) -> None:
    built = build_image(system, tmp_path, f"layout.table={table}", f"boot.loader={loader}")
    check_tools(built)
    said = check_report(boots(built, firmware))
    assert f"root=UUID={built.plan.root.uuid}" in said["cmdline"][0]
    assert OLD not in said["cmdline"][0]


@pytest.mark.parametrize("copied", [False, True])
def test_grub_finds_a_kernel_on_a_usr_of_its_own(
    system: Path, tmp_path: Path, *, copied: bool
) -> None:
    """Or a copy of it at /boot, where it cannot read that /usr: a squashfs."""
    root = tmp_path / "root"
    shutil.copytree(system, root, symlinks=True)
    kernel = next(path for path in (root / "boot").glob("vmlinuz-*") if OLD not in path.name)
    release = kernel.name.removeprefix("vmlinuz-")
    modules = root / "usr/lib/modules" / release
    modules.mkdir(parents=True)
    (root / f"boot/initrd.img-{release}").rename(modules / "initrd")
    kernel.rename(modules / "vmlinuz")
    shutil.rmtree(root / "boot")
    spec = tmp_path / "spec.toml"
    more = 'format = "squashfs"\n[[volume]]\nid = "boot"\n' if copied else ""
    spec.write_text(SPEC.format(root=root) + VOLUMES + more)
    built = build_spec(spec, tmp_path / "out", "boot.loader=grub")
    said = check_report(boots(built, "bios"))
    usr = built.plan.volume("usr")
    assert usr.filesystem is not None
    named = f"PARTUUID={usr.guid}".lower() if copied else f"UUID={usr.filesystem.uuid}"
    assert f"mount.usr={named}".lower() in said["cmdline"][0].lower()
