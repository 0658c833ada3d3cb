"""Where every byte of the disk goes; the parts sum to the disk, exactly and always."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.disk.gpt import BACKUP_SECTORS, FIRST_USABLE
from engine.disk.view import Share
from engine.plan.model import DiskPlan, VolumePlan

LABELS = {
    "table": "Partition table",
    "boot-gap": "Gap for a boot loader",
    "bios-boot": "BIOS boot partition",
    "esp-metadata": "ESP: tables and directories",
    "esp-contents": "ESP: file contents",
    "esp-free": "ESP: free",
    "packed": "Compressed contents, at most",
    "contents": "File contents",
    "rounding": "Contents, rounded up to blocks",
    "bound": "Metadata of the contents, at most",
    "directories": "Directories",
    "inode-tables": "Inode tables",
    "journal": "Journal",
    "metadata": "Other metadata",
    "reserved": "Reserved for the superuser",
    "hash-tree": "Hash tree",
    "signature": "Signature",
    "free": "Free",
    "unformatted": "Without a file system",
    "alignment": "Alignment",
    "tail": "Unused tail",
}
"""Every part there can be, in the order in which they are shown."""


_OF_ESP = {"metadata": "esp-metadata", "contents": "esp-contents", "free": "esp-free"}
"""Parts of the ESP that are told apart from the root's."""


def breakdown(disk: DiskPlan, volumes: Sequence[VolumePlan]) -> tuple[Share, ...]:
    """Returns the parts that are not empty: those of `LABELS` in order, then volume by volume.

    The root's parts and the disk's own have plain keys, those of the ESP their own, and those of
    every other volume its id in front.
    """
    sums = dict.fromkeys(LABELS, 0)
    labels = dict(LABELS)
    owners: dict[str, str] = {}
    for key, label, size, owner in _parts(disk, volumes):
        labels.setdefault(key, label)
        owners.setdefault(key, owner)
        sums[key] = sums.get(key, 0) + size
    return tuple(
        Share(key, labels[key], size, owners.get(key, "")) for key, size in sums.items() if size
    )


def _parts(disk: DiskPlan, volumes: Sequence[VolumePlan]) -> Iterator[tuple[str, str, int, str]]:
    """Yields keys, labels, bytes, and the volume they belong to."""
    if not volumes:
        yield "unformatted", "", disk.bytes, ""
        return
    front, back = _table_bytes(disk)
    at = front
    yield "table", "", front + back, ""
    main = next((volume.id for volume in volumes if volume.role == "root"), None)
    for index, volume in enumerate(sorted(volumes, key=lambda one: one.start)):
        start = volume.start * disk.sector_size
        yield ("alignment" if index else "boot-gap"), "", start - at, ""
        yield from _inside(volume, plain=volume.id == main)
        at = start + volume.bytes
    yield "tail", "", disk.bytes - back - at, ""


def _table_bytes(disk: DiskPlan) -> tuple[int, int]:
    """Returns the bytes of the table at the front and of its copy at the end."""
    if disk.table == "gpt":
        sector = disk.sector_size
        return FIRST_USABLE[sector] * sector, BACKUP_SECTORS[sector] * sector
    return disk.sector_size if disk.table == "mbr" else 0, 0


def _inside(volume: VolumePlan, *, plain: bool) -> Iterator[tuple[str, str, int, str]]:
    """Yields the parts of a volume; what does not fit is cut off, so that the sum always holds."""
    if volume.filesystem is None:
        own = "unformatted" if plain or volume.id == "esp" else f"{volume.id}-unformatted"
        key = volume.role if volume.role in LABELS else own
        yield key, f"{volume.id}: {LABELS['unformatted'].lower()}", volume.bytes, volume.id
        return
    left = volume.bytes
    for part, wanted in volume.filesystem.parts:
        taken = min(wanted, left)
        left -= taken
        yield *_key(volume, part, plain=plain), taken, volume.id
    yield "alignment", "", left, ""


def _key(volume: VolumePlan, part: str, *, plain: bool) -> tuple[str, str]:
    """Returns the key and the label of a part of a volume."""
    if plain:
        return part, LABELS[part]
    if volume.id == "esp":
        key = _OF_ESP.get(part, part)
        return key, LABELS[key]
    return f"{volume.id}-{part}", f"{volume.id}: {LABELS[part].lower()}"
