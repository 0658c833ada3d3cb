"""Whether everything fits where it shall go: problems with the numbers, and the edit that helps."""

from __future__ import annotations

from engine.disk.parted_units import PartedError
from engine.filesystems.ext4.format import BLOCK_SIZE
from engine.filesystems.ext4.geometry import MAX_BLOCKS, GeometryError
from engine.filesystems.ext4.solve import fits
from engine.filesystems.fat import geometry as fat
from engine.filesystems.fat import measure as fat_measure
from engine.manifest.manifest import Manifest
from engine.plan import compat, filesystems, placement
from engine.plan.model import FilesystemPlan, Plan
from engine.problem import Fix, Problem, Scalar
from engine.spec.settings import Settings
from engine.units import GIB, MIB, TIB, ceil_to, format_exact, human

_LARGEST_ESP = 4 * GIB
_LARGEST_DISK = 16 * TIB
_LARGEST_ROOT = MAX_BLOCKS * BLOCK_SIZE


def larger_disk(settings: Settings, manifest: Manifest, disk: int) -> int | None:
    """Returns the bytes of the smallest disk above one that is too small, in whole MiB.

    None where no size of the disk helps (the ESP's size does not work, or nothing is large
    enough).
    """
    try:
        root = filesystems.smallest_root(settings, manifest)
    except GeometryError:
        return None
    if settings.compat == "none":
        return placement.root_start(settings) + root + placement.tail(settings)
    return _larger_compat(settings, manifest, max(root // MIB, disk // MIB + 1))


def _larger_compat(settings: Settings, manifest: Manifest, low: int) -> int | None:
    """Searches upwards from so many MiB; parted's rounding has no simple inverse.

    From 512 MiB on, mke2fs makes room for fewer inodes by default, so that a disk that works may
    lie below one that does not.
    """
    high = low
    while not _holds(settings, manifest, high * MIB):
        low, high = high + 1, high * 2
        if high * MIB > _LARGEST_DISK:
            return None
    while low < high:
        middle = (low + high) // 2
        if _holds(settings, manifest, middle * MIB):
            high = middle
        else:
            low = middle + 1
    return low * MIB


def _holds(settings: Settings, manifest: Manifest, disk: int) -> bool:
    try:
        placed = compat.place(settings, disk)
        size = placed[-1].sectors * 512 if placed else disk
        layout = filesystems.root_geometry(settings, manifest, size)
    except (PartedError, GeometryError):
        return False
    return fits(filesystems.need(settings, manifest), layout) is None


def grow_disk(settings: Settings, manifest: Manifest, disk: int) -> tuple[str, str, Fix | None]:
    """Returns the key path, the hint and the fix that make the disk large enough."""
    wanted = larger_disk(settings, manifest, disk)
    if wanted is not None and wanted <= disk:
        wanted = None
    if settings.disk_bytes is None:
        path = "size.additional"
        if wanted is None or settings.compat == "none":
            return path, "leave something out of the contents", None
        more = settings.additional_bytes + wanted - disk
        text = f"{ceil_to(more, MIB) // MIB}M"
        return path, f"ask for {text} of additional space", _fix(f"Add space: {text}", path, text)
    if wanted is None:
        return "size.disk", "leave something out of the contents", None
    text = format_exact(wanted)
    return (
        "size.disk",
        f"the smallest disk that works has {text}",
        _fix(f"Grow the disk to {text}", "size.disk", text),
    )


def _fix(label: str, path: str, value: Scalar) -> Fix:
    return Fix(label, ((path, value),))


def root_unmakeable(
    settings: Settings, manifest: Manifest, disk: int, place: int, why: GeometryError
) -> Problem:
    """The root's place, of so many bytes, is too small for any file system, or too large."""
    if place > _LARGEST_ROOT:
        return _root_too_large(settings, disk, place)
    path, hint, fix = grow_disk(settings, manifest, disk)
    return Problem(
        "root-too-small",
        "error",
        path,
        f"the root has a place of {sized(place)} on a disk of {sized(disk)}, where no "
        f"{settings.filesystem} can be made: {why}",
        hint,
        fix,
    )


def _root_too_large(settings: Settings, disk: int, place: int) -> Problem:
    """The root's place goes beyond what a file system can count; a smaller disk solves it."""
    excess = ceil_to(place - _LARGEST_ROOT, MIB)
    if settings.disk_bytes is not None:
        path, text = "size.disk", format_exact(disk - excess)
        hint, label = f"a disk of {text} works", f"Shrink the disk to {text}"
    else:
        path, text = "size.additional", f"{(settings.additional_bytes - excess) // MIB}M"
        hint, label = f"{text} of additional space work", f"Ask for less space: {text}"
    solvable = settings.disk_bytes is not None or settings.additional_bytes >= excess
    return Problem(
        "root-too-large",
        "error",
        path,
        f"the root has a place of {sized(place)} on a disk of {sized(disk)}, and an "
        f"{settings.filesystem} reaches only {sized(_LARGEST_ROOT)}",
        hint if solvable else "leave something out of the contents",
        _fix(label, path, text) if solvable else None,
    )


def root_full(plan: Plan) -> list[Problem]:
    """The contents take more blocks or inodes than the root has."""
    root = root_filesystem(plan)
    if root is None or root.need is None or root.geometry is None:
        return []
    shortage = fits(root.need, root.geometry)
    if shortage is None:
        return []
    path, hint, fix = grow_disk(plan.settings, root.manifest, plan.disk.bytes)
    if shortage.resource == "blocks":
        code = "contents-too-large"
        needed, available = shortage.needed * BLOCK_SIZE, shortage.available * BLOCK_SIZE
        message = (
            f"the contents take {sized(needed)} of the root file system, which has "
            f"{sized(available)} for them: {sized(needed - available)} too little"
        )
    else:
        code = "too-few-inodes"
        message = (
            f"the contents take {shortage.needed} inodes, and the root file system has "
            f"{shortage.available} for them"
        )
    return [Problem(code, "error", path, message, hint, fix)]


def root_filesystem(plan: Plan) -> FilesystemPlan | None:
    """Returns the root file system, where the plan has got that far."""
    if plan.filesystem is not None:
        return plan.filesystem
    return plan.partition("root").filesystem if plan.has("root") else None


def esp_unmakeable(settings: Settings, sector_size: int, why: str) -> Problem:
    """No FAT file system fits the ESP."""
    return Problem(
        "esp-too-small", "error", "size.boot", f"the ESP cannot be made: {why}",
        f"the smallest that works has {format_exact(fat.smallest(sector_size=sector_size))}",
        _esp_fix(settings, fat.smallest(sector_size=sector_size)),
    )  # fmt: skip


def esp_full(plan: Plan) -> list[Problem]:
    """The ESP is no real FAT32, or its contents do not fit."""
    if not plan.has("esp"):
        return []
    filesystem = plan.partition("esp").filesystem
    if filesystem is None or filesystem.fat is None:
        return []
    settings, layout = plan.settings, filesystem.fat
    if layout.bits == 32 and layout.clusters < fat.MIN_CLUSTERS_32:
        wanted = fat.smallest(sector_size=layout.sector_size)
        return [
            Problem(
                "esp-too-few-clusters", "error", "size.boot",
                f"an ESP of {sized(layout.size)} with sectors of {layout.sector_size} bytes has "
                f"{layout.clusters} clusters; FAT32 begins at {fat.MIN_CLUSTERS_32}, and firmware "
                f"takes anything less for FAT16",
                f"the smallest ESP that works has {format_exact(wanted)}",
                _esp_fix(settings, wanted),
            )
        ]  # fmt: skip
    needed = fat_measure.measure(filesystem.manifest).clusters(layout)
    if needed <= layout.clusters:
        return []
    wanted_bytes = _smallest_esp(filesystem.manifest, layout)
    hint = (
        f"the smallest ESP that works has {format_exact(wanted_bytes)}"
        if wanted_bytes is not None
        else "leave something out of the ESP's contents"
    )
    return [
        Problem(
            "esp-too-small", "error", "size.boot",
            f"the ESP's contents take {sized(needed * layout.cluster_size)}, and it has "
            f"{sized(layout.data_bytes)} for them",
            hint,
            None if wanted_bytes is None else _esp_fix(settings, wanted_bytes),
        )
    ]  # fmt: skip


def _smallest_esp(manifest: Manifest, layout: fat.FatGeometry) -> int | None:
    """Returns the smallest ESP for given contents, in whole MiB."""
    need = fat_measure.measure(manifest)
    low = fat.smallest(sector_size=layout.sector_size) // MIB
    high = max(_LARGEST_ESP, ceil_to(2 * need.data_bytes, MIB)) // MIB
    while low < high:
        middle = (low + high) // 2
        tried = fat.geometry(middle * MIB, sector_size=layout.sector_size)
        if need.clusters(tried) <= tried.clusters:
            high = middle
        else:
            low = middle + 1
    tried = fat.geometry(low * MIB, sector_size=layout.sector_size)
    return low * MIB if need.clusters(tried) <= tried.clusters else None


def _esp_fix(settings: Settings, size: int) -> Fix | None:
    """Returns the edit to an ESP size; in compat the key says where the ESP ends."""
    if settings.compat == "make-disk-image":
        return None
    text = format_exact(size)
    return _fix(f"Grow the ESP to {text}", "size.boot", text)


def sized(size: int) -> str:
    """Returns a size for a sentence: rounded for the eye, and exact."""
    return f"{human(size)} ({size} bytes)"
