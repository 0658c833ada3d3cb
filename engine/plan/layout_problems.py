"""Problems met while the disk is laid out, with the numbers and the edits that solve them."""

from __future__ import annotations

from engine.disk.parted_units import PartedError
from engine.plan.aligned import PlacementError, Unsolvable
from engine.plan.capacity import grow_disk
from engine.plan.design import Design
from engine.problem import Problem
from engine.units import sized


def unsolvable(error: Unsolvable) -> Problem:
    """No file system is large enough for the contents of a volume."""
    volume = error.volume
    where = "" if volume.role == "root" else f" of {volume.id}"
    return Problem(
        "contents-too-large",
        "error",
        volume.path or "contents",
        f"no file system is large enough for the contents{where}: {error}",
        "leave something out, or ask for less additional space",
    )


def outside_disk(design: Design, disk: int, error: PlacementError) -> Problem:
    """The partitions do not fit on the disk."""
    path, hint, fix = grow_disk(design, disk)
    return Problem("disk-too-small", "error", path, str(error), hint, fix)


def refused_by_parted(design: Design, disk: int, error: PartedError) -> Problem:
    """parted, which the reference leaves the layout to, would stop."""
    settings = design.settings
    _, hint, fix = grow_disk(design, disk)
    efi = settings.has("esp")
    return Problem(
        "parted-refuses",
        "error",
        "size.boot" if efi else "size.disk",
        f"parted refuses the reference's partitions on a disk of {sized(disk)}"
        + (f' with bootSize "{settings.size.boot_text}"' if efi else "")
        + f": {error}",
        hint if fix is not None else "change where the ESP ends, or the size of the disk",
        fix,
    )
