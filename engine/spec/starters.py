"""Starting points: a spec each, all defaults valid."""

from __future__ import annotations

from dataclasses import dataclass

from engine.spec.model import ImageSpec, Layout, Nix, Output


@dataclass(frozen=True, slots=True)
class Starter:
    """A starting point of the wizard; it builds as it stands, and the loader is chosen later.

    Attributes:
        key: Stable identifier.
        title: As a list shows it.
        summary: What one gets, in a sentence.
    """

    key: str
    title: str
    summary: str
    spec: ImageSpec


_TABLE = (
    Starter(
        "uefi-disk",
        "UEFI disk",
        "A disk for UEFI machines and virtual machines: an EFI system partition and a root.",
        ImageSpec(layout=Layout(table="efi")),
    ),
    Starter(
        "bios-disk",
        "BIOS disk",
        "A disk for old machines and simple clouds: one partition behind an MBR.",
        ImageSpec(layout=Layout(table="legacy")),
    ),
    Starter(
        "hybrid-stick",
        "Hybrid stick",
        "One image that boots under BIOS and UEFI alike, once GRUB is chosen.",
        ImageSpec(name="stick", layout=Layout(table="hybrid")),
    ),
    Starter(
        "bare-filesystem",
        "Bare file system",
        "No partitions: a root file system to mount, or for a virtual machine with its own kernel.",
        ImageSpec(name="root", layout=Layout(table="none")),
    ),
    Starter(
        "nix-store",
        "Nix store image",
        "A Nix store alone, as a volume to mount at /nix/store.",
        ImageSpec(
            name="nix-store",
            layout=Layout(table="none"),
            nix=Nix(only_store=True),
        ),
    ),
    Starter(
        "make-disk-image",
        "Like make-disk-image",
        "nixpkgs' make-disk-image to the sector: its figures, defaults and output names.",
        ImageSpec(compat="make-disk-image", output=Output(format="qcow2")),
    ),
)

STARTERS = {preset.key: preset for preset in _TABLE}
