"""Boot loaders as data: where each fits, and what it needs."""

from __future__ import annotations

from dataclasses import dataclass

from engine.spec.layouts import Firmware
from engine.spec.settings import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """One value of `boot.loader`.

    Attributes:
        layouts: Layouts it can be put into.
        firmware: What starts it.
        architectures: As `uname -m` has them; empty means all.
        packages: Pairs of firmware and the Debian package with its files.
        why: Why one would take it.
    """

    key: str
    title: str
    summary: str
    layouts: tuple[Table, ...]
    firmware: tuple[Firmware, ...] = ()
    architectures: tuple[str, ...] = ()
    packages: tuple[tuple[Firmware, str], ...] = ()
    why: str = ""

    def fits(self, table: str) -> bool:
        """Whether the loader can be put into a layout."""
        return table in self.layouts


_TABLE = (
    Loader(
        key="none",
        title="None",
        summary="Nothing is installed; the contents may bring their own",
        layouts=("none", "legacy", "legacy+gpt", "efi", "hybrid"),
        why="Data disks, and virtual machines that are given a kernel.",
    ),
    Loader(
        key="grub",
        title="GRUB",
        summary="Starts under BIOS and UEFI, with a menu",
        layouts=("legacy", "legacy+gpt", "efi", "hybrid"),
        firmware=("bios", "uefi"),
        architectures=("x86_64",),
        packages=(("bios", "grub-pc-bin"), ("uefi", "grub-efi-amd64-bin")),
        why="The only one for BIOS, and the one that makes a hybrid image start both ways.",
    ),
    Loader(
        key="systemd-boot",
        title="systemd-boot",
        summary="A small UEFI menu with one text file per kernel; on hybrid, GRUB starts a BIOS",
        layouts=("efi", "hybrid"),
        firmware=("uefi",),
        architectures=("x86_64", "aarch64"),
        packages=(("uefi", "systemd-boot-efi"),),
        why="Simple, and what systemd and NixOS manage themselves.",
    ),
    Loader(
        key="uki",
        title="Unified kernel image",
        summary="Kernel, initrd and command line in one UEFI program; on hybrid, GRUB for a BIOS",
        layouts=("efi", "hybrid"),
        firmware=("uefi",),
        architectures=("x86_64", "aarch64"),
        packages=(("uefi", "systemd-boot-efi"),),
        why="One file that can be signed and measured as a whole.",
    ),
    Loader(
        key="nixos",
        title="The system's own",
        summary="Runs the NixOS system's switch-to-configuration boot",
        layouts=("legacy", "legacy+gpt", "efi", "hybrid"),
        firmware=("bios", "uefi"),
        why="Exactly what the NixOS configuration says. It runs in a user namespace, where it can "
        "fill an ESP; on a layout for BIOS alone, in a virtual machine with the image as its disk.",
    ),
)

LOADERS = {loader.key: loader for loader in _TABLE}


def loaders_for(table: str) -> tuple[Loader, ...]:
    """Returns the loaders that fit a layout, the plain ones first."""
    return tuple(loader for loader in _TABLE if loader.fits(table))
