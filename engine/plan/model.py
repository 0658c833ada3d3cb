"""The Plan: every sector, every identifier, every step. What is shown is what is built.

All types are frozen. Sizes are bytes unless the name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.boot.firmware import Firmware, FirmwareKind
from engine.boot.grub import BootCode
from engine.boot.guest import Guest
from engine.boot.menu import MenuEntry
from engine.filesystems.ext4.geometry import Geometry
from engine.filesystems.ext4.measure import Need
from engine.filesystems.fat.geometry import FatGeometry
from engine.manifest.manifest import Counts, Manifest
from engine.problem import Problem
from engine.spec.settings import Settings

Role = Literal["esp", "bios-boot", "boot", "root"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesystemPlan:
    """A file system as it will be made.

    Attributes:
        type: "ext4" (or ext2, ext3) or "vfat".
        uuid: ext: lower-case UUID; FAT: volume id as "XXXX-XXXX".
        blocks: Blocks of an ext file system, clusters' count of a FAT one.
        inodes: Inodes of an ext file system, 0 for FAT.
        geometry: What mke2fs will lay out (ext only).
        size: Bytes the file system takes up of its partition or file.
        manifest: What goes in.
        data_bytes: Bytes of file data that will be written into it; holes are not.
        free_bytes, free_inodes: What is left once everything is in, as `df` shows it to root.
        mkfs: The command that makes it, empty; `$IMAGE` stands for the temporary image.
        need: What its entries take (ext only).
        fat: Its layout (FAT only).
    """

    type: str
    label: str
    uuid: str
    size: int
    block_size: int
    blocks: int
    inodes: int
    manifest: Manifest
    data_bytes: int
    free_bytes: int
    free_inodes: int
    mkfs: tuple[str, ...]
    geometry: Geometry | None = None
    need: Need | None = None
    fat: FatGeometry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionPlan:
    """One partition. `start` and `sectors` count logical sectors of the disk."""

    number: int
    role: Role
    start: int
    sectors: int
    bytes: int
    type: str
    guid: str | None
    name: str | None
    flags: tuple[str, ...]
    filesystem: FilesystemPlan | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskPlan:
    """The disk as a whole."""

    bytes: int
    sector_size: int
    table: Literal["gpt", "mbr", "none"]
    guid: str | None
    signature: str | None


@dataclass(frozen=True, slots=True)
class Share:
    """One part of the size breakdown; the parts sum to the disk's bytes."""

    key: str
    label: str
    bytes: int


@dataclass(frozen=True, slots=True)
class ReferenceSize:
    """The five figures make-disk-image prints, under its own names."""

    diskUsage: int  # noqa: N815 - the reference's names are the interface
    fudge: int
    requiredFilesystemSpace: int  # noqa: N815
    additionalSpace: int  # noqa: N815
    diskSize: int  # noqa: N815


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """One step of the pipeline.

    Attributes:
        bytes: What it will write or read, as its weight in the overall progress.
        argv: The exact command, where a tool runs; `$IMAGE` stands for the temporary image.
    """

    id: str
    title: str
    bytes: int = 0
    argv: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BootPlan:
    """How the image starts.

    Attributes:
        loader: Key of `engine.spec.loaders.LOADERS`.
        menu: What the loader offers, the default first.
        firmware: What starts the image by the loader that is installed.
        proofs: What the build starts the image with to prove it.
        code: What goes outside all partitions, where a BIOS starts the image.
        efi_entries: Title and path on the ESP of what boot variables start, the default first.
        uefi: Firmware of this machine for the proof and the variables, if there is one.
        guest: The virtual machine that a NixOS system's own installer runs in, where it needs one.
    """

    loader: str = "none"
    menu: tuple[MenuEntry, ...] = ()
    firmware: tuple[FirmwareKind, ...] = ()
    proofs: tuple[FirmwareKind, ...] = ()
    code: BootCode | None = None
    efi_entries: tuple[tuple[str, str], ...] = ()
    uefi: Firmware | None = None
    guest: Guest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that will be written, and everything that is wrong with it.

    Attributes:
        filesystem: The bare file system of `table = "none"`, else None.
        reference: The reference's size figures, in compat.
        outputs: File names that the build will leave in the output folder.
    """

    name: str
    settings: Settings
    disk: DiskPlan
    partitions: tuple[PartitionPlan, ...]
    filesystem: FilesystemPlan | None
    breakdown: tuple[Share, ...]
    counts: Counts
    reference: ReferenceSize | None
    steps: tuple[StepPlan, ...]
    problems: tuple[Problem, ...]
    outputs: tuple[str, ...]
    boot: BootPlan = BootPlan()

    @property
    def root(self) -> FilesystemPlan:
        """The root file system, in a partition or bare."""
        if self.filesystem is not None:
            return self.filesystem
        root = self.partition("root").filesystem
        assert root is not None
        return root

    def partition(self, role: Role) -> PartitionPlan:
        """Returns the partition of a role; KeyError if the layout has none."""
        for partition in self.partitions:
            if partition.role == role:
                return partition
        raise KeyError(role)

    def offset(self, role: Role) -> int:
        """Returns the byte at which a role's partition begins; 0 for a bare file system."""
        if self.filesystem is not None:
            return 0
        return self.partition(role).start * self.disk.sector_size

    def has(self, role: Role) -> bool:
        """Whether the layout has a partition of that role."""
        return any(partition.role == role for partition in self.partitions)
