"""The five layouts as data: what the wizard draws, the planner lays out and the manual explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.spec.settings import Table

Role = Literal["esp", "bios-boot", "boot", "root"]
Firmware = Literal["bios", "uefi"]

MBR_SECTORS = 1 << 32
"""An MBR counts sectors in 32 bits (UEFI specification 2.10, 5.2.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutPartition:
    """One partition of a layout, in disk order.

    Attributes:
        label: What a drawing writes into it.
        weight: Its share of a drawing that is not to scale.
        purpose: One line for the legend.
    """

    role: Role
    label: str
    weight: int
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One value of `layout.table`.

    Attributes:
        scheme: How partitions are recorded.
        boots: Firmware that can start an image of this layout.
        why: Why one would take it.
        beware: What it cannot do, or "".
    """

    key: Table
    title: str
    summary: str
    scheme: Literal["none", "mbr", "gpt"]
    partitions: tuple[LayoutPartition, ...]
    boots: tuple[Firmware, ...]
    why: str
    beware: str = ""

    def has(self, role: Role) -> bool:
        """Whether the layout has a partition of that role."""
        return any(partition.role == role for partition in self.partitions)


_ROOT = LayoutPartition(role="root", label="root", weight=8, purpose="The root file system")
_ESP = LayoutPartition(
    role="esp", label="ESP", weight=2, purpose="EFI system partition (FAT): loaders, kernels"
)
_BIOS_BOOT = LayoutPartition(
    role="bios-boot", label="BIOS", weight=1, purpose="BIOS boot partition: room for GRUB's core"
)

_TABLE = (
    Layout(
        key="efi",
        title="UEFI",
        summary="GPT with an EFI system partition and a root",
        scheme="gpt",
        partitions=(_ESP, _ROOT),
        boots=("uefi",),
        why="Machines and virtual machines of the last ten years; every UEFI loader fits.",
        beware="Does not start under a BIOS.",
    ),
    Layout(
        key="hybrid",
        title="UEFI and BIOS",
        summary="GPT with a BIOS boot partition, an EFI system partition and a root",
        scheme="gpt",
        partitions=(_BIOS_BOOT, _ESP, _ROOT),
        boots=("bios", "uefi"),
        why="One stick or image that starts everywhere, with GRUB for both firmwares.",
    ),
    Layout(
        key="legacy+gpt",
        title="BIOS with GPT",
        summary="GPT with a BIOS boot partition and a root",
        scheme="gpt",
        partitions=(_BIOS_BOOT, _ROOT),
        boots=("bios",),
        why="BIOS machines with a modern table: GRUB has a partition of its own, disks may pass "
        "2 TiB.",
        beware="Has no EFI system partition, so UEFI needs its compatibility module.",
    ),
    Layout(
        key="legacy",
        title="BIOS with MBR",
        summary="An MBR with one partition after a gap of 1 MiB",
        scheme="mbr",
        partitions=(_ROOT,),
        boots=("bios",),
        why="Old machines and simple clouds; GRUB lives in the gap before the first partition.",
        beware="Does not start under UEFI, and an MBR ends at 2 TiB of 512-byte sectors.",
    ),
    Layout(
        key="none",
        title="Bare file system",
        summary="No table: the image is the root file system",
        scheme="none",
        partitions=(),
        boots=(),
        why="A virtual machine that brings its own kernel, a loop mount, a Nix store volume.",
        beware="No boot loader fits.",
    ),
)

LAYOUTS: dict[str, Layout] = {layout.key: layout for layout in _TABLE}
"""By value of `layout.table`, the most taken first."""
