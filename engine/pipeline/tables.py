"""Types and identifiers written into an existing partition table, which libparted cannot set.

Sources: UEFI specification 2.10, sections 5.2.1 (MBR), 5.3.2 and 5.3.3 (GPT header and entries);
UAPI Group, Discoverable Partitions Specification (attributes); util-linux, libfdisk (extended boot
records).
"""

from __future__ import annotations

import struct
import uuid
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from engine.plan.model import Plan
from engine.tools.failure import StepFailed

_SIGNATURE = b"EFI PART"
_CRC_AT, _BACKUP_AT, _GUID_AT, _ARRAY_AT, _ARRAY_CRC_AT = 16, 32, 56, 72, 88
_NAME_AT, _NAME_SIZE = 56, 72


_SIGNATURE_AT, _ENTRIES_AT, _ENTRY_BYTES = 440, 446, 16
_TYPE_AT, _FIRST_AT = 4, 8
_FIRST_LOGICAL = 5
_ACTIVE = 0x80
"""Of one partition as libparted has it, of any number in the table itself."""
_ATTRIBUTES_AT = 48
_ATTRIBUTES = {"legacy-boot": 2, "grow-file-system": 59, "read-only": 60, "no-auto": 63}
"""Bits of a GPT entry's attributes."""


def identify(image: Path, plan: Plan) -> None:
    """Sets all that the plan says of the table and libparted does not know.

    Raises:
        StepFailed: There is no table, or its partitions are not where the plan has them.
    """
    if plan.disk.table == "gpt":
        _identify_gpt(image, plan)
    else:
        _identify_mbr(image, plan)


def _identify_mbr(image: Path, plan: Plan) -> None:
    """Sets the disk's signature, and which partitions are active and of which type.

    That of logical ones stands in their records.

    Raises:
        StepFailed: A partition is not where the plan has it.
    """
    sector = plan.disk.sector_size
    with image.open("r+b") as file:
        file.seek(_SIGNATURE_AT)
        file.write(struct.pack("<I", int(plan.disk.signature or "0", 16)))
        record = plan.disk.extended[0] if plan.disk.extended is not None else 0
        for partition in plan.partitions:
            logical = partition.number >= _FIRST_LOGICAL
            at = _ENTRIES_AT if logical else _ENTRIES_AT + (partition.number - 1) * _ENTRY_BYTES
            base = record if logical else 0
            file.seek(base * sector + at)
            entry = bytearray(file.read(_ENTRY_BYTES))
            first, count = struct.unpack_from("<II", entry, _FIRST_AT)
            if (base + first, count) != (partition.start, partition.sectors):
                raise StepFailed(
                    f"partition {partition.number} has start and sectors {(base + first, count)}, "
                    f"planned {(partition.start, partition.sectors)}"
                )
            entry[0] = _ACTIVE if "boot" in partition.flags else 0
            entry[_TYPE_AT] = int(partition.type, 16)
            file.seek(base * sector + at)
            file.write(entry)
            if logical:
                following = file.read(_ENTRY_BYTES)
                (step,) = struct.unpack_from("<I", following, _FIRST_AT)
                assert plan.disk.extended is not None
                record = plan.disk.extended[0] + step


def _identify_gpt(image: Path, plan: Plan) -> None:
    """Sets disk GUID, partition types, GUIDs and attributes in both copies, and the MBR's flag.

    Raises:
        StepFailed: There is no table, or its partitions are not where the plan has them.
    """
    sector = plan.disk.sector_size
    with image.open("r+b") as file:
        header = _read(file, sector, sector)
        (backup,) = struct.unpack_from("<Q", header, _BACKUP_AT)
        for at in (sector, backup * sector):
            _rewrite(file, at, sector, plan)
        # libparted makes the first entry the protective one.
        file.seek(_ENTRIES_AT)
        file.write(bytes([_ACTIVE if plan.disk.pmbr_boot else 0]))


def _rewrite(file: BinaryIO, at: int, sector: int, plan: Plan) -> None:
    header = _read(file, at, sector)
    (size,) = struct.unpack_from("<I", header, 12)
    start, count, entry_size = struct.unpack_from("<QII", header, _ARRAY_AT)
    file.seek(start * sector)
    array = bytearray(file.read(count * entry_size))
    for partition in plan.partitions:
        entry = (partition.number - 1) * entry_size
        first, last = struct.unpack_from("<QQ", array, entry + 32)
        name = array[entry + _NAME_AT : entry + _NAME_AT + _NAME_SIZE].decode("utf-16-le")
        seen = (first, last - first + 1, name.rstrip("\0"))
        if seen != (partition.start, partition.sectors, partition.name or ""):
            raise StepFailed(
                f"partition {partition.number} has start, sectors and name {seen}, planned "
                f"{(partition.start, partition.sectors, partition.name or '')}"
            )
        array[entry : entry + 16] = uuid.UUID(partition.type).bytes_le
        array[entry + 16 : entry + 32] = uuid.UUID(partition.guid).bytes_le
        bits = sum(1 << _ATTRIBUTES[name] for name in partition.attributes)
        struct.pack_into("<Q", array, entry + _ATTRIBUTES_AT, bits)
    header[_GUID_AT : _GUID_AT + 16] = uuid.UUID(plan.disk.guid).bytes_le
    struct.pack_into("<I", header, _ARRAY_CRC_AT, crc32(array))
    struct.pack_into("<I", header, _CRC_AT, 0)
    struct.pack_into("<I", header, _CRC_AT, crc32(header[:size]))
    file.seek(start * sector)
    file.write(array)
    file.seek(at)
    file.write(header)


def _read(file: BinaryIO, at: int, sector: int) -> bytearray:
    file.seek(at)
    header = bytearray(file.read(sector))
    if not header.startswith(_SIGNATURE):
        raise StepFailed(f"no GUID partition table at byte {at}, where libparted wrote one")
    return header
