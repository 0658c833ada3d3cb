"""Identifiers written into an existing GUID partition table, for sectors that sfdisk cannot read.

Source: UEFI specification 2.10, sections 5.3.2 (header) and 5.3.3 (entries).
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


def identify(image: Path, plan: Plan) -> None:
    """Sets disk GUID, partition types and GUIDs in both copies.

    Raises:
        StepFailed: There is no table, or its partitions are not where the plan has them.
    """
    sector = plan.disk.sector_size
    with image.open("r+b") as file:
        header = _read(file, sector, sector)
        (backup,) = struct.unpack_from("<Q", header, _BACKUP_AT)
        for at in (sector, backup * sector):
            _rewrite(file, at, sector, plan)


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
