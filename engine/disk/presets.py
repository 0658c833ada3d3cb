"""The presets: named lists of volumes, from which all that depends on a layout is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from engine.disk.roles import ROLES, Role
from engine.disk.volume import Firmware, Scheme, firmware_of
from engine.units import MIB

MBR_SECTORS = 1 << 32
"""An MBR counts sectors in 32 bits (UEFI specification 2.10, 5.2.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetVolume:
    """One volume of a preset.

    Attributes:
        role: Also its id.
        size: Bytes; "boot" for `size.boot`; "rest" for what the contents need on an automatic
            disk, and for all that is left on one of fixed size.
        mount: Where it is mounted, or None. Contents below it go to it, but under rules that
            leave all of them in the root.
        label: Of its file system, where it has one whatever the spec says.
        flags: libparted's, where they are not the role's.
        format: Where it is not the role's.
        type: Where it is not the role's.
    """

    role: str
    size: int | Literal["boot", "rest"] = "rest"
    mount: str | None = None
    label: str = ""
    flags: tuple[str, ...] | None = None
    format: str = ""
    type: str = ""

    @property
    def purpose(self) -> Role:
        """The row of its role."""
        return ROLES[self.role]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One value of `layout.table`, with its volumes in disk order.

    Attributes:
        scheme: How partitions are recorded.
        why: Why one would take it.
        beware: What it cannot do, or "".
        own: It is a bare table; all volumes are the spec's own.
    """

    key: str
    title: str
    summary: str
    scheme: Scheme
    volumes: tuple[PresetVolume, ...]
    why: str
    beware: str = ""
    own: bool = False

    def has(self, role: str) -> bool:
        """Whether it has a volume of that role."""
        return any(volume.role == role for volume in self.volumes)

    @property
    def boots(self) -> tuple[Firmware, ...]:
        """Firmware that it has a place for a loader of."""
        return firmware_of(self.scheme, (volume.role for volume in self.volumes))

    @property
    def partitions(self) -> tuple[PresetVolume, ...]:
        """Its volumes where they are partitions; none for a bare file system."""
        return self.volumes if self.scheme != "none" else ()


_ROOT = PresetVolume(role="root", mount="/")
_ESP = PresetVolume(role="esp", size="boot", label="ESP")
_BIOS_BOOT = PresetVolume(role="bios-boot", size=MIB)

_TABLE = (
    Preset(
        key="efi",
        title="UEFI",
        summary="GPT with an EFI system partition and a root",
        scheme="gpt",
        volumes=(_ESP, _ROOT),
        why="Machines and virtual machines of the last ten years; every UEFI loader fits.",
        beware="Does not boot under a BIOS.",
    ),
    Preset(
        key="hybrid",
        title="UEFI and BIOS",
        summary="GPT with a BIOS boot partition, an EFI system partition and a root",
        scheme="gpt",
        volumes=(_BIOS_BOOT, _ESP, _ROOT),
        why="One stick or image that boots everywhere, with GRUB for both firmwares.",
    ),
    Preset(
        key="legacy+gpt",
        title="BIOS with GPT",
        summary="GPT with a BIOS boot partition and a root",
        scheme="gpt",
        volumes=(_BIOS_BOOT, _ROOT),
        why="BIOS machines with a modern table: GRUB has a partition of its own, disks may pass "
        "2 TiB.",
        beware="Has no EFI system partition, so UEFI needs its compatibility module. A BIOS that "
        "skips the disk may want layout.pmbr_boot.",
    ),
    Preset(
        key="legacy",
        title="BIOS with MBR",
        summary="An MBR with one partition after a gap of 1 MiB",
        scheme="mbr",
        volumes=(PresetVolume(role="root", mount="/", flags=("boot",)),),
        why="Old machines and simple clouds; GRUB lives in the gap before the first partition.",
        beware="Does not boot under UEFI, and an MBR ends at 2 TiB of 512-byte sectors.",
    ),
    Preset(
        key="efixbootldr",
        title="UEFI with XBOOTLDR",
        summary="GPT with an EFI system partition, an extended boot partition and a root",
        scheme="gpt",
        volumes=(
            PresetVolume(role="esp", size=100 * MIB, mount="/efi", label="ESP"),
            PresetVolume(role="xbootldr", size="boot", mount="/boot", label="BOOT"),
            _ROOT,
        ),
        why="Kernels have a partition of their own, so that the ESP stays small.",
        beware="Does not boot under a BIOS.",
    ),
    Preset(
        key="legacy+boot",
        title="BIOS with MBR and /boot",
        summary="An MBR with a FAT for /boot and a root",
        scheme="mbr",
        volumes=(
            PresetVolume(
                role="boot",
                size="boot",
                mount="/boot",
                label="BOOT",
                flags=("boot",),
                format="vfat",
                type="0x0c",
            ),
            _ROOT,
        ),
        why="Boards and old machines whose firmware or loader reads nothing but FAT.",
        beware="Does not boot under UEFI, and an MBR ends at 2 TiB of 512-byte sectors.",
    ),
    Preset(
        key="gpt",
        title="GPT of your own",
        summary="GPT with the volumes that the spec lists",
        scheme="gpt",
        volumes=(),
        why="Any disk: A/B roots, boards, appliances.",
        own=True,
    ),
    Preset(
        key="mbr",
        title="MBR of your own",
        summary="An MBR with the volumes that the spec lists",
        scheme="mbr",
        volumes=(),
        why="Boards whose firmware reads nothing else.",
        own=True,
    ),
    Preset(
        key="none",
        title="Bare file system",
        summary="No table: the image is the root file system",
        scheme="none",
        volumes=(_ROOT,),
        why="A virtual machine that brings its own kernel, a loop mount, a Nix store volume.",
        beware="No boot loader fits.",
    ),
)

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.key: preset for preset in _TABLE})
"""By value of `layout.table`, the most taken first."""
