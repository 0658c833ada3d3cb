"""The volumes of a spec with what goes into them, as the planner asks for their sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.disk.volume import Volume
from engine.filesystems.driver import Driver, Request
from engine.filesystems.table import DRIVERS
from engine.manifest.manifest import Manifest
from engine.spec.filesystems import RAW
from engine.spec.settings import Settings

EMPTY = Manifest(())
"""Contents of a volume that nothing goes into, not even a root directory."""


@dataclass(frozen=True, slots=True)
class Formatted:
    """How the file system of a volume is asked for."""

    driver: Driver
    request: Request


@dataclass(frozen=True, slots=True)
class Wanted:
    """A volume, and its file system if it has one."""

    volume: Volume
    filesystem: Formatted | None

    def emptied(self) -> Wanted:
        """Returns the volume with nothing in it, for the least size that its format has."""
        inside = self.filesystem
        if inside is None:
            return self
        return replace(
            self, filesystem=replace(inside, request=replace(inside.request, manifest=EMPTY))
        )


def wanted(
    settings: Settings, contents: Mapping[str, Manifest], sector_size: int
) -> tuple[Wanted, ...]:
    """Returns every volume in disk order.

    Args:
        settings: The spec, resolved.
        contents: By id of the volume; one that is not there stays empty.
        sector_size: Bytes of a logical sector of the disk.
    """
    return tuple(
        Wanted(volume, _filesystem(volume, contents.get(volume.id, EMPTY), settings, sector_size))
        for volume in settings.volumes
    )


def _filesystem(
    volume: Volume, manifest: Manifest, settings: Settings, sector_size: int
) -> Formatted | None:
    driver = DRIVERS.get(volume.format)
    empty = volume.format == RAW and not volume.source
    if driver is None or empty:
        return None
    request = Request(
        manifest=manifest,
        label=volume.label,
        uuid=volume.uuid,
        sector_size=sector_size,
        free=volume.free or 0,
        inodes=volume.inodes,
        compression=volume.compression,
        tool_defaults=settings.rules.mke2fs_defaults,
    )
    return Formatted(driver, request)
