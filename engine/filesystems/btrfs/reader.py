"""Reads the superblock of a Btrfs.

Source: struct btrfs_super_block in include/uapi/linux/btrfs_tree.h of the Linux kernel.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Mapping

from engine.image.crc32c import crc32c
from engine.image.reading import BadFilesystem, Window

_AT, _SIZE = 0x10000, 4096
_COPIES = (0x4000000, 0x4000000000)
_MAGIC_AT, _MAGIC = 0x40, b"_BHRfS_M"
_CHECKSUMS = ("CRC-32C", "xxHash64", "SHA-256", "BLAKE2b")
_LABEL = slice(0x12B, 0x12B + 256)


class Btrfs:
    """A Btrfs in a window of a disk; of its files nothing is read."""

    type = "btrfs"

    def __init__(self, window: Window) -> None:
        self._window = window
        raw = window.read(_AT, _SIZE)
        self.generation, self.root, self.chunks, log = struct.unpack_from("<QQQQ", raw, 0x48)
        self.size, self.used, _, self.devices = struct.unpack_from("<QQQQ", raw, 0x70)
        self.block_size, self.node_size = struct.unpack_from("<II", raw, 0x90)
        self.features = struct.unpack_from("<QQQ", raw, 0xAC)
        (kind,) = struct.unpack_from("<H", raw, 0xC4)
        if kind >= len(_CHECKSUMS):
            raise BadFilesystem(f"Btrfs superblock: checksums of kind {kind}")
        self.checksums = _CHECKSUMS[kind]
        if not kind:
            (stored,) = struct.unpack_from("<I", raw)
            computed = crc32c(raw[32:]) ^ 0xFFFFFFFF
            if computed != stored:
                raise BadFilesystem(
                    f"Btrfs superblock: checksum {stored:#010x}, computed {computed:#010x}"
                )
        if self.block_size not in (1 << bits for bits in range(12, 17)) or self.used > self.size:
            raise BadFilesystem(
                f"Btrfs superblock: {self.used} of {self.size} bytes in blocks of {self.block_size}"
            )
        self.room = min(self.size, window.size)
        self.label = raw[_LABEL].partition(b"\0")[0].decode("utf-8", "replace")
        self.uuid = str(uuid.UUID(bytes=raw[0x20:0x30]))
        self.clean = not log

    @property
    def free(self) -> int:
        """Bytes that nothing takes; copies of metadata take more than once."""
        return int(self.size - self.used)

    def figures(self) -> Mapping[str, int | str]:
        return {"blocks": int(self.size // self.block_size)}

    def header(self) -> Mapping[str, object]:
        return {
            "size": self.size, "bytes used": self.used, "devices": self.devices,
            "block size": self.block_size, "node size": self.node_size,
            "generation": self.generation, "root tree": self.root, "chunk tree": self.chunks,
            "checksums": self.checksums,
            "features": " ".join(f"{word:#x}" for word in self.features),
            "uuid": self.uuid, "label": self.label,
        }  # fmt: skip

    def structures(self) -> Iterator[tuple[int, int, str]]:
        for at in (_AT, *_COPIES):
            if at + _SIZE <= self.room:
                yield at, _SIZE, "superblock" if at == _AT else "copy of the superblock"

    def unused(self) -> Iterator[tuple[int, int]]:
        """See `Described.unused`; what its trees say is free is not read."""
        return iter(())


def probe(window: Window) -> Btrfs | None:
    """Returns the Btrfs in a window, or None if there is none.

    Raises:
        BadFilesystem: It is there, and damaged.
    """
    if window.size < _AT + _SIZE or window.read(_AT + _MAGIC_AT, 8) != _MAGIC:
        return None
    return Btrfs(window)
