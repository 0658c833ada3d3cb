"""Where firmware and loader binaries lie on a host, by distribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.tools.installed import find

FirmwareKind = Literal["bios", "uefi"]

PACKAGES: Mapping[str, tuple[str, str, str, str]] = {
    "x86_64": ("ovmf", "edk2-ovmf", "edk2-ovmf", "OVMF.fd"),
    "aarch64": ("qemu-efi-aarch64", "edk2-aarch64", "edk2-aarch64", "OVMF.fd"),
}
"""What has UEFI firmware for QEMU by architecture, for Debian, Fedora, Arch and Nix."""

# Code and variable template that belong together: their sizes must match.
_OVMF = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),  # Debian, Ubuntu
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),  # Fedora
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),  # Arch
    ("/run/current-system/sw/FV/OVMF_CODE.fd", "/run/current-system/sw/FV/OVMF_VARS.fd"),  # Nix
    # What QEMU itself brings, where a distribution leaves it in.
    ("/usr/share/qemu/edk2-x86_64-code.fd", "/usr/share/qemu/edk2-i386-vars.fd"),
    (
        "/run/current-system/sw/share/qemu/edk2-x86_64-code.fd",
        "/run/current-system/sw/share/qemu/edk2-i386-vars.fd",
    ),
)
_AAVMF = (
    ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),  # Debian, Ubuntu
    ("/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw",
     "/usr/share/edk2/aarch64/vars-template-pflash.raw"),  # Fedora
    ("/usr/share/edk2/aarch64/QEMU_CODE.fd", "/usr/share/edk2/aarch64/QEMU_VARS.fd"),  # Arch
    ("/usr/share/qemu/edk2-aarch64-code.fd", "/usr/share/qemu/edk2-arm-vars.fd"),
    (
        "/run/current-system/sw/share/qemu/edk2-aarch64-code.fd",
        "/run/current-system/sw/share/qemu/edk2-arm-vars.fd",
    ),
)  # fmt: skip
# Folders, and the commands beside whose prefix they lie too (a Nix shell has no other place).
_SYSTEMD_BOOT = ("/usr/lib/systemd/boot/efi", "/run/current-system/sw/lib/systemd/boot/efi")
_SYSTEMD_COMMANDS = ("bootctl", "systemctl")
_GRUB = ("/usr/lib/grub", "/run/current-system/sw/lib/grub")
_GRUB_COMMANDS = ("grub-mkimage", "grub2-mkimage")  # Fedora's has the 2


@dataclass(frozen=True, slots=True)
class Firmware:
    """UEFI firmware for QEMU: its code and the template of its variables."""

    code: Path
    variables: Path


def find_firmware(
    code: str = "", variables: str = "", *, architecture: str = "x86_64"
) -> Firmware | None:
    """Returns the firmware given, or the first one installed that fits, or None.

    Args:
        code: Path of the firmware, or "" for an installed one.
        variables: Path of the variables to start from, or "" for those that came with the code.
            A store fits the code whose own template has the same size.
        architecture: Of the machine; there is none installed for one that is not known.
    """
    if code:
        given = Firmware(Path(code), Path(variables or code.replace("CODE", "VARS")))
        return given if given.code.is_file() and given.variables.is_file() else None
    for installed_code, template in _installed(architecture):
        pair = Firmware(Path(installed_code), Path(template))
        if not (pair.code.is_file() and pair.variables.is_file()):
            continue
        if not variables:
            return pair
        own = Path(variables)
        if own.is_file() and own.stat().st_size == pair.variables.stat().st_size:
            return Firmware(pair.code, own)
    return None


def _installed(architecture: str) -> Sequence[tuple[str, str]]:
    return {"x86_64": _OVMF, "aarch64": _AAVMF}.get(architecture, ())


def find_systemd_boot(name: str) -> Path | None:
    """Returns the path of a binary of systemd-boot ("systemd-bootx64.efi"), or None."""
    return _first(_SYSTEMD_BOOT, _SYSTEMD_COMMANDS, "lib/systemd/boot/efi", name)


def find_mkimage() -> str | None:
    """Returns the path of grub-mkimage, or None."""
    return next(filter(None, map(find, _GRUB_COMMANDS)), None)


def find_grub(target: str, name: str = "kernel.img") -> Path | None:
    """Returns a file of GRUB's modules for a target ("i386-pc", "boot.img"), or None."""
    return _first(_GRUB, _GRUB_COMMANDS, "lib/grub", f"{target}/{name}")


def _first(folders: Sequence[str], commands: Sequence[str], below: str, name: str) -> Path | None:
    """Returns a file of one of the folders, else of `below` the prefix of one of the commands."""
    homes = [Path(folder) for folder in folders]
    for command in commands:
        found = find(command)
        if found is not None:
            homes.append(Path(found).resolve().parents[1] / below)
    return next((home / name for home in homes if (home / name).is_file()), None)
