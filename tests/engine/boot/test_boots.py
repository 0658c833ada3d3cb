"""Real images of a real kernel, booted: every layout, loader and firmware."""

from __future__ import annotations

import filecmp
import json
import shutil
from pathlib import Path

import pytest

from engine.boot.firmware import FirmwareKind
from engine.cli import exits
from engine.cli.main import main
from engine.spec.formats import FORMATS
from tests.engine.boot.conftest import OLD
from tests.support.booting import (
    Built,
    boots,
    build_image,
    check_report,
    check_tools,
    esp_drive,
)
from tests.support.busybox import MARKER
from tests.support.tools import run_tool

EFI = ("efi", "hybrid")
LOADERS = [
    ("legacy", "grub"),
    ("legacy+gpt", "grub"),
    *((table, loader) for table in EFI for loader in ("grub", "systemd-boot", "uki")),
]
FIRMWARE: dict[str, tuple[FirmwareKind, ...]] = {
    "legacy": ("bios",), "legacy+gpt": ("bios",), "efi": ("uefi",), "hybrid": ("bios", "uefi"),
}  # fmt: skip


def made(system: Path, folder: Path, table: str, loader: str, *overrides: str) -> Built:
    return build_image(system, folder, f"layout.table={table}", f"boot.loader={loader}", *overrides)


def test_a_bios_starts_grub_from_the_gap_behind_the_mbr(system: Path, tmp_path: Path) -> None:
    built = made(system, tmp_path, "legacy", "grub")
    check_tools(built)
    said = check_report(boots(built, "bios"))
    assert f"root=UUID={built.plan.root.uuid}" in said["cmdline"][0]
    assert OLD not in said["cmdline"][0]


@pytest.mark.slow
def test_both_firmwares_start_a_hybrid_disk_and_the_build_proves_it(
    system: Path, tmp_path: Path
) -> None:
    built = made(
        system, tmp_path, "hybrid", "systemd-boot",
        "boot.prove=true", f'boot.expect="{MARKER}"', "boot.efi_variables=true",
    )  # fmt: skip
    check_tools(built)
    proofs = json.loads((built.outdir / "manifest.json").read_text())["proofs"]
    assert [(proof["firmware"], proof["seen"]) for proof in proofs] == [
        ("bios", True),
        ("uefi", True),
    ]
    assert all(proof["seconds"] > 0 and MARKER in proof["console"] for proof in proofs)
    release = built.plan.boot.menu[0].version
    # systemd-boot names the initrd on the command line: the newest kernel was the default.
    assert f"\\busybox\\{release}\\initrd" in proofs[1]["console"]


@pytest.mark.slow
def test_boot_variables_start_the_image_without_the_fallback(system: Path, tmp_path: Path) -> None:
    built = made(system, tmp_path, "efi", "uki", "boot.efi_variables=true")
    check_tools(built)
    run_tool(["mdel", "-i", esp_drive(built), "::/EFI/BOOT/BOOTX64.EFI"], check=True, timeout=30)
    verdict = boots(built, "uefi", variables=built.outdir / "efi-vars.fd")
    check_report(verdict)
    guid = built.plan.volume("esp").guid
    assert guid is not None
    # The firmware says which entry it starts, and by which path.
    assert f"GPT,{guid}" in verdict.console.upper()


@pytest.mark.parametrize(
    ("table", "loader"),
    [("legacy", "grub"), ("hybrid", "grub"), ("efi", "systemd-boot"), ("efi", "uki")],
)
def test_two_builds_are_the_same_bytes(
    system: Path, tmp_path: Path, table: str, loader: str
) -> None:
    variables = table in EFI
    overrides = ["boot.efi_variables=true"] if variables else []
    first = made(system, tmp_path / "a", table, loader, *overrides)
    second = made(system, tmp_path / "b", table, loader, *overrides)
    check_tools(first)
    assert filecmp.cmp(first.image, second.image, shallow=False)
    if variables:
        one, other = (built.outdir / "efi-vars.fd" for built in (first, second))
        assert filecmp.cmp(one, other, shallow=False)


@pytest.mark.slow
@pytest.mark.parametrize("compat", ["none", "make-disk-image"])
@pytest.mark.parametrize(("table", "loader"), LOADERS)
def test_every_layout_boots_with_every_loader(
    system: Path, tmp_path: Path, table: str, loader: str, compat: str
) -> None:
    overrides = [f"compat={compat}"]
    if compat != "none":
        overrides += ['size.additional="64M"', 'size.boot="96M"']
    built = made(system, tmp_path, table, loader, *overrides)
    check_tools(built)
    for firmware in FIRMWARE[table]:
        verdict = boots(built, firmware)
        if compat == "none":
            check_report(verdict)


@pytest.mark.slow
@pytest.mark.parametrize(("table", "loader"), LOADERS)
def test_a_grown_image_boots(system: Path, tmp_path: Path, table: str, loader: str) -> None:
    built = made(system, tmp_path, table, loader)
    assert main(["grow", str(built.image), "--to", "+700MiB"]) == exits.DONE
    for firmware in FIRMWARE[table]:
        check_report(boots(built, firmware))


@pytest.mark.slow
@pytest.mark.parametrize("filesystem", ["ext2", "ext3"])
def test_grub_reads_older_file_systems(system: Path, tmp_path: Path, filesystem: str) -> None:
    built = made(system, tmp_path, "legacy", "grub", f"layout.filesystem={filesystem}")
    boots(built, "bios")


@pytest.mark.slow
def test_uefi_starts_a_disk_of_large_sectors(system: Path, tmp_path: Path) -> None:
    built = made(
        system, tmp_path, "efi", "systemd-boot", "layout.sector_size=4096", 'size.boot="300MiB"'
    )
    check_report(boots(built, "uefi"))


@pytest.mark.slow
@pytest.mark.parametrize("format_", ["qcow2", "qcow2-compressed", "vdi", "vpc"])
def test_every_format_boots(system: Path, tmp_path: Path, format_: str) -> None:
    built = made(system, tmp_path, "legacy", "grub", f"output.format={format_}")
    check_report(boots(built, "bios"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "format_", sorted(FORMATS.keys() - {"raw", "qcow2", "qcow2-compressed", "vdi", "vpc"})
)
def test_the_build_proves_that_a_format_boots_that_only_qemu_reads(
    system: Path, tmp_path: Path, format_: str
) -> None:
    built = made(
        system, tmp_path, "legacy", "grub", f"output.format={format_}",
        "boot.prove=true", f'boot.expect="{MARKER}"',
    )  # fmt: skip
    (proof,) = json.loads((built.outdir / "manifest.json").read_text())["proofs"]
    assert proof["seen"]


@pytest.mark.slow
@pytest.mark.parametrize(("table", "loader"), [("legacy", "grub"), ("efi", "systemd-boot")])
def test_a_bootspec_boots_what_it_names(
    system: Path, tmp_path: Path, table: str, loader: str
) -> None:
    root = tmp_path / "nixos"
    shutil.copytree(system, root, symlinks=True)
    store = root / "nix/store"
    (store / "s-system").mkdir(parents=True)
    (root / "boot").rename(store / "k-kernel")
    (root / "boot").mkdir()
    kernel = next(path for path in (store / "k-kernel").glob("vmlinuz-*") if OLD not in path.name)
    (root / "init").rename(store / "s-system/init")
    spec = {
        "org.nixos.bootspec.v1": {
            "init": "/nix/store/s-system/init",
            "initrd": f"/nix/store/k-kernel/{kernel.name.replace('vmlinuz', 'initrd.img')}",
            "kernel": f"/nix/store/k-kernel/{kernel.name}",
            "kernelParams": ["loglevel=4"],
            "label": "NixOS 25.05 (test)",
            "system": "x86_64-linux",
            "toplevel": "/nix/store/s-system",
        }
    }
    (store / "s-system/boot.json").write_text(json.dumps(spec))
    profiles = root / "nix/var/nix/profiles"
    profiles.mkdir(parents=True)
    (profiles / "system").symlink_to("system-1-link")
    (profiles / "system-1-link").symlink_to("/nix/store/s-system")
    built = made(root, tmp_path / "built", table, loader)
    assert [entry.title for entry in built.plan.boot.menu] == ["NixOS 25.05 (test)"]
    said = check_report(boots(built, FIRMWARE[table][0]))
    assert "init=/nix/store/s-system/init loglevel=4" in said["cmdline"][0]
