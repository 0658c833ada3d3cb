"""Problems met while the disk is laid out, with the numbers and the edits that solve them."""

from __future__ import annotations

from engine.ext4.geometry import GeometryError
from engine.manifest.manifest import Manifest
from engine.plan.capacity import grow_disk, sized
from engine.plan.parted_units import PartedError
from engine.plan.placement import PlacementError
from engine.problem import Fix, Problem
from engine.spec.settings import Settings
from engine.units import MIB, ceil_to, format_exact


def partial_sector(settings: Settings) -> Problem:
    """A fixed disk does not end with a whole sector."""
    size = settings.disk_bytes or 0
    wanted = format_exact(ceil_to(size, MIB))
    return Problem(
        "partial-sector",
        "error",
        "size.disk",
        f"{size} bytes are no whole number of sectors of {settings.sector_size} bytes",
        f"{wanted} is the next whole MiB",
        Fix(f"Grow the disk to {wanted}", (("size.disk", wanted),)),
    )


def unaligned_esp(settings: Settings) -> Problem:
    """The ESP's size is no whole number of KiB and sectors, which mkfs.fat counts in."""
    wanted = format_exact(ceil_to(settings.boot_bytes, MIB))
    return Problem(
        "esp-unaligned",
        "error",
        "size.boot",
        f"An ESP of {settings.boot_bytes} bytes is no whole number of KiB and sectors",
        f"{wanted} is the next whole MiB",
        Fix(f"Make the ESP {wanted}", (("size.boot", wanted),)),
    )


def unsolvable(error: GeometryError) -> Problem:
    """No root file system is large enough for the contents."""
    return Problem(
        "contents-too-large",
        "error",
        "contents",
        f"No file system is large enough for the contents: {error}",
        "Leave something out, or ask for less additional space",
    )


def outside_disk(
    settings: Settings, manifest: Manifest, disk: int, error: PlacementError
) -> Problem:
    """The partitions do not fit on the disk."""
    path, hint, fix = grow_disk(settings, manifest, disk)
    return Problem("disk-too-small", "error", path, f"{str(error).capitalize()}", hint, fix)


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
        hint if fix is not None else "Change where the ESP ends, or the size of the disk",
        fix,
    )
