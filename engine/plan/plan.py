"""Makes the Plan: pure arithmetic over settings, manifests and what is known of the machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from engine.boot.assemble import BootAssets
from engine.disk import placement
from engine.disk.parted_units import PartedError
from engine.disk.placement import Place
from engine.filesystems.driver import DoesNotFit, FilesystemPlan
from engine.manifest.manifest import Counts, Manifest
from engine.plan import booting, capacity, layout_problems, preflight
from engine.plan.aligned import PlacementError, Unsolvable
from engine.plan.breakdown import breakdown
from engine.plan.design import Design, placer
from engine.plan.host import Host
from engine.plan.model import DiskPlan, IdentityPlan, NixPlan, Plan, TableEntry, VolumePlan
from engine.plan.outputs import output_plan, outputs, writes
from engine.plan.steps import steps
from engine.plan.sums import sums_plan
from engine.plan.wanted import Wanted
from engine.problem import Problem
from engine.spec import format_rules
from engine.spec.formats import FORMATS
from engine.spec.settings import Settings


def make_plan(
    settings: Settings,
    contents: Mapping[str, Manifest],
    host: Host,
    problems: Iterable[Problem] = (),
    boot: BootAssets | None = None,
) -> Plan:
    """Returns the whole plan. Opens nothing, starts nothing, never raises for what a user wrote.

    Args:
        settings: What is wanted.
        contents: What goes in, by id of the volume, the loader's files included.
        host: What `engine.plan.host.probe` saw.
        problems: Those found before; the plan's own are added.
        boot: What `engine.boot.install.install` brought besides files.
    """
    boot = boot or BootAssets()
    design = Design(settings, contents, boot.architecture)
    return _Planner(design, boot).plan(host, tuple(problems))


class _Planner:
    """One planning: gathers problems while it goes."""

    def __init__(self, design: Design, boot: BootAssets) -> None:
        self.design = design
        self.settings = design.settings
        self.boot = boot
        self.placer = placer(design)
        self.problems: list[Problem] = []

    def plan(self, host: Host, earlier: tuple[Problem, ...]) -> Plan:
        settings, design = self.settings, self.design
        size = self._size()
        places = self._places(size)
        volumes = tuple(
            self._filled(one, places[one.volume.id], size)
            for one in design.wanted
            if one.volume.id in places
        )
        sector = design.sector_size
        disk = DiskPlan(
            bytes=size,
            sector_size=sector,
            table=settings.scheme,
            guid=settings.identity.disk_guid if settings.scheme == "gpt" else None,
            signature=self._signature(),
            boots=settings.boots,
            extended=placement.extended(tuple(places.values()), sector)
            if settings.scheme == "mbr"
            else None,
            pmbr_boot=settings.layout.pmbr_boot,
        )
        parts = breakdown(disk, volumes)
        plan = Plan(
            name=settings.name,
            settings=settings,
            disk=disk,
            volumes=volumes,
            breakdown=parts,
            counts=_sum(design),
            reference=self.placer.reference,
            steps=(),
            problems=(),
            contents=settings.contents,
            output=output_plan(settings),
            outputs=outputs(settings),
            identity=IdentityPlan(
                seed=settings.identity.seed,
                epoch=settings.identity.source_date_epoch,
                deterministic=settings.identity.deterministic,
            ),
            nix=NixPlan(
                system=settings.nix.system,
                store=settings.nix.store,
                folder=settings.nix.folder,
            ),
            memory_mib=settings.vm.memory_mib,
            boot=booting.plan(settings, disk, volumes, self.boot, host.firmware),
            sums=sums_plan(settings, size, parts),
        )
        if _complete(plan, design):
            plan = replace(plan, steps=steps(plan))
        sbom = any(step.id == "sbom" for step in plan.steps)
        plan = replace(
            plan,
            writes=writes(settings, sbom=sbom, hydra=host.products, sums=plan.sums.used),
        )
        self.problems += [*self.boot.problems, *booting.problems(plan)]
        self.problems += preflight.contents(plan, design)
        if settings.size.disk is None:
            self.problems += format_rules.size(FORMATS[settings.output.format], size)
        scanned = [
            problem for manifest in design.contents.values() for problem in manifest.problems
        ]
        plan = replace(plan, problems=preflight.unique((*earlier, *scanned, *self.problems)))
        lacking = (*booting.lacking(plan, self.boot, host), *preflight.of_host(plan, host))
        return replace(plan, problems=(*plan.problems, *lacking))

    def _size(self) -> int:
        """Decides the size of the disk."""
        settings = self.settings
        if settings.size.disk is not None:
            return settings.size.disk
        try:
            return self.placer.disk()
        except Unsolvable as error:
            self.problems.append(layout_problems.unsolvable(error))
            return placement.FIRST_BYTE + placement.tail(settings.scheme)

    def _places(self, disk: int) -> dict[str, Place]:
        """Decides where everything lies; nothing lies anywhere where that cannot be said."""
        design = self.design
        if self.problems:
            return {}
        if self.settings.rules.placer == "aligned":
            self.problems += capacity.unaligned(design)
            if self.problems:
                return {}
        try:
            return {place.id: place for place in self.placer.places(disk)}
        except Unsolvable as error:
            self.problems.append(layout_problems.unsolvable(error))
        except PartedError as error:
            self.problems.append(layout_problems.refused_by_parted(design, disk, error))
        except PlacementError as error:
            self.problems.append(layout_problems.outside_disk(design, disk, error))
        return {}

    def _filled(self, one: Wanted, place: Place, disk: int) -> VolumePlan:
        """Returns a volume in its place, with its file system."""
        volume = one.volume
        size = place.sectors * self.design.sector_size
        entry = self.placer.entry(volume) if place.number else TableEntry()
        return VolumePlan(
            id=volume.id,
            role=volume.role,
            mount=volume.mount,
            number=place.number,
            start=place.start,
            sectors=place.sectors,
            bytes=size,
            type=entry.type,
            guid=entry.guid,
            name=entry.name,
            flags=entry.flags,
            filesystem=self._filesystem(one, size, disk),
            attributes=volume.attributes if self.settings.scheme == "gpt" else (),
            path=volume.path,
            verity=volume.verity,
        )

    def _filesystem(self, one: Wanted, size: int, disk: int) -> FilesystemPlan | None:
        if one.filesystem is None:
            return None
        try:
            return self.placer.fit(one, size)
        except DoesNotFit as error:
            self.problems.append(capacity.unmakeable(self.design, one, disk, size, error))
            return None

    def _signature(self) -> str | None:
        if self.settings.scheme != "mbr":
            return None
        return f"0x{self.settings.mbr_signature}"


def _complete(plan: Plan, design: Design) -> bool:
    """Whether every volume has a place and a layout, so that the plan can be carried out."""
    there = {volume.id: volume for volume in plan.volumes}
    return all(
        one.volume.id in there
        and (one.filesystem is None or there[one.volume.id].filesystem is not None)
        for one in design.wanted
    )


def _sum(design: Design) -> Counts:
    """Returns what all volumes hold; root directories other than the root's are not counted."""
    files = directories = symlinks = others = hard_links = data = 0
    root = design.settings.of_role("root")
    for name, manifest in design.contents.items():
        counts = manifest.counts
        own = 0 if root is not None and name == root.id else 1
        files += counts.files
        directories += max(0, counts.directories - own)
        symlinks += counts.symlinks
        others += counts.others
        hard_links += counts.hard_links
        data += counts.data_bytes
    return Counts(files, directories, symlinks, others, hard_links, data)
