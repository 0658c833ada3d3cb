"""A spec's volumes before they have places, and what decides their places: one set of rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Protocol

from engine.boot.machine import DEFAULT, by_loader
from engine.disk.placement import Place
from engine.disk.volume import Volume
from engine.filesystems.driver import FilesystemPlan
from engine.manifest.manifest import Manifest
from engine.manifest.mounted import mounted
from engine.plan import aligned, parted
from engine.plan.model import ReferenceSize, TableEntry
from engine.plan.wanted import EMPTY, Wanted, wanted
from engine.spec.formats import FORMATS
from engine.spec.rules import PlacerKey
from engine.spec.settings import Settings
from engine.units import ceil_to


@dataclass(frozen=True)
class Design:
    """What is to be laid out.

    Attributes:
        settings: The spec, resolved.
        contents: By id of the volume.
        architecture: Of the kernel or the programs in it, as `uname -m` has it; "" is not known.
    """

    settings: Settings
    contents: Mapping[str, Manifest]
    architecture: str = ""

    @cached_property
    def wanted(self) -> tuple[Wanted, ...]:
        """Every volume in disk order."""
        return wanted(self.settings, self.contents, self.sector_size)

    @property
    def sector_size(self) -> int:
        """Bytes of a logical sector, whatever the spec says under rules that know one only."""
        return self.settings.rules.sector_size or self.settings.layout.sector_size

    def of(self, name: str) -> Wanted:
        """Returns the volume of an id; KeyError if there is none."""
        for one in self.wanted:
            if one.volume.id == name:
                return one
        raise KeyError(name)

    @cached_property
    def root(self) -> Manifest:
        """Contents of the root file system; nothing where there is none."""
        volume = self.settings.of_role("root")
        return EMPTY if volume is None else self.contents.get(volume.id, EMPTY)

    @cached_property
    def root_architecture(self) -> str:
        """What the root is for, as `uname -m` names it."""
        tree = mounted(self.settings.volumes, self.contents)
        return by_loader(tree) or self.architecture or DEFAULT


class Placer(Protocol):
    """A way to decide sizes and places."""

    @property
    def reference(self) -> ReferenceSize | None:
        """The reference's size figures, where it is its way."""
        ...

    def disk(self) -> int:
        """Returns the bytes of a disk of automatic size.

        Raises:
            engine.plan.aligned.Unsolvable: A volume's contents are too large for any.
        """
        ...

    def places(self, disk: int) -> tuple[Place, ...]:
        """Returns the place of every partition, or of the bare file system.

        Raises:
            engine.plan.aligned.PlacementError: They do not fit.
            engine.disk.parted_units.PartedError: parted would refuse them.
        """
        ...

    def fit(self, one: Wanted, size: int) -> FilesystemPlan:
        """Returns the file system of a volume in a place of so many bytes.

        Raises:
            DoesNotFit: None can be made of that size.
        """
        ...

    def entry(self, volume: Volume) -> TableEntry:
        """Returns what the table says of a volume."""
        ...


class Aligned:
    """See `engine.plan.aligned`."""

    reference: ReferenceSize | None = None

    def __init__(self, design: Design) -> None:
        self._design = design

    @cached_property
    def _known(self) -> aligned.Sizes:
        design = self._design
        known = aligned.sizes(design.wanted)
        if design.settings.size.disk is not None:
            return known
        return aligned.rounded(design.settings.scheme, design.wanted, known, self._multiple)

    @property
    def _multiple(self) -> int:
        return FORMATS[self._design.settings.output.format].size.multiple

    def disk(self) -> int:
        design = self._design
        needed = aligned.disk_bytes(design.settings.scheme, design.wanted, self._known)
        return ceil_to(needed, self._multiple)

    def places(self, disk: int) -> tuple[Place, ...]:
        design = self._design
        return aligned.place(
            design.settings.scheme, design.sector_size, disk, design.wanted, self._known
        )

    def fit(self, one: Wanted, size: int) -> FilesystemPlan:
        """See `Placer.fit`; a size that was solved for comes with its file system."""
        solved = self._known.filesystems.get(one.volume.id)
        if solved is not None and self._known.bytes[one.volume.id] == size:
            return solved
        assert one.filesystem is not None
        return one.filesystem.driver.fit(one.filesystem.request, size)

    def entry(self, volume: Volume) -> TableEntry:
        return aligned.entry(self._design.settings.scheme, volume, self._design.root_architecture)


class Parted:
    """See `engine.plan.parted`."""

    def __init__(self, design: Design) -> None:
        self._design = design
        self._size = parted.reference_size(design.settings, design.root)

    @property
    def reference(self) -> ReferenceSize | None:
        return self._size

    def disk(self) -> int:
        return self._size.diskSize

    def places(self, disk: int) -> tuple[Place, ...]:
        return parted.place(self._design.settings, disk)

    def fit(self, one: Wanted, size: int) -> FilesystemPlan:
        assert one.filesystem is not None
        return one.filesystem.driver.fit(one.filesystem.request, size)

    def entry(self, volume: Volume) -> TableEntry:
        return parted.entry(self._design.settings, volume)


PLACERS: Mapping[PlacerKey, Callable[[Design], Placer]] = MappingProxyType(
    {"aligned": Aligned, "parted": Parted}
)
"""By `engine.spec.rules.Rules.placer`."""


def placer(design: Design) -> Placer:
    """Returns what decides the places under the rules of a design."""
    return PLACERS[design.settings.rules.placer](design)


def smallest(one: Wanted) -> int:
    """Returns the bytes of the smallest place that holds a volume's contents.

    Raises:
        DoesNotFit: None is large enough.
    """
    if one.filesystem is None:
        return one.volume.size or one.volume.least
    return max(one.filesystem.driver.smallest(one.filesystem.request), one.volume.least)
