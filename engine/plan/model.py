"""The Plan: every sector, every identifier, every step. What is shown is what is built.

All types are frozen. Sizes are bytes unless the name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from engine.boot.fill import Filler
from engine.boot.firmware import Firmware, FirmwareKind
from engine.boot.grub import BootCode
from engine.boot.guest import Guest
from engine.boot.menu import MenuEntry
from engine.disk.roles import ROLES
from engine.disk.verity import SIGNATURE, TREE
from engine.disk.view import Share
from engine.disk.volume import Volume
from engine.filesystems.driver import FilesystemPlan
from engine.manifest import subvolumes
from engine.manifest.manifest import Counts, Manifest
from engine.plan.outputs import OutputPlan
from engine.plan.sums import DEFAULT_SUMS, SumsPlan
from engine.problem import Problem
from engine.spec.settings import ContentSettings, Settings


@dataclass(frozen=True, slots=True)
class TableEntry:
    """What a partition table says of a volume besides its place; nothing where there is no table.

    Attributes:
        type: A GUID, or "0x83" in an MBR.
        flags: As libparted calls them.
    """

    type: str = ""
    guid: str | None = None
    name: str | None = None
    flags: tuple[str, ...] = ()


_LAYERS = {TREE: "hash tree", SIGNATURE: "signature"}


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumePlan:
    """One volume in its place. `start` and `sectors` count logical sectors of the disk.

    Attributes:
        id: Of the volume, unique on the disk.
        role: Key of `engine.disk.roles.ROLES`.
        mount: Where it is mounted, or None.
        number: Of its partition; 0 where it is not one.
        type: Of its partition: a GUID, or "0x83" in an MBR.
        attributes: Of its GPT entry, as a spec calls them.
        path: Its key path in the spec, or "" for a volume of the preset.
        verity: Id of the volume whose hash tree, or the signature of it, it holds; or "".
        root_hash: Of the hash tree, in hexadecimal; "" until what is hashed is written.
    """

    id: str
    role: str
    mount: str | None
    number: int
    start: int
    sectors: int
    bytes: int
    type: str
    guid: str | None
    name: str | None
    flags: tuple[str, ...]
    filesystem: FilesystemPlan | None
    attributes: tuple[str, ...] = ()
    path: str = ""
    verity: str = ""
    root_hash: str = ""

    @property
    def title(self) -> str:
        """What it is called in a sentence: by its role, or by its id where that says more."""
        if self.id == self.role:
            return ROLES[self.role].title
        if self.filesystem is not None and self.filesystem.type in _LAYERS:
            return f"{self.id} {_LAYERS[self.filesystem.type]}"
        return f"{self.id} file system" if self.filesystem is not None else f"{self.id} volume"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskPlan:
    """The disk as a whole.

    Attributes:
        guid: Of a GPT.
        signature: Of an MBR.
        boots: Firmware that it has a place for a loader of.
        extended: Start and sectors of an MBR's extended partition, where it has one.
        pmbr_boot: Whether the entry of a GPT's protective MBR is active.
    """

    bytes: int
    sector_size: int
    table: Literal["gpt", "mbr", "none"]
    guid: str | None
    signature: str | None
    boots: tuple[FirmwareKind, ...] = ()
    extended: tuple[int, int] | None = None
    pmbr_boot: bool = False


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
        verb: What it does; with `volume`, to which volume.
        bytes: What it will write or read, as its weight in the overall progress.
        argv: The exact command, where a tool runs; `$IMAGE` stands for the temporary image.
    """

    id: str
    verb: str
    title: str
    volume: str = ""
    bytes: int = 0
    argv: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BootPlan:
    """How the image boots.

    Attributes:
        loader: Key of `engine.spec.loaders.LOADERS`.
        menu: What the loader offers, the default first.
        firmware: What boots the image with the loader that is installed.
        proofs: Firmware that the build boots the image with to prove it.
        expect: Text on the serial console that proves it.
        timeout: Seconds that the text may take.
        code: What goes outside all partitions, where a BIOS boots the image.
        efi_entries: Title and path on the ESP of what boot variables start, the default first.
        architecture: What the default kernel is for, else the root; x86_64 where nothing tells.
        uefi: Firmware of this machine for the proof and the variables, if there is one.
        guest: The virtual machine that a NixOS system's own installer runs in, where it needs one.
        filler: The virtual machine that fills volumes that only a kernel can fill.
    """

    loader: str = "none"
    menu: tuple[MenuEntry, ...] = ()
    firmware: tuple[FirmwareKind, ...] = ()
    proofs: tuple[FirmwareKind, ...] = ()
    expect: str = ""
    timeout: int = 0
    code: BootCode | None = None
    efi_entries: tuple[tuple[str, str], ...] = ()
    architecture: str = "x86_64"
    uefi: Firmware | None = None
    guest: Guest | None = None
    filler: Filler | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityPlan:
    """What identifiers and times are made from.

    Attributes:
        seed: UUID text from which identifiers derive.
        epoch: Seconds since 1970; the time of everything that has no time of its own.
        deterministic: Not even the output's own time of making is this machine's.
    """

    seed: str
    epoch: int
    deterministic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NixPlan:
    """The NixOS system in the image; "" where there is none.

    Attributes:
        system: Its store path, or the installable that nix must build before there can be a
            whole plan.
        store: The store that it is in, as nix's --store takes it; "" for this machine's own.
        folder: Where the store's files lie on this machine.
    """

    system: str
    store: str
    folder: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that will be written, and everything that is wrong with it.

    Attributes:
        settings: What was asked, for those who show it; a build reads only what came of it.
        volumes: In disk order, those outside of the table included.
        reference: The reference's size figures, in compat.
        contents: The spec's entries, for what is recorded of them.
        output: The finished image.
        outputs: File names of the image and what goes with it.
        sums: Digests of the outputs.
        writes: Every file that the build makes in the output folder, those included.
        memory_mib: Memory of a virtual machine, in MiB, where one is used.
    """

    name: str
    settings: Settings
    disk: DiskPlan
    volumes: tuple[VolumePlan, ...]
    breakdown: tuple[Share, ...]
    counts: Counts
    reference: ReferenceSize | None
    steps: tuple[StepPlan, ...]
    problems: tuple[Problem, ...]
    contents: tuple[ContentSettings, ...]
    output: OutputPlan
    outputs: tuple[str, ...]
    identity: IdentityPlan
    nix: NixPlan
    memory_mib: int
    boot: BootPlan = BootPlan()
    sums: SumsPlan = DEFAULT_SUMS
    writes: tuple[str, ...] = ()

    @cached_property
    def partitions(self) -> tuple[VolumePlan, ...]:
        """The volumes that are partitions, by number."""
        found = (volume for volume in self.volumes if volume.number)
        return tuple(sorted(found, key=lambda volume: volume.number))

    @property
    def filesystem(self) -> FilesystemPlan | None:
        """The bare file system of a disk without a table, else None."""
        bare = self.disk.table == "none" and self.volumes
        return self.volumes[0].filesystem if bare else None

    @property
    def root(self) -> FilesystemPlan:
        """The root file system; KeyError if the disk has none."""
        root = self.of_role("root")
        if root is None or root.filesystem is None:
            raise KeyError("root")
        return root.filesystem

    def wanted(self, id_: str) -> Volume:
        """Returns a volume as its spec has it."""
        return next(one for one in self.settings.volumes if one.id == id_)

    def mounted(self, volume: VolumePlan) -> Manifest:
        """Returns what a volume holds as it shows once its subvolumes are mounted."""
        assert volume.filesystem is not None
        return subvolumes.mounted(volume.filesystem.manifest, self.wanted(volume.id))

    @property
    def root_tree(self) -> Manifest:
        """What the root holds, as it is mounted; KeyError if the disk has none."""
        root = self.of_role("root")
        if root is None or root.filesystem is None:
            raise KeyError("root")
        return self.mounted(root)

    @property
    def has_root(self) -> bool:
        """Whether there is a root file system, and it has a place."""
        root = self.of_role("root")
        return root is not None and root.filesystem is not None

    def volume(self, name: str) -> VolumePlan:
        """Returns the volume of an id; KeyError if the disk has none."""
        for volume in self.volumes:
            if volume.id == name:
                return volume
        raise KeyError(name)

    def of_role(self, role: str) -> VolumePlan | None:
        """Returns the first volume of a role, or None."""
        return next((volume for volume in self.volumes if volume.role == role), None)

    def offset(self, name: str) -> int:
        """Returns the byte at which a volume begins."""
        return self.volume(name).start * self.disk.sector_size

    @property
    def hash_trees(self) -> tuple[VolumePlan, ...]:
        """The volumes that hold the hash tree of another."""
        return tuple(
            one
            for one in self.volumes
            if one.filesystem is not None and one.filesystem.type == TREE
        )

    def has(self, role: str) -> bool:
        """Whether the disk has a volume of that role."""
        return self.of_role(role) is not None
