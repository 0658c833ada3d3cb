"""What make-disk-image computes: its size formula, and the partitions its parted lines make.

Source: nixpkgs, nixos/lib/make-disk-image.nix (January 2025), whose own command lines were run to
check every figure here (tests/engine/plan/test_reference.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from weakref import WeakKeyDictionary

from engine.disk.parted_units import PartedDisk
from engine.disk.placement import Place
from engine.disk.roles import BIOS_BOOT_TYPE, ESP_TYPE, LINUX_TYPE
from engine.disk.volume import Volume
from engine.manifest.manifest import Manifest
from engine.plan.model import ReferenceSize, TableEntry
from engine.spec.settings import Settings
from engine.spec.volumes import partition_guid
from engine.units import MIB, ceil_to, numfmt_iec

BLOCK = 4096
FIRST_GUID = "1C06F03B-704E-4657-B9CD-681A087A2FDC"
SECOND_GUID = "970C694F-AFD0-4B99-B750-CDB7A329AB6F"

_FUDGE_NUMERATOR, _FUDGE_DENOMINATOR = 52, 1000
_GPT_SPACE = 512 * 34

_measured: WeakKeyDictionary[Manifest, int] = WeakKeyDictionary()


def disk_usage(manifest: Manifest) -> int:
    """Returns the reference's `diskUsage` of a tree: bytes, two blocks added for each name.

    Apparent sizes in whole blocks, every inode once, directories none; names are the lines that
    `find .` prints in the folder above the tree, which a newline in a path adds to.
    """
    if manifest not in _measured:
        blocks = lines = 0
        for entry in manifest.entries:
            if entry.link_to is None and not entry.is_directory:
                blocks += -(-entry.size // BLOCK)
            lines += 1 + entry.path.count(b"\n")
        above = 1  # "." itself; the tree's own root directory is an entry
        _measured[manifest] = (blocks + 2 * (lines + above)) * BLOCK
    return _measured[manifest]


def reserved_space(table: str, boot: int) -> int:
    """Returns the bytes that the reference sets aside for the table and what precedes the root.

    Args:
        table: The layout.
        boot: `bootSize` as numfmt reads it; for efi and hybrid.
    """
    if table in {"efi", "hybrid"}:
        return _GPT_SPACE + boot
    return {"none": 0, "legacy": MIB, "legacy+gpt": _GPT_SPACE + 2 * MIB}[table]


def reference_size(settings: Settings, manifest: Manifest) -> ReferenceSize:
    """Returns the five figures that the reference prints for an automatic size.

    With a fixed size numfmt never sees `bootSize`; where it would refuse it, our own reading
    stands in.
    """
    usage = disk_usage(manifest)
    fudge = usage * _FUDGE_NUMERATOR // _FUDGE_DENOMINATOR
    required = usage + fudge
    try:
        boot = numfmt_iec(settings.boot_text)
    except ValueError:
        boot = settings.boot_bytes
    additional = settings.additional_bytes + reserved_space(settings.table, boot)
    return ReferenceSize(
        diskUsage=usage,
        fudge=fudge,
        requiredFilesystemSpace=required,
        additionalSpace=additional,
        diskSize=ceil_to(required + additional, MIB),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mkpart:
    """One `mkpart` of the reference; `BOOT` stands for its `bootSize`."""

    role: str
    type: str
    start: str
    end: str
    name: str | None = None
    flags: tuple[str, ...] = ()
    guid: str | None = None


_BOOT = "BOOT"
_ROOT_GUID = "ROOT"

_ESP = _Mkpart(
    role="esp", type=ESP_TYPE, name="ESP", flags=("boot", "esp"), guid=FIRST_GUID,
    start="8MiB", end=_BOOT,
)  # fmt: skip
_ROOT_AFTER_BOOT = _Mkpart(
    role="root", type=LINUX_TYPE, name="primary", guid=_ROOT_GUID, start=_BOOT, end="-1"
)

_LINES: dict[str, tuple[Literal["gpt", "msdos"], tuple[_Mkpart, ...]]] = {
    "legacy": ("msdos", (_Mkpart(role="root", type="0x83", start="1MiB", end="-1"),)),
    "legacy+gpt": (
        "gpt",
        (
            _Mkpart(
                role="bios-boot",
                type=BIOS_BOOT_TYPE,
                name="no-fs",
                flags=("bios_grub",),
                guid=FIRST_GUID,
                start="1MB",
                end="2MB",
            ),
            # The reference numbers GUIDs, not roles, so the root gets the second one here.
            _Mkpart(
                role="root",
                type=LINUX_TYPE,
                name="primary",
                guid=SECOND_GUID,
                start="2MB",
                end="-1",
            ),
        ),
    ),
    "efi": ("gpt", (_ESP, _ROOT_AFTER_BOOT)),
    "hybrid": (
        "gpt",
        (
            _ESP,
            _Mkpart(
                role="bios-boot",
                type=BIOS_BOOT_TYPE,
                name="no-fs",
                flags=("bios_grub",),
                guid=SECOND_GUID,
                start="0",
                end="1024KiB",
            ),
            _ROOT_AFTER_BOOT,
        ),
    ),
}


def place(settings: Settings, disk_bytes: int) -> tuple[Place, ...]:
    """Returns the partitions that the reference's parted lines make, by number.

    Raises:
        PartedError: parted would refuse one of them.
    """
    if settings.table == "none":
        return (Place("root", 0, 0, disk_bytes // 512),)
    label, lines = _LINES[settings.table]
    disk = PartedDisk(disk_bytes // 512, label)
    placed = []
    for number, line in enumerate(lines, start=1):
        first, last = disk.mkpart(
            *(settings.boot_text if word == _BOOT else word for word in (line.start, line.end))
        )
        placed.append(Place(line.role, number, first, last - first + 1))
    return tuple(placed)


def entry(settings: Settings, volume: Volume) -> TableEntry:
    """Returns what the table says of a volume, as the reference's parted and sgdisk lines have it.

    Without `deterministic` the reference's GUIDs are random; here they then derive from the seed.
    """
    if settings.table == "none":
        return TableEntry()
    _, lines = _LINES[settings.table]
    line = next(line for line in lines if line.role == volume.role)
    guid = line.guid
    if guid is not None and not settings.deterministic:
        guid = partition_guid(settings, volume.id)
    elif guid == _ROOT_GUID:
        guid = settings.root_partition_guid
    return TableEntry(line.type, guid, line.name, line.flags)
