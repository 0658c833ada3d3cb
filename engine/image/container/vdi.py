"""VirtualBox's VDI, version 1.1, dynamic and fixed, after the header QEMU's block/vdi.c reads."""

from __future__ import annotations

import shlex
import struct
from collections.abc import Iterator
from pathlib import Path

from engine.image.container.disk import BadImage, ClusteredDisk
from engine.units import in_bytes

MAGIC = b"\x7f\x10\xda\xbe"
_TYPE_AT = 0x4C
_UNDO, _DIFFERENCING = 3, 4
_BLOCKS_AT, _DATA_AT = 0x154, 0x158
_DISK_SIZE_AT, _BLOCK_SIZE_AT, _COUNT_AT = 0x170, 0x178, 0x180
_ABSENT = 0xFFFF_FFFE  # and above: never written, or discarded
_MAX_BLOCKS = 1 << 24


class VdiDisk(ClusteredDisk):
    """The disk in a VDI file."""

    format = "vdi"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        head = self._file(0, 512)
        (kind,) = struct.unpack_from("<I", head, _TYPE_AT)
        if kind in {_UNDO, _DIFFERENCING}:
            self.close()
            raise BadImage(
                f"{path.name} is a differencing VDI, which holds only what changed against its "
                f"parent: `VBoxManage clonemedium disk {shlex.quote(str(path))} "
                f"{shlex.quote(str(path.with_suffix('.img')))} --format RAW` writes both together"
            )
        map_at, self._data = struct.unpack_from("<II", head, _BLOCKS_AT)
        (self.size,) = struct.unpack_from("<Q", head, _DISK_SIZE_AT)
        (self.cluster,) = struct.unpack_from("<I", head, _BLOCK_SIZE_AT)
        (count,) = struct.unpack_from("<I", head, _COUNT_AT)
        if not 512 <= self.cluster <= 1 << 26 or count > _MAX_BLOCKS:
            self.close()
            raise BadImage(f"{path.name}: VDI with {count} blocks of {self.cluster} bytes")
        if count * self.cluster < self.size:
            self.close()
            raise BadImage(f"{path.name}: {count} VDI blocks can't hold {in_bytes(self.size)}")
        if map_at + count * 4 > self.file_size:
            self.close()
            raise BadImage(f"{path.name} is cut short: its map ends at {map_at + count * 4}")
        self._map = struct.unpack(f"<{count}I", self._file(map_at, count * 4))

    def clusters(self) -> Iterator[int]:
        """Yields the blocks that the map places somewhere."""
        count = -(-self.size // self.cluster)
        self._check_room(sum(place < _ABSENT for place in self._map[:count]))
        return (index for index, place in enumerate(self._map[:count]) if place < _ABSENT)

    def piece(self, index: int, inside: int, length: int) -> bytes | None:
        """Returns bytes of a block, or None where it was never written."""
        place = self._map[index]
        if place >= _ABSENT:
            return None
        return self._stored(self._data + place * self.cluster + inside, length)
