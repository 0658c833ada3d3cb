"""The volumes of a spec with what goes into them, as the planner asks for their sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from engine.disk.volume import Volume
from engine.filesystems.driver import Below, DoesNotFit, Driver, Request, Sized
from engine.filesystems.table import DRIVERS
from engine.manifest import subvolumes
from engine.manifest.manifest import Manifest
from engine.spec import identity
from engine.spec.filesystems import FILESYSTEMS, RAW
from engine.spec.settings import Settings
from engine.units import MIB, ceil_to

_SECOND_NS = 1_000_000_000
EMPTY = Manifest(())
"""Contents of a volume that nothing goes into, not even a root directory."""


@dataclass(frozen=True, slots=True)
class Formatted:
    """How the file system of a volume is asked for."""

    driver: Driver
    request: Request


@dataclass(frozen=True)
class Wanted:
    """A volume, and its file system if it has one."""

    volume: Volume
    filesystem: Formatted | None

    @cached_property
    def sized(self) -> Sized | None:
        """Its file system where that decides its size.

        Raises:
            DoesNotFit: No size is large enough.
        """
        volume, wanted = self.volume, self.filesystem
        if volume.size is not None or volume.grow or wanted is None:
            return None
        return wanted.driver.least(wanted.request)

    @property
    def bytes(self) -> int | None:
        """Bytes of its place, or None where it takes a share of what is left.

        Raises:
            DoesNotFit: No size is large enough.
        """
        volume = self.volume
        if volume.size is not None:
            return volume.size
        if volume.grow:
            return None
        least = ceil_to(max(volume.least, MIB), MIB)
        return least if self.sized is None else max(self.sized.bytes, least)

    @property
    def is_layer(self) -> bool:
        """Whether it goes with another volume, as a hash tree does."""
        row = FILESYSTEMS.get(self.volume.format)
        return row is not None and row.layer


def wanted(
    settings: Settings, contents: Mapping[str, Manifest], sector_size: int
) -> tuple[Wanted, ...]:
    """Returns every volume in disk order.

    Args:
        settings: The spec, resolved.
        contents: By id of the volume; one that is not there stays empty.
        sector_size: Bytes of a logical sector of the disk.
    """
    found = {
        volume.id: Wanted(
            volume,
            _filesystem(volume, contents.get(volume.id, EMPTY), settings, sector_size),
        )
        for volume in settings.volumes
    }
    return tuple(_layered(one, found, settings) if one.is_layer else one for one in found.values())


def _layered(one: Wanted, found: Mapping[str, Wanted], settings: Settings) -> Wanted:
    """Returns a layer that knows what it goes with; without a format where that is not known."""
    data = found.get(one.volume.verity)
    try:
        size = None if data is None or data.is_layer else data.bytes
    except DoesNotFit:
        size = None
    if size is None or one.filesystem is None:
        return replace(one, filesystem=None)
    volume = one.volume
    below = Below(
        id=volume.verity,
        size=size,
        salt=identity.derive_salt(settings.identity.seed, f"verity/{volume.verity}"),
        key=volume.key,
        certificate=volume.certificate,
    )
    request = replace(one.filesystem.request, below=below)
    return replace(one, filesystem=replace(one.filesystem, request=request))


def _filesystem(
    volume: Volume, manifest: Manifest, settings: Settings, sector_size: int
) -> Formatted | None:
    driver = DRIVERS.get(volume.format)
    empty = volume.format == RAW and not volume.source
    if driver is None or empty:
        return None
    epoch_ns = settings.identity.source_date_epoch * _SECOND_NS
    request = Request(
        manifest=subvolumes.arranged(manifest, volume, epoch_ns),
        label=volume.label,
        uuid=volume.uuid,
        sector_size=sector_size,
        free=volume.free or 0,
        inodes=volume.inodes,
        compression=volume.compression,
        subvolumes=tuple(sorted(one.name for one in volume.subvolumes)),
        default_subvolume=volume.default_subvolume,
        grown=volume.grown,
        tool_defaults=settings.rules.mke2fs_defaults,
    )
    return Formatted(driver, request)
