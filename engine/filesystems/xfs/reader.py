"""Reads the superblock of an XFS.

Source: struct xfs_dsb in fs/xfs/libxfs/xfs_format.h of the Linux kernel; big endian.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Mapping

from engine.image.crc32c import crc32c
from engine.image.reading import BadFilesystem, Window

_MAGIC = b"XFSB"
_LABEL = slice(108, 120)
_CRC_AT = 224
_VERSIONS, _CHECKSUMS = (4, 5), 5
_SECTORS = (512, 1024, 2048, 4096, 8192, 16384, 32768)
_IN_PROGRESS_AT = 126


class Xfs:
    """An XFS in a window of a disk; of its files nothing is read."""

    type = "xfs"

    def __init__(self, window: Window) -> None:
        raw = window.read(0, 512)
        (self.block_size, self.blocks) = struct.unpack_from(">IQ", raw, 4)
        (self.group_blocks, self.groups) = struct.unpack_from(">II", raw, 84)
        (self.log_blocks, self.version, self.sector_size, self.inode_size) = struct.unpack_from(
            ">IHHH", raw, 96
        )
        self.inodes, self.free_inodes, self.free_blocks = struct.unpack_from(">QQQ", raw, 128)
        self.features = struct.unpack_from(">IIII", raw, 208)
        if self.version & 15 not in _VERSIONS:
            raise BadFilesystem(f"XFS superblock: version {self.version & 15}")
        if self.block_size not in (1 << bits for bits in range(9, 17)):
            raise BadFilesystem(f"XFS superblock: blocks of {self.block_size} bytes")
        if self.sector_size not in _SECTORS or self.sector_size > window.size:
            raise BadFilesystem(f"XFS superblock: sectors of {self.sector_size} bytes")
        if self.free_blocks > self.blocks:
            raise BadFilesystem(
                f"XFS superblock: {self.free_blocks} of {self.blocks} blocks are free"
            )
        if self.version & 15 == _CHECKSUMS:
            self._verify(window.read(0, self.sector_size))
        self.size: int = self.blocks * self.block_size
        self.room = min(self.size, window.size)
        self.label = raw[_LABEL].partition(b"\0")[0].decode("utf-8", "replace")
        self.uuid = str(uuid.UUID(bytes=raw[32:48]))
        self.clean = not raw[_IN_PROGRESS_AT]

    def _verify(self, sector: bytes) -> None:
        (stored,) = struct.unpack_from("<I", sector, _CRC_AT)
        computed = crc32c(sector[:_CRC_AT] + bytes(4) + sector[_CRC_AT + 4 :]) ^ 0xFFFFFFFF
        if computed != stored:
            raise BadFilesystem(
                f"XFS superblock: checksum {stored:#010x}, computed {computed:#010x}"
            )

    @property
    def free(self) -> int:
        """Bytes that can still be taken."""
        return int(self.free_blocks * self.block_size)

    def figures(self) -> Mapping[str, int | str]:
        return {
            "blocks": self.blocks, "inodes": self.inodes, "free_inodes": self.free_inodes,
        }  # fmt: skip

    def header(self) -> Mapping[str, object]:
        return {
            "version": self.version & 15, "block size": self.block_size, "blocks": self.blocks,
            "allocation groups": self.groups, "blocks of a group": self.group_blocks,
            "blocks of the journal": self.log_blocks, "sector size": self.sector_size,
            "inode size": self.inode_size, "inodes": self.inodes,
            "free inodes": self.free_inodes, "free blocks": self.free_blocks,
            "features": " ".join(f"{word:#x}" for word in self.features),
            "uuid": self.uuid, "label": self.label,
        }  # fmt: skip

    def structures(self) -> Iterator[tuple[int, int, str]]:
        yield 0, self.sector_size, "superblock"

    def unused(self) -> Iterator[tuple[int, int]]:
        """See `Described.unused`; what its trees say is free is not read."""
        return iter(())


def probe(window: Window) -> Xfs | None:
    """Returns the XFS in a window, or None if there is none.

    Raises:
        BadFilesystem: It is there, and damaged.
    """
    return Xfs(window) if window.read(0, 4) == _MAGIC else None
