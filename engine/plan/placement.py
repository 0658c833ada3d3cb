"""Where partitions lie and what they are called, right by construction (`compat = "none"`).

Everything is aligned to 1 MiB and numbered in disk order, the ESP is as large as asked for, and
the root takes all that is left up to the last whole MiB before the table's copy. Types are those
of the Discoverable Partitions Specification, so that the root is found without being named.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.disk.gpt import BACKUP_SECTORS
from engine.disk.roles import (
    BIOS_BOOT_TYPE,
    ESP_TYPE,
    LINUX_TYPE,
    MBR_LINUX_TYPE,
    ROOT_TYPES,
)
from engine.plan.machine import DEFAULT
from engine.plan.model import Role
from engine.spec import identity
from engine.spec.settings import Settings, Table
from engine.units import MIB, ceil_to

FIRST_BYTE = MIB
BIOS_BOOT_BYTES = MIB


class PlacementError(Exception):
    """The partitions do not fit on the disk.

    Attributes:
        needed: Bytes of the smallest disk that would take them, with a root of 1 MiB.
    """

    def __init__(self, message: str, needed: int) -> None:
        super().__init__(message)
        self.needed = needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """One partition's place and identity, without its file system. Sectors are logical ones."""

    number: int
    role: Role
    start: int
    sectors: int
    type: str
    name: str | None
    flags: tuple[str, ...]
    guid: str | None


@dataclass(frozen=True, slots=True)
class _Slot:
    """A partition of a layout before it has a place."""

    role: Role
    name: str | None
    flags: tuple[str, ...]


_ROOT = _Slot("root", "root", ())
_ESP = _Slot("esp", "ESP", ("boot", "esp"))
_BIOS_BOOT = _Slot("bios-boot", "BIOS boot", ("bios_grub",))

_SLOTS: dict[Table, tuple[_Slot, ...]] = {
    "none": (),
    "legacy": (_Slot("root", None, ("boot",)),),
    "legacy+gpt": (_BIOS_BOOT, _ROOT),
    "efi": (_ESP, _ROOT),
    "hybrid": (_BIOS_BOOT, _ESP, _ROOT),
}


_IDENTITY: dict[Role, identity.Role] = {
    "esp": "partition/esp",
    "bios-boot": "partition/bios-boot",
    "boot": "partition/boot",
}


def is_gpt(table: Table) -> bool:
    """Whether a layout has a GUID partition table."""
    return table in {"legacy+gpt", "efi", "hybrid"}


def root_start(settings: Settings) -> int:
    """Returns the byte at which the root begins: everything before it, in whole MiB."""
    at = 0 if settings.table == "none" else FIRST_BYTE
    for slot in _SLOTS[settings.table]:
        if slot.role != "root":
            at = ceil_to(at + _size(slot, settings), MIB)
    return at


def tail(settings: Settings) -> int:
    """Returns the bytes kept behind the root for the table's copy, in whole MiB."""
    return MIB if is_gpt(settings.table) else 0


def place(settings: Settings, disk_bytes: int, machine: str = DEFAULT) -> tuple[Placement, ...]:
    """Returns the partitions of a disk, in disk order.

    Args:
        settings: The layout, the ESP's size, the sector size, the seed.
        disk_bytes: Size of the disk, a multiple of the sector size.
        machine: What the root is for, a key of `ROOT_TYPES`.

    Raises:
        PlacementError: The disk is too small.
    """
    sector = settings.sector_size
    usable = disk_bytes
    if is_gpt(settings.table):
        usable -= BACKUP_SECTORS[sector] * sector
    end = usable // MIB * MIB
    begin = root_start(settings)
    if settings.table != "none" and end - begin < MIB:
        needed = begin + MIB + tail(settings)
        raise PlacementError(
            f"the root partition would begin at {begin} bytes, but a disk of {disk_bytes} bytes "
            f"ends before that leaves room for it",
            needed,
        )
    placed = []
    at = FIRST_BYTE
    for number, slot in enumerate(_SLOTS[settings.table], start=1):
        size = end - at if slot.role == "root" else _size(slot, settings)
        placed.append(
            Placement(
                number=number,
                role=slot.role,
                start=at // sector,
                sectors=size // sector,
                type=_type(slot, settings, machine),
                name=slot.name,
                flags=slot.flags,
                guid=partition_guid(slot.role, settings) if is_gpt(settings.table) else None,
            )
        )
        at = ceil_to(at + size, MIB)
    return tuple(placed)


def _size(slot: _Slot, settings: Settings) -> int:
    return settings.boot_bytes if slot.role == "esp" else BIOS_BOOT_BYTES


def _type(slot: _Slot, settings: Settings, machine: str) -> str:
    if not is_gpt(settings.table):
        return MBR_LINUX_TYPE
    if slot.role == "root":
        return ROOT_TYPES.get(machine, LINUX_TYPE)
    return ESP_TYPE if slot.role == "esp" else BIOS_BOOT_TYPE


def partition_guid(role: Role, settings: Settings) -> str:
    """Returns the GUID of a partition: the one given for the root, else derived by role."""
    if role == "root":
        return settings.root_partition_guid
    return str(identity.derive(settings.seed, _IDENTITY[role])).upper()
