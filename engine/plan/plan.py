"""Makes the Plan: pure arithmetic over settings, manifests and what is known of the machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from engine.boot.assemble import BootAssets
from engine.disk.parted_units import PartedError
from engine.filesystems.ext4.geometry import Geometry, GeometryError
from engine.filesystems.fat.geometry import FatSizeError
from engine.manifest.manifest import Counts, Manifest
from engine.plan import (
    booting,
    capacity,
    compat,
    filesystems,
    layout_problems,
    placement,
    preflight,
)
from engine.plan.breakdown import breakdown
from engine.plan.host import Host
from engine.plan.machine import machine
from engine.plan.model import (
    DiskPlan,
    FilesystemPlan,
    PartitionPlan,
    Plan,
    ReferenceSize,
)
from engine.plan.outputs import outputs
from engine.plan.placement import Placement, PlacementError
from engine.plan.steps import steps
from engine.problem import Problem
from engine.spec import identity
from engine.spec.settings import Settings
from engine.units import KIB

COMPAT_SECTOR = 512


class Scanned(Protocol):
    """What the scan found: the contents of each file system."""

    @property
    def root(self) -> Manifest:
        """Contents of the root file system."""
        ...

    @property
    def esp(self) -> Manifest:
        """Contents of the EFI system partition."""
        ...


def make_plan(
    settings: Settings,
    scanned: Scanned,
    host: Host,
    problems: Iterable[Problem] = (),
    boot: BootAssets | None = None,
) -> Plan:
    """Returns the whole plan. Opens nothing, starts nothing, never raises for what a user wrote.

    Args:
        settings: What is wanted.
        scanned: What goes in, the loader's files included.
        host: What `engine.plan.host.probe` saw.
        problems: Those found before; the plan's own are added.
        boot: What `engine.boot.install.install` brought besides files.
    """
    return _Planner(settings, scanned, boot or BootAssets()).plan(host, tuple(problems))


@dataclass(slots=True)
class _Sizes:
    """The size of the disk, and what it follows from.

    Attributes:
        geometry: The root's, where it was solved for together with the size.
        solved: Whether there is a size at all that holds the contents.
    """

    disk: int
    reference: ReferenceSize | None = None
    geometry: Geometry | None = None
    solved: bool = True


class _Planner:
    """One planning: gathers problems while it goes."""

    def __init__(self, settings: Settings, scanned: Scanned, boot: BootAssets) -> None:
        self.settings = settings
        self.scanned = scanned
        self.boot = boot
        self.compat = settings.compat == "make-disk-image"
        self.sector = COMPAT_SECTOR if self.compat else settings.sector_size
        self.problems: list[Problem] = []

    def plan(self, host: Host, earlier: tuple[Problem, ...]) -> Plan:
        settings = self.settings
        sizes = self._sizes()
        disk = DiskPlan(
            bytes=sizes.disk,
            sector_size=self.sector,
            table=_table(settings),
            guid=settings.disk_guid if placement.is_gpt(settings.table) else None,
            signature=self._signature(),
        )
        partitions, bare = self._filled(sizes)
        plan = Plan(
            name=settings.name,
            settings=settings,
            disk=disk,
            partitions=partitions,
            filesystem=bare,
            breakdown=breakdown(disk, partitions, bare),
            counts=_sum(self.scanned.root.counts, self.scanned.esp.counts),
            reference=sizes.reference,
            steps=(),
            problems=(),
            outputs=outputs(settings),
            boot=booting.plan(settings, disk, partitions, self.boot, host.firmware),
        )
        if _complete(plan):
            plan = replace(plan, steps=steps(plan))
        self.problems += [*self.boot.problems, *booting.problems(plan)]
        self.problems += preflight.contents(plan, self.scanned.esp)
        found = (*earlier, *self.scanned.root.problems, *self.scanned.esp.problems, *self.problems)
        plan = replace(plan, problems=preflight.unique(found))
        lacking = (*booting.lacking(plan, self.boot, host), *preflight.machine(plan, host))
        return replace(plan, problems=(*plan.problems, *lacking))

    def _sizes(self) -> _Sizes:
        """Decides the size of the disk."""
        settings = self.settings
        reference = None
        if self.compat:
            reference = compat.reference_size(settings, self.scanned.root)
            if settings.disk_bytes is None:
                return _Sizes(reference.diskSize, reference)
        if settings.disk_bytes is not None:
            return _Sizes(settings.disk_bytes, reference)
        before = placement.root_start(settings)
        behind = placement.tail(settings)
        try:
            solved = filesystems.solve_root(settings, self.scanned.root)
        except GeometryError as error:
            self.problems.append(layout_problems.unsolvable(error))
            return _Sizes(before + behind, solved=False)
        return _Sizes(before + solved.size_bytes + behind, geometry=solved.geometry)

    def _placements(self, disk: int) -> tuple[Placement, ...]:
        settings, manifest = self.settings, self.scanned.root
        try:
            if self.compat:
                return compat.place(settings, disk)
            if settings.table in {"efi", "hybrid"} and settings.boot_bytes % max(self.sector, KIB):
                self.problems.append(layout_problems.unaligned_esp(settings))
                return ()
            return placement.place(settings, disk, machine(manifest))
        except PartedError as error:
            self.problems.append(layout_problems.refused_by_parted(settings, manifest, disk, error))
        except PlacementError as error:
            self.problems.append(layout_problems.outside_disk(settings, manifest, disk, error))
        return ()

    def _filled(self, sizes: _Sizes) -> tuple[tuple[PartitionPlan, ...], FilesystemPlan | None]:
        """Returns the partitions with their file systems, or the bare file system."""
        if not sizes.solved:
            return (), None
        if self.settings.table == "none":
            return (), self._root(sizes.disk, 0, sizes)
        partitions = []
        for placed in self._placements(sizes.disk):
            size, offset = placed.sectors * self.sector, placed.start * self.sector
            filesystem = None
            if placed.role == "root":
                filesystem = self._root(size, offset, sizes)
            elif placed.role == "esp":
                filesystem = self._esp(size, offset)
            partitions.append(
                PartitionPlan(
                    number=placed.number,
                    role=placed.role,
                    start=placed.start,
                    sectors=placed.sectors,
                    bytes=size,
                    type=placed.type,
                    guid=placed.guid,
                    name=placed.name,
                    flags=placed.flags,
                    filesystem=filesystem,
                )
            )
        return tuple(partitions), None

    def _root(self, size: int, offset: int, sizes: _Sizes) -> FilesystemPlan | None:
        settings, manifest = self.settings, self.scanned.root
        try:
            geometry = sizes.geometry or filesystems.root_geometry(settings, manifest, size)
        except GeometryError as error:
            self.problems.append(
                capacity.root_unmakeable(settings, manifest, sizes.disk, size, error)
            )
            return None
        return filesystems.root(settings, manifest, geometry, offset=offset)

    def _esp(self, size: int, offset: int) -> FilesystemPlan | None:
        try:
            layout = filesystems.esp_geometry(self.settings, size, self.sector)
        except FatSizeError as error:
            self.problems.append(capacity.esp_unmakeable(self.settings, self.sector, str(error)))
            return None
        return filesystems.esp(self.settings, self.scanned.esp, layout, offset=offset)

    def _signature(self) -> str | None:
        if self.settings.table != "legacy":
            return None
        return f"0x{identity.derive_32(self.settings.seed, 'mbr-signature'):08x}"


def _table(settings: Settings) -> Literal["gpt", "mbr", "none"]:
    if placement.is_gpt(settings.table):
        return "gpt"
    return "none" if settings.table == "none" else "mbr"


def _complete(plan: Plan) -> bool:
    """Whether every file system has a place and a layout, so that the plan can be carried out."""
    if plan.filesystem is not None:
        return True
    return plan.has("root") and all(
        partition.filesystem is not None
        for partition in plan.partitions
        if partition.role != "bios-boot"
    )


def _sum(root: Counts, esp: Counts) -> Counts:
    """Returns what both file systems hold; an ESP's own root directory is not counted."""
    return Counts(
        root.files + esp.files,
        root.directories + max(0, esp.directories - 1),
        root.symlinks + esp.symlinks,
        root.others + esp.others,
        root.hard_links + esp.hard_links,
        root.data_bytes + esp.data_bytes,
    )
