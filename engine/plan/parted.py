"""What make-disk-image computes: its size formula, and the partitions its parted lines make.

Source: nixpkgs, nixos/lib/make-disk-image.nix of January 2025 and of November 2025 ("the younger"),
whose own command lines were run to check every figure here (tests/engine/plan/test_reference.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal
from weakref import WeakKeyDictionary

from engine.disk.parted_units import PartedDisk
from engine.disk.placement import Place
from engine.disk.roles import BIOS_BOOT_TYPE, ESP_TYPE, LINUX_TYPE, XBOOTLDR_TYPE
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

_measured: WeakKeyDictionary[Manifest, dict[bool, int]] = WeakKeyDictionary()


def disk_usage(manifest: Manifest, *, every_name: bool = False) -> int:
    """Returns the reference's `diskUsage` of a tree: bytes, two blocks added for each name.

    Apparent sizes in whole blocks, directories none; names are the lines that `find .` prints in
    the folder above the tree, which a newline in a path adds to.

    Args:
        manifest: The tree.
        every_name: Count a file's bytes with each of its names, as `du --count-links` does.
    """
    by_rule = _measured.setdefault(manifest, {})
    if every_name not in by_rule:
        blocks = lines = 0
        for entry in manifest.entries:
            inode = entry.link_to or entry
            if not entry.is_directory and (every_name or inode is entry):
                blocks += -(-inode.size // BLOCK)
            lines += 1 + entry.path.count(b"\n")
        above = 1  # "." itself; the tree's own root directory is an entry
        by_rule[every_name] = (blocks + 2 * (lines + above)) * BLOCK
    return by_rule[every_name]


def reserved_space(table: str, boot: int) -> int:
    """Returns the bytes that the reference sets aside for the table and what precedes the root.

    Args:
        table: The layout.
        boot: Where the boot partition ends, where the layout has one.
    """
    if table in {"efi", "hybrid", "efixbootldr"}:
        return _GPT_SPACE + boot
    fixed = {
        "gpt": 0,
        "mbr": 0,
        "none": 0,
        "legacy": MIB,
        "legacy+gpt": _GPT_SPACE + 2 * MIB,
        "legacy+boot": boot,
    }
    return fixed[table]


def reference_size(settings: Settings, manifest: Manifest) -> ReferenceSize:
    """Returns the five figures that the reference prints for an automatic size.

    With a fixed size numfmt never sees `bootSize`; where it would refuse it, our own reading
    stands in.
    """
    younger = settings.rules.younger
    usage = disk_usage(manifest, every_name=younger)
    fudge = usage * _FUDGE_NUMERATOR // _FUDGE_DENOMINATOR
    required = usage + fudge
    boot = boot_end(settings)
    if younger:
        required = _one_more(required, BLOCK)
        boot = _one_more(boot, MIB)
    additional = settings.size.additional + reserved_space(settings.layout.table, boot)
    size = required + additional
    return ReferenceSize(
        diskUsage=usage,
        fudge=fudge,
        requiredFilesystemSpace=required,
        additionalSpace=additional,
        diskSize=_one_more(size, MIB) if younger else ceil_to(size, MIB),
    )


def boot_end(settings: Settings) -> int:
    """Returns `bootSize` in bytes, as numfmt reads it."""
    try:
        return numfmt_iec(settings.size.boot_text)
    except ValueError:
        return settings.size.boot


def _one_more(size: int, unit: int) -> int:
    """Returns a size as the younger reference rounds it: one unit more where it is exact."""
    return (size // unit + 1) * unit


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

_Lines = Mapping[str, tuple[Literal["gpt", "msdos"], tuple[_Mkpart, ...]]]

_JANUARY: _Lines = {
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


def _ended(line: _Mkpart) -> _Mkpart:
    """Returns a line as the younger reference has it: it counts MiB, and ends at the disk's end."""
    words = {"-1": "100%", "1MB": "1MiB", "2MB": "2MiB"}
    return replace(line, start=words.get(line.start, line.start), end=words.get(line.end, line.end))


_YOUNGER: _Lines = {
    **{
        table: (label, tuple(_ended(line) for line in lines))
        for table, (label, lines) in _JANUARY.items()
    },
    "legacy+boot": (
        "msdos",
        (
            _Mkpart(role="boot", type="0x0c", flags=("boot",), start="1MiB", end=_BOOT),
            _Mkpart(role="root", type="0x83", start=_BOOT, end="100%"),
        ),
    ),
    "efixbootldr": (
        "gpt",
        (
            replace(_ESP, end="100MiB"),
            _Mkpart(
                role="xbootldr", type=XBOOTLDR_TYPE, name="BOOT", flags=("bls_boot",),
                guid=SECOND_GUID, start="100MiB", end=_BOOT,
            ),
            replace(_ROOT_AFTER_BOOT, name="ROOT", end="100%"),
        ),
    ),
}  # fmt: skip


def _lines(settings: Settings) -> tuple[Literal["gpt", "msdos"], tuple[_Mkpart, ...]]:
    known = _YOUNGER if settings.rules.younger else _JANUARY
    return known.get(settings.layout.table, known[settings.rules.table])  # refused by then


def place(settings: Settings, disk_bytes: int) -> tuple[Place, ...]:
    """Returns the partitions that the reference's parted lines make, by number.

    Raises:
        PartedError: parted would refuse one of them.
    """
    if settings.layout.table == "none":
        return (Place("root", 0, 0, disk_bytes // 512),)
    label, lines = _lines(settings)
    boot = settings.size.boot_text
    if settings.rules.younger:
        boot = f"{boot_end(settings) // MIB + 1}MiB"
    disk = PartedDisk(disk_bytes // 512, label)
    placed = []
    for number, line in enumerate(lines, start=1):
        first, last = disk.mkpart(
            *(boot if word == _BOOT else word for word in (line.start, line.end))
        )
        placed.append(Place(line.role, number, first, last - first + 1))
    return tuple(placed)


def entry(settings: Settings, volume: Volume) -> TableEntry:
    """Returns what the table says of a volume, as the reference's parted and sgdisk lines have it.

    Without `deterministic` the reference's GUIDs are random; here they then derive from the seed.
    """
    if settings.layout.table == "none":
        return TableEntry()
    _, lines = _lines(settings)
    line = next(line for line in lines if line.role == volume.role)
    guid = line.guid
    if guid is not None and not settings.identity.deterministic:
        guid = partition_guid(settings, volume.id)
    elif guid == _ROOT_GUID:
        guid = settings.identity.root_partition_guid
    return TableEntry(line.type, guid, line.name, line.flags)
