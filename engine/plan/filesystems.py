"""The file systems of a plan: how large, how laid out, with which command, what is left free."""

from __future__ import annotations

from functools import lru_cache

from engine.filesystems.ext4 import solve
from engine.filesystems.ext4.format import FORMATS as EXT_FORMATS
from engine.filesystems.ext4.format import ExtFormat
from engine.filesystems.ext4.geometry import Geometry, geometry
from engine.filesystems.ext4.measure import Need, measure
from engine.filesystems.ext4.mke2fs import mke2fs_argv
from engine.filesystems.fat import measure as fat_measure
from engine.filesystems.fat.geometry import FatGeometry, mkfs_argv
from engine.filesystems.fat.geometry import geometry as fat_geometry
from engine.manifest.manifest import Manifest
from engine.plan.model import FilesystemPlan
from engine.plan.steps import IMAGE
from engine.spec import identity
from engine.spec.filesystems import ESP_LABEL
from engine.spec.settings import Settings

COMPAT_RESERVED_PERCENT = 5
"""What mke2fs keeps for the superuser unless told; the reference does not tell it."""


def need(settings: Settings, manifest: Manifest) -> Need:
    """Returns what a manifest takes from the root file system; cached with the manifest."""
    return measure(manifest, EXT_FORMATS[settings.filesystem])


def root_geometry(settings: Settings, manifest: Manifest, size: int) -> Geometry:
    """Returns the layout of a root file system of so many bytes.

    Raises:
        GeometryError: mke2fs would refuse the size.
    """
    ext = EXT_FORMATS[settings.filesystem]
    if settings.compat == "make-disk-image":
        return geometry(size, ext=ext, reserved_percent=COMPAT_RESERVED_PERCENT)
    return solve.fixed(
        need(settings, manifest), size, additional_inodes=settings.additional_inodes, ext=ext
    )


def solve_root(settings: Settings, manifest: Manifest) -> solve.Solution:
    """Returns the smallest root that leaves `size.additional` free.

    Raises:
        GeometryError: The contents are too large for any.
    """
    return solve.solve(
        need(settings, manifest),
        additional_bytes=settings.additional_bytes,
        additional_inodes=settings.additional_inodes,
        ext=EXT_FORMATS[settings.filesystem],
    )


def smallest_root(settings: Settings, manifest: Manifest) -> int:
    """Returns the bytes of the smallest root that holds the contents, in whole MiB.

    Raises:
        GeometryError: The contents are too large for any.
    """
    compat = settings.compat == "make-disk-image"
    return _smallest(
        need(settings, manifest),
        EXT_FORMATS[settings.filesystem],
        COMPAT_RESERVED_PERCENT if compat else None,
    )


@lru_cache(maxsize=16)
def _smallest(taken: Need, ext: ExtFormat, percent: int | None) -> int:
    """Searches once for contents that do not change, as the wizard plans again at every key."""
    return solve.smallest(taken, ext=ext, reserved_percent=percent).size_bytes


def root(
    settings: Settings, manifest: Manifest, layout: Geometry, *, offset: int
) -> FilesystemPlan:
    """Returns the root file system, `offset` bytes into the image."""
    compat = settings.compat == "make-disk-image"
    taken = need(settings, manifest)
    return FilesystemPlan(
        type=settings.filesystem,
        label=settings.label,
        uuid=settings.root_filesystem_uuid,
        size=layout.blocks * layout.block_size,
        block_size=layout.block_size,
        blocks=layout.blocks,
        inodes=layout.inodes,
        manifest=manifest,
        data_bytes=taken.data_bytes,
        free_bytes=max(0, layout.free_blocks - solve.taken_blocks(taken, layout))
        * layout.block_size,
        free_inodes=max(0, layout.free_inodes - taken.inodes),
        mkfs=mke2fs_argv(
            IMAGE,
            layout,
            offset=offset,
            uuid=settings.root_filesystem_uuid,
            label=settings.label,
            reserved_percent=COMPAT_RESERVED_PERCENT if compat else 0,
        ),
        geometry=layout,
        need=taken,
    )


def esp_geometry(settings: Settings, size: int, sector_size: int) -> FatGeometry:
    """Returns the layout of the ESP's file system.

    Raises:
        FatSizeError: No FAT file system fits.
    """
    bits = None if settings.compat == "make-disk-image" else 32
    return fat_geometry(size, sector_size=sector_size, bits=bits)


def esp(
    settings: Settings, manifest: Manifest, layout: FatGeometry, *, offset: int
) -> FilesystemPlan:
    """Returns the ESP's file system, `offset` bytes into the image."""
    taken = fat_measure.measure(manifest)
    volume_id = f"{identity.derive_32(settings.seed, 'filesystem/esp'):08X}"
    return FilesystemPlan(
        type="vfat",
        label=ESP_LABEL,
        uuid=f"{volume_id[:4]}-{volume_id[4:]}",
        size=layout.size,
        block_size=layout.cluster_size,
        blocks=layout.clusters,
        inodes=0,
        manifest=manifest,
        data_bytes=taken.data_bytes,
        free_bytes=max(0, layout.clusters - taken.clusters(layout)) * layout.cluster_size,
        free_inodes=0,
        mkfs=mkfs_argv(layout, IMAGE, offset, ESP_LABEL),
        fat=layout,
    )
