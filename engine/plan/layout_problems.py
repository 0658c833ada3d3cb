"""Problems met while the disk is laid out, with the numbers and the edits that solve them."""

from __future__ import annotations

from engine.disk.parted_units import PartedError
from engine.filesystems.ext4.geometry import GeometryError
from engine.filesystems.fat.geometry import smallest
from engine.manifest.manifest import Manifest
from engine.plan.capacity import grow_disk, sized
from engine.plan.placement import PlacementError
from engine.problem import Fix, Problem
from engine.spec.settings import Settings
from engine.units import MIB, ceil_to, format_exact


def unaligned_esp(settings: Settings) -> Problem:
    """The ESP's size is no whole number of KiB and sectors, which mkfs.fat counts in."""
    real = smallest(sector_size=settings.sector_size)
    wanted = format_exact(max(real, ceil_to(settings.boot_bytes, MIB)))
    return Problem(
        "esp-unaligned",
        "error",
        "size.boot",
        f"an ESP of {settings.boot_bytes} bytes is no whole number of KiB and sectors",
        f"{wanted} is the next size that works",
        Fix(f"Make the ESP {wanted}", (("size.boot", wanted),)),
    )


def unsolvable(error: GeometryError) -> Problem:
    """No root file system is large enough for the contents."""
    return Problem(
        "contents-too-large",
        "error",
        "contents",
        f"no file system is large enough for the contents: {error}",
        "leave something out, or ask for less additional space",
    )


def outside_disk(
    settings: Settings, manifest: Manifest, disk: int, error: PlacementError
) -> Problem:
    """The partitions do not fit on the disk."""
    path, hint, fix = grow_disk(settings, manifest, disk)
    return Problem("disk-too-small", "error", path, str(error), hint, fix)


def refused_by_parted(
    settings: Settings, manifest: Manifest, disk: int, error: PartedError
) -> Problem:
    """parted, which the reference leaves the layout to, would stop."""
    _, hint, fix = grow_disk(settings, manifest, disk)
    efi = settings.table in {"efi", "hybrid"}
    return Problem(
        "parted-refuses",
        "error",
        "size.boot" if efi else "size.disk",
        f"parted refuses the reference's partitions on a disk of {sized(disk)}"
        + (f' with bootSize "{settings.boot_text}"' if efi else "")
        + f": {error}",
        hint if fix is not None else "change where the ESP ends, or the size of the disk",
        fix,
    )
