"""Boot loaders as data: where each fits, and what it needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from engine.disk.presets import PRESETS, Preset
from engine.disk.volume import Firmware


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """One value of `boot.loader`.

    Attributes:
        firmware: What boots it; it needs the place that one of these has on the disk: UEFI an
            ESP, a BIOS a BIOS boot partition or the gap behind an MBR. Empty: it needs none.
        architectures: As `uname -m` has them; empty means all.
        packages: Pairs of firmware and the Debian package with its files.
        why: Why one would take it.
    """

    key: str
    title: str
    summary: str
    firmware: tuple[Firmware, ...] = ()
    architectures: tuple[str, ...] = ()
    packages: tuple[tuple[Firmware, str], ...] = ()
    why: str = ""

    def fits(self, boots: Iterable[Firmware]) -> bool:
        """Whether a disk that has a place for so many firmwares has one for this loader."""
        return not self.firmware or any(firmware in self.firmware for firmware in boots)


_TABLE = (
    Loader(
        key="none",
        title="None",
        summary="Nothing is installed; the contents may bring their own",
        why="Data disks, and virtual machines that are given a kernel.",
    ),
    Loader(
        key="grub",
        title="GRUB",
        summary="Boots under BIOS and UEFI, with a menu",
        firmware=("bios", "uefi"),
        architectures=("x86_64",),
        packages=(("bios", "grub-pc-bin"), ("uefi", "grub-efi-amd64-bin")),
        why="The only loader for BIOS; on hybrid disks it covers both.",
    ),
    Loader(
        key="systemd-boot",
        title="systemd-boot",
        summary="A small UEFI menu with one text file per kernel; on hybrid, GRUB for a BIOS",
        firmware=("uefi",),
        architectures=("x86_64", "aarch64", "riscv64"),
        packages=(("uefi", "systemd-boot-efi"),),
        why="Simple, and what systemd and NixOS manage themselves.",
    ),
    Loader(
        key="uki",
        title="Unified kernel image",
        summary="Kernel, initrd and command line in one UEFI program; on hybrid, GRUB for a BIOS",
        firmware=("uefi",),
        architectures=("x86_64", "aarch64", "riscv64"),
        packages=(("uefi", "systemd-boot-efi"),),
        why="One file that can be signed and measured as a whole.",
    ),
    Loader(
        key="nixos",
        title="The system's own",
        summary="Runs the NixOS system's switch-to-configuration boot",
        firmware=("bios", "uefi"),
        why="Exactly what the NixOS configuration says. It runs in a user namespace, where it can "
        "fill an ESP; on a layout for BIOS alone, in a virtual machine with the image as its disk.",
    ),
)

LOADERS = {loader.key: loader for loader in _TABLE}


def loaders_for(boots: Collection[Firmware]) -> tuple[Loader, ...]:
    """Returns the loaders that fit a disk, by the firmware that boots it, the plain ones first."""
    return tuple(loader for loader in _TABLE if loader.fits(boots))


def presets_for(loader: Loader) -> tuple[Preset, ...]:
    """Returns the presets that a loader fits."""
    return tuple(preset for preset in PRESETS.values() if loader.fits(preset.boots))
