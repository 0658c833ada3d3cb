"""A GPT fitted to a larger disk: the backup goes to its new end, partitions may end later.

Source: UEFI specification 2.10, sections 5.2.3 (protective MBR), 5.3.2 and 5.3.3 (header, entries).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from zlib import crc32

from engine.units import in_bytes

_SIGNATURE = b"EFI PART"
_SIZE_AT, _CRC_AT, _OWN_AT, _OTHER_AT, _LAST_AT = 12, 16, 24, 32, 48
_ARRAY_AT, _ARRAY_CRC_AT = 72, 88
_ENTRY_FIRST_AT, _ENTRY_LAST_AT = 32, 40
_MBR_ENTRIES, _MBR_ENTRY, _MBR_TYPE_AT = 446, 16, 4
_PROTECTIVE = 0xEE
_MBR_MOST = 0xFFFF_FFFF
_LEAST_HEADER, _MOST_BYTES = 92, 1 << 20

Piece = tuple[int, bytes]
"""Byte of the disk, and what stands there."""


@dataclass(frozen=True, slots=True)
class Gpt:
    """The primary table of a disk.

    Attributes:
        sector: Bytes of a logical sector.
        mbr: The protective MBR.
        header: The sector with the header.
        entries: The array of partitions.
    """

    sector: int
    mbr: bytes
    header: bytes
    entries: bytes

    @property
    def _array_sectors(self) -> int:
        return -(-len(self.entries) // self.sector)

    @property
    def backup(self) -> int:
        """The sector in which the backup's header is."""
        return int(struct.unpack_from("<Q", self.header, _OTHER_AT)[0])

    @property
    def trailer(self) -> int:
        """Sectors of the backup: its array and its header."""
        return self._array_sectors + 1

    def last_usable(self, total: int) -> int:
        """Returns the last sector that a partition may have on a disk of `total` sectors."""
        return total - self.trailer - 1

    def fitted(
        self, total: int, places: Mapping[int, tuple[int, int]] | None = None
    ) -> tuple[Piece, ...]:
        """Returns what to write for the table to fit a disk of `total` sectors.

        The former backup becomes zeros, unless the new one is in its place.

        Args:
            total: Sectors of the disk.
            places: First and last sectors of partitions that change, by number.
        """
        entries = bytearray(self.entries)
        (width,) = struct.unpack_from("<I", self.header, _ARRAY_AT + 12)
        for number, (first, last) in (places or {}).items():
            struct.pack_into("<QQ", entries, (number - 1) * width + _ENTRY_FIRST_AT, first, last)
        (array,) = struct.unpack_from("<Q", self.header, _ARRAY_AT)
        end = total - 1
        primary = self._header(entries, own=1, other=end, array=array, total=total)
        copy = self._header(entries, own=end, other=1, array=end - self._array_sectors, total=total)
        padded = bytes(entries).ljust(self._array_sectors * self.sector, b"\0")
        pieces = [
            (0, self._protective(total)),
            (self.sector, primary),
            (array * self.sector, padded),
        ]
        former = self.backup - self._array_sectors
        if self.backup < end - self._array_sectors and former > self._last_used(entries, width):
            pieces.append((former * self.sector, bytes(self.trailer * self.sector)))
        return (*pieces, ((end - self._array_sectors) * self.sector, padded + copy))

    def _header(self, entries: bytearray, *, own: int, other: int, array: int, total: int) -> bytes:
        header = bytearray(self.header)
        struct.pack_into("<QQ", header, _OWN_AT, own, other)
        struct.pack_into("<Q", header, _LAST_AT, self.last_usable(total))
        struct.pack_into("<Q", header, _ARRAY_AT, array)
        struct.pack_into("<I", header, _ARRAY_CRC_AT, crc32(entries))
        struct.pack_into("<I", header, _CRC_AT, 0)
        (size,) = struct.unpack_from("<I", header, _SIZE_AT)
        struct.pack_into("<I", header, _CRC_AT, crc32(header[:size]))
        return bytes(header)

    def _protective(self, total: int) -> bytes:
        """Returns the MBR; one that covers the whole disk goes on doing so."""
        mbr = bytearray(self.mbr)
        for slot in range(4):
            at = _MBR_ENTRIES + slot * _MBR_ENTRY
            first, count = struct.unpack_from("<II", mbr, at + 8)
            whole = first + count == self.backup + 1 or count == _MBR_MOST
            if mbr[at + _MBR_TYPE_AT] == _PROTECTIVE and whole:
                struct.pack_into("<I", mbr, at + 12, min(total - first, _MBR_MOST))
        return bytes(mbr)

    def _last_used(self, entries: bytearray, width: int) -> int:
        ends = (
            int(struct.unpack_from("<Q", entries, at + _ENTRY_LAST_AT)[0])
            for at in range(0, len(entries), width)
            if any(entries[at : at + 16])
        )
        return max(ends, default=0)


def read_gpt(head: bytes, sector: int) -> Gpt:
    """Returns the primary table at the beginning of a disk.

    Args:
        head: First bytes of the disk, 1 MiB or all of it.
        sector: Bytes of a logical sector.

    Raises:
        ValueError: There is none, or it is damaged.
    """
    header = head[sector : 2 * sector]
    if not header.startswith(_SIGNATURE) or len(header) < sector:
        raise ValueError("there is no GPT in its first sectors")
    size, stored = struct.unpack_from("<II", header, _SIZE_AT)
    if not _LEAST_HEADER <= size <= sector:
        raise ValueError(f"the GPT header claims {in_bytes(size)}")
    if crc32(header[:_CRC_AT] + bytes(4) + header[_CRC_AT + 4 : size]) != stored:
        raise ValueError("the GPT header's checksum is wrong")
    array, count, width, stored = struct.unpack_from("<QIII", header, _ARRAY_AT)
    if width < 128 or count * width > _MOST_BYTES:
        raise ValueError(f"the GPT has {count} entries of {width} bytes")
    entries = head[array * sector : array * sector + count * width]
    if len(entries) != count * width or crc32(entries) != stored:
        raise ValueError("the GPT's entries do not match their checksum")
    return Gpt(sector, head[:sector], header, entries)
