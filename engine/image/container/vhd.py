"""VHD ("vpc"), dynamic and fixed, after Microsoft's Virtual Hard Disk Image Format 1.0."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from engine.image.container.disk import BadImage, ClusteredDisk, Disk, RawDisk
from engine.problem import printable
from engine.units import in_bytes

COOKIE = b"conectix"
_DYNAMIC_COOKIE = b"cxsparse"
_FOOTER = 512
_HEADER = 1024
_SUM_AT, _HEADER_SUM_AT = 64, 36
_PARENT_NAME = slice(64, 576)
_FIXED, _DYNAMIC, _DIFFERENCING = 2, 3, 4
_ABSENT = 0xFFFF_FFFF
_SECTOR = 512
_MAX_BLOCKS = 1 << 24


def open_vhd(path: Path) -> Disk:
    """Opens a VHD of either kind.

    Raises:
        BadImage: Its footer or header is damaged or asks for something unsupported.
    """
    with RawDisk(path) as file:
        foot = file.read(max(file.size - _FOOTER, 0), min(file.size, _FOOTER))
        head = file.read(0, min(file.size, _FOOTER))
        parent = _parent(file, head)
    copies = [each.ljust(_FOOTER, b"\0") for each in (foot, head) if each[:8] == COOKIE]
    sound = [each for each in copies if _sum(each, _SUM_AT) == _stored_sum(each, _SUM_AT)]
    footer = (sound or copies)[0]
    findings = []
    if foot[:8] != COOKIE:
        findings.append("the VHD's footer is missing; this is read by its copy at the start")
    elif len(sound) < len(copies):
        which = "a copy of the VHD's footer" if sound else "the VHD's footer"
        findings.append(f"{which} does not match its checksum")
    (kind,) = struct.unpack_from(">I", footer, 60)
    if kind == _DIFFERENCING:
        raise BadImage(
            f"{path.name} is a differencing VHD, which holds only what changed against its parent"
            f"{parent}: merge the two (Hyper-V's Merge-VHD, VBoxManage clonemedium) first"
        )
    disk = FixedVhdDisk(path, footer) if kind == _FIXED else DynamicVhdDisk(path, footer)
    disk.findings = (*findings, *disk.findings)
    return disk


def _sum(raw: bytes, at: int) -> int:
    """Returns the checksum of a structure: the complement of the sum of its other bytes."""
    return ~(sum(raw) - sum(raw[at : at + 4])) & 0xFFFF_FFFF


def _stored_sum(raw: bytes, at: int) -> int:
    (stored,) = struct.unpack_from(">I", raw, at)
    return int(stored)


def _parent(file: RawDisk, footer: bytes) -> str:
    """Returns the name of a differencing VHD's parent in quotes, after a blank, or ""."""
    at = int.from_bytes(footer[16:24], "big")
    if footer[:8] != COOKIE or at + _HEADER > file.size:
        return ""
    name = file.read(at, _HEADER)[_PARENT_NAME].decode("utf-16-be", "replace").partition("\0")[0]
    return f' "{printable(name)}"' if name else ""


class FixedVhdDisk(RawDisk):
    """The disk in a fixed VHD: the file, but for the footer at its end."""

    format = "vpc"

    def __init__(self, path: Path, footer: bytes) -> None:
        super().__init__(path)
        (size,) = struct.unpack_from(">Q", footer, 48)
        self.size = min(size, max(self.file_size - _FOOTER, 0))

    def allocated(self) -> Iterator[tuple[int, int]]:
        """Yields the file's data ranges, the footer left out."""
        for offset, length in super().allocated():
            yield offset, min(length, self.size - offset)


class DynamicVhdDisk(ClusteredDisk):
    """The disk in a dynamic VHD."""

    format = "vpc"

    def __init__(self, path: Path, footer: bytes) -> None:
        super().__init__(path)
        (self.size,) = struct.unpack_from(">Q", footer, 48)
        (kind,) = struct.unpack_from(">I", footer, 60)
        if kind != _DYNAMIC:
            self.close()
            raise BadImage(f"{path.name}: VHD of type {kind} is not supported")
        (at,) = struct.unpack_from(">Q", footer, 16)
        header = self._file(at, _HEADER)
        table_at, _, count, self.cluster = struct.unpack_from(">QIII", header, 16)
        if header[:8] != _DYNAMIC_COOKIE:
            self.close()
            raise BadImage(f"{path.name}: the VHD's dynamic header is missing")
        if _sum(header, _HEADER_SUM_AT) != _stored_sum(header, _HEADER_SUM_AT):
            self.findings = ("the VHD's dynamic header does not match its checksum",)
        if not 512 <= self.cluster <= 1 << 26 or self.cluster % _SECTOR or count > _MAX_BLOCKS:
            self.close()
            raise BadImage(f"{path.name}: VHD with {count} blocks of {self.cluster} bytes")
        if count * self.cluster < self.size:
            self.close()
            raise BadImage(f"{path.name}: {count} VHD blocks can't hold {in_bytes(self.size)}")
        if table_at + count * 4 > self.file_size:
            self.close()
            raise BadImage(f"{path.name} is cut short: its table ends at {table_at + count * 4}")
        self._table = struct.unpack(f">{count}I", self._file(table_at, count * 4))
        bits = self.cluster // _SECTOR // 8
        self._bitmap = -(-bits // _SECTOR) * _SECTOR

    def clusters(self) -> Iterator[int]:
        """Yields the blocks that the table places somewhere."""
        count = -(-self.size // self.cluster)
        self._check_room(sum(place != _ABSENT for place in self._table[:count]))
        return (index for index, place in enumerate(self._table[:count]) if place != _ABSENT)

    def piece(self, index: int, inside: int, length: int) -> bytes | None:
        """Returns bytes of a block, or None where it was never written."""
        place = self._table[index]
        if place == _ABSENT:
            return None
        return self._stored(place * _SECTOR + self._bitmap + inside, length)
