"""The structures of a FAT file system as bytes: boot sector, FSInfo, table, directory entries.

Source: Microsoft FAT specification 1.03 (fatgen103). An empty file system has the bytes that
mkfs.fat 4.2 writes, but for the boot code (a program of our own) and the end mark of the FAT32
root directory's chain (all ones, as Linux and Windows write it).
"""

from __future__ import annotations

import struct
import sys
import time
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engine.filesystems.fat.geometry import FATS, HEADS, TRACK, FatGeometry
from engine.units import in_bytes

FIRST_CLUSTER = 2
READ_ONLY, VOLUME, DIRECTORY, ARCHIVE = 0x01, 0x08, 0x10, 0x20
FIRST_SECOND = 315_532_800
"""1980-01-01T00:00:00Z, the earliest time that FAT can hold."""
LAST_SECOND = 4_354_819_199
"""2107-12-31T23:59:59Z, the latest."""

LABEL_BYTES = 11
NO_LABEL = "NO NAME"
"""What the boot sector says of a volume without a label."""
_LABEL_FORBIDDEN = frozenset('"*+,./:;<=>?[\\]|')

_OEM_NAME = b"mkfs.fat"  # some firmware looks at it, and all has met this one
_MEDIA = 0xF8
_DRIVE = 0x80
_EXTENDED = 0x29
_FSINFO_SECTOR, _BACKUP_SECTOR = 1, 6
_SIGNATURE = b"\x55\xaa"
_SIGNATURE_AT = 510
_CODE_AT = {12: 0x3E, 16: 0x3E, 32: 0x5A}
_LOADED_AT = 0x7C00
# 8086: push cs; pop ds; mov si, message; next: lodsb; test al, al; jz end; mov ah, 0Eh;
# mov bx, 7; int 10h; jmp next; end: int 18h; stop: hlt; jmp stop
_CODE_BEFORE = bytes.fromhex("0e 1f be")
_CODE_BEHIND = bytes.fromhex("ac 84 c0 74 09 b4 0e bb 07 00 cd 10 eb f2 cd 18 f4 eb fd")
_MESSAGE = b"This volume is not bootable.\r\n\0"

_END = {12: 0xFFF, 16: 0xFFFF, 32: 0x0FFF_FFFF}
_MOST_HIDDEN = 0xFFFF_FFFF
_SECONDS_AT_ONCE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """What a FAT file system says of itself.

    Attributes:
        label: At most 11 bytes of code page 437, or "" for none.
        volume_id: 32 bits, shown as XXXX-XXXX.
        epoch: Seconds since 1970: the time of the label and of what has none of its own.
        hidden_sectors: Sectors of the disk before it, which BIOS boot code adds.
    """

    label: str
    volume_id: int
    epoch: int
    hidden_sectors: int = 0


def label_problem(label: str) -> str:
    """Returns why a label cannot be one (a clause), or ""."""
    if any(letter < " " or letter in _LABEL_FORBIDDEN for letter in label):
        return 'a FAT label has no control characters and none of " * + , . / : ; < = > ? [ \\ ] |'
    if label != label.strip(" "):
        return "a FAT label does not begin or end with a blank"
    try:
        raw = label.encode("cp437")
    except UnicodeEncodeError:
        return "a FAT label is kept in code page 437, which lacks one of its letters"
    if len(raw) > LABEL_BYTES:
        return f"a FAT label has at most {in_bytes(LABEL_BYTES)}"
    return ""


def label_bytes(label: str) -> bytes:
    """Returns a label as boot sector and root directory hold it.

    Raises:
        ValueError: It cannot be one; the message says why.
    """
    if reason := label_problem(label):
        raise ValueError(f"{label!r}: {reason}")
    return label.encode("cp437").ljust(LABEL_BYTES)


def fat_time(mtime_ns: int) -> tuple[int, int, int]:
    """Returns date, time and hundredths of FAT for a time, in UTC.

    Times before 1980 become the first that FAT knows, those after 2107 the last; the time has
    two seconds' resolution, the hundredths (0 to 199) say the rest.
    """
    seconds, nanoseconds = divmod(mtime_ns, 1_000_000_000)
    if seconds < FIRST_SECOND:
        seconds, nanoseconds = FIRST_SECOND, 0
    if seconds > LAST_SECOND:
        seconds, nanoseconds = LAST_SECOND, 990_000_000
    at = time.gmtime(seconds)
    date = (at.tm_year - 1980) << 9 | at.tm_mon << 5 | at.tm_mday
    clock = at.tm_hour << 11 | at.tm_min << 5 | at.tm_sec // _SECONDS_AT_ONCE
    return date, clock, at.tm_sec % _SECONDS_AT_ONCE * 100 + nanoseconds // 10_000_000


def holds_time(mtime_ns: int) -> bool:
    """Whether a time lies in the years that FAT knows, 1980 to 2107."""
    return FIRST_SECOND <= mtime_ns // 1_000_000_000 <= LAST_SECOND


def entry(
    short: bytes, attributes: int, *, epoch: int, mtime_ns: int, flags: int = 0, cluster: int = 0,
    size: int = 0,
) -> bytes:  # fmt: skip
    """Returns one 32-byte directory entry.

    Args:
        short: 8.3 name of 11 bytes.
        attributes: READ_ONLY and the like.
        epoch: Seconds since 1970 for creation and last access.
        mtime_ns: Last change.
        flags: The case of the name.
        cluster: First cluster, 0 for none.
        size: Bytes of a file, 0 for a directory.
    """
    date, clock, _ = fat_time(mtime_ns)
    made, made_clock, hundredths = fat_time(epoch * 1_000_000_000)
    return struct.pack(
        "<11sBBBHHHHHHHI", short, attributes, flags, hundredths, made_clock, made, made,
        cluster >> 16, clock, date, cluster & 0xFFFF, size,
    )  # fmt: skip


def system_area(
    geometry: FatGeometry, volume: Volume, chains: Iterable[tuple[int, int]], used: int
) -> Iterator[tuple[int, bytes]]:
    """Yields position and bytes of all before the root directory, what is zero left out.

    Args:
        geometry: The layout.
        volume: Label, identifier and time.
        chains: First cluster and number of clusters of everything, rising from cluster 2 on
            without a gap.
        used: The clusters of all chains together.
    """
    boot = _boot_sector(geometry, volume)
    starts = [0]
    if geometry.bits == 32:
        starts.append(_BACKUP_SECTOR * geometry.sector_size)
    for start in starts:
        yield start, boot
        if geometry.bits == 32:
            yield start + _FSINFO_SECTOR * geometry.sector_size, _fsinfo(geometry, used)
    table = _table(geometry.bits, chains)
    for number in range(FATS):
        yield geometry.fat_start(number), table


def _boot_sector(geometry: FatGeometry, volume: Volume) -> bytes:
    wide = geometry.bits == 32
    small = not wide and geometry.sectors <= 0xFFFF
    code_at = _CODE_AT[geometry.bits]
    hidden = volume.hidden_sectors
    sector = bytearray(_SIGNATURE_AT)
    struct.pack_into(
        "<3s8sHBHBHHBHHHII", sector, 0,
        bytes((0xEB, code_at - 2, 0x90)), _OEM_NAME, geometry.sector_size,
        geometry.sectors_per_cluster, geometry.reserved_sectors, FATS, geometry.root_entries,
        geometry.sectors if small else 0, _MEDIA, 0 if wide else geometry.fat_sectors, TRACK,
        HEADS, hidden if hidden <= _MOST_HIDDEN else 0, 0 if small else geometry.sectors,
    )  # fmt: skip
    at = 36
    if wide:
        struct.pack_into(
            "<IHHIHH", sector, at, geometry.fat_sectors, 0, 0, FIRST_CLUSTER, _FSINFO_SECTOR,
            _BACKUP_SECTOR,
        )  # fmt: skip
        at = 64
    struct.pack_into(
        "<BBBI11s8s", sector, at, _DRIVE, 0, _EXTENDED, volume.volume_id,
        label_bytes(volume.label or NO_LABEL), f"FAT{geometry.bits}".encode().ljust(8),
    )  # fmt: skip
    message_at = code_at + len(_CODE_BEFORE) + 2 + len(_CODE_BEHIND)
    code = b"".join((
        _CODE_BEFORE, struct.pack("<H", _LOADED_AT + message_at), _CODE_BEHIND, _MESSAGE,
    ))  # fmt: skip
    sector[code_at : code_at + len(code)] = code
    return bytes(sector) + _SIGNATURE


def _fsinfo(geometry: FatGeometry, used: int) -> bytes:
    return struct.pack(
        "<4s480x4sII14x2s", b"RRaA", b"rrAa", geometry.clusters - used,
        FIRST_CLUSTER + used - 1, _SIGNATURE,
    )  # fmt: skip


def _table(bits: int, chains: Iterable[tuple[int, int]]) -> bytes:
    """Returns the part of a table that is not zero."""
    end = _END[bits]
    values = array("I", (end & ~0xFF | _MEDIA, end))
    assert values.itemsize == 4
    for start, count in chains:
        assert start == len(values)
        values.extend(range(start + 1, start + count))
        values.append(end)
    if bits == 12:
        return _packed_12(values)
    found = values if bits == 32 else array("H", values)
    if sys.byteorder == "big":
        found.byteswap()
    return found.tobytes()


def _packed_12(values: array[int]) -> bytes:
    found = bytearray()
    for at in range(0, len(values), 2):
        low, high = values[at], values[at + 1] if at + 1 < len(values) else 0
        found += (low | high << 12).to_bytes(3, "little")
    return bytes(found)
