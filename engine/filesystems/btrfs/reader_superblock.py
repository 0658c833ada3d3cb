"""The superblock of a Btrfs.

Source: struct btrfs_super_block in include/uapi/linux/btrfs_tree.h of the Linux kernel.
"""

from __future__ import annotations

import struct
import uuid

from engine.filesystems.btrfs.reader_checksums import Checksums
from engine.image.reading import BadFilesystem, Window
from engine.units import in_bytes

AT, SIZE = 0x10000, 4096
COPIES = (0x4000000, 0x4000000000)
MAGIC_AT, MAGIC = 0x40, b"_BHRfS_M"
_LABEL = slice(0x12B, 0x12B + 256)
_CHUNKS_AT, _CHUNKS_SIZE = 0x32B, 0x800
_DEVICE_AT = 0xC9
_METADATA_UUID_AT, _METADATA_UUID = 0x23B, 0x400
"""Where the UUID stands that nodes have, and the feature by which it is another one."""
_LARGEST_NODE = 1 << 16
_DEEPEST = 8
"""Levels of a tree at most, its leaves among them (BTRFS_MAX_LEVEL)."""


class Superblock:
    """What it says.

    Attributes:
        root, chunks, log: Places of the trees, in the logical addresses of the file system.
        root_level, chunks_level: How far their tops are from leaves.
        device: Number of the device that this is.
        node_uuid: What every node has.
        system_chunks: Where the chunk tree lies: keys and chunks, packed.
    """

    def __init__(self, window: Window) -> None:
        raw = window.read(AT, SIZE)
        self.generation, self.root, self.chunks, self.log = struct.unpack_from("<QQQQ", raw, 0x48)
        self.size, self.used, _, self.devices = struct.unpack_from("<QQQQ", raw, 0x70)
        self.block_size, self.node_size = struct.unpack_from("<II", raw, 0x90)
        self.features = struct.unpack_from("<QQQ", raw, 0xAC)
        (kind,) = struct.unpack_from("<H", raw, 0xC4)
        self.root_level, self.chunks_level = raw[0xC6], raw[0xC7]
        (self.device,) = struct.unpack_from("<Q", raw, _DEVICE_AT)
        self.checksums = Checksums(kind)
        self.checksums.verify(raw, "superblock")
        if self.block_size not in (1 << bits for bits in range(12, 17)) or self.used > self.size:
            raise BadFilesystem(
                f"Btrfs superblock: {self.used:,} of {in_bytes(self.size)} "
                f"in blocks of {self.block_size}"
            )
        if self.node_size % self.block_size or not 0 < self.node_size <= _LARGEST_NODE:
            raise BadFilesystem(f"Btrfs superblock: nodes of {self.node_size} bytes")
        if max(self.root_level, self.chunks_level) >= _DEEPEST:
            raise BadFilesystem(
                f"Btrfs superblock: trees of {self.root_level} and {self.chunks_level} levels"
            )
        self.label = raw[_LABEL].partition(b"\0")[0].decode("utf-8", "replace")
        self.uuid = str(uuid.UUID(bytes=raw[0x20:0x30]))
        own = _METADATA_UUID_AT if self.features[2] & _METADATA_UUID else 0x20
        self.node_uuid = raw[own : own + 16]
        (length,) = struct.unpack_from("<I", raw, 0xA0)
        if length > _CHUNKS_SIZE:
            raise BadFilesystem(f"Btrfs superblock: {in_bytes(length)} of chunks")
        self.system_chunks = raw[_CHUNKS_AT : _CHUNKS_AT + length]
