"""The checksums of ext file systems, held against what is stored (metadata_csum, uninit_bg).

Source: Documentation/filesystems/ext4/checksums.rst of the Linux kernel; fs/ext4/inode.c, namei.c,
extents.c and xattr.c for which bytes each covers.
"""

from __future__ import annotations

import struct

from engine.filesystems.crc32c import crc32c

_METADATA, _DESCRIPTORS = 0x400, 0x10
_SEED = 0x2000
_SUPERBLOCK_AT = 0x3FC
_DESCRIPTOR_AT = 0x1E
_SMALL = 128
_TAIL = struct.Struct("<IHBBI")
_TAIL_SIZE, _TAIL_TYPE = 12, 0xDE
_DOT, _ROOT_INFO, _ROOT_COUNT, _NODE_COUNT = 12, 24, 32, 8
_START = 0xFFFFFFFF
_POLYNOMIAL_16 = 0xA001
"""Reversed: x^16 + x^15 + x^2 + 1 (Linux, lib/crc16.c)."""


class Checksums:
    """Says whether structures match their checksums; where a file system has none, they do."""

    def __init__(self, superblock: bytes, *, incompatible: int, read_only: int) -> None:
        self.everywhere = bool(read_only & _METADATA)
        """Whether every structure has one."""
        self.of_descriptors = bool(read_only & (_METADATA | _DESCRIPTORS))
        """Whether group descriptors have one."""
        self._superblock = superblock
        self._uuid = superblock[0x68:0x78]
        if incompatible & _SEED:
            (self._seed,) = struct.unpack_from("<I", superblock, 0x270)
        else:
            self._seed = crc32c()(_START, self._uuid) if self.everywhere else 0

    def superblock(self) -> bool:
        """Whether the superblock matches."""
        if not self.everywhere:
            return True
        (stored,) = struct.unpack_from("<I", self._superblock, _SUPERBLOCK_AT)
        return bool(crc32c()(_START, self._superblock[:_SUPERBLOCK_AT]) == stored)

    def descriptor(self, group: int, raw: bytes) -> bool:
        """Whether a group's descriptor matches."""
        if not self.of_descriptors:
            return True
        (stored,) = struct.unpack_from("<H", raw, _DESCRIPTOR_AT)
        number = struct.pack("<I", group)
        before, behind = raw[:_DESCRIPTOR_AT], raw[_DESCRIPTOR_AT + 2 :]
        if self.everywhere:
            total = crc32c()(self._seed, number + before + b"\0\0" + behind) & 0xFFFF
        else:
            total = _crc16(self._uuid + number + before + behind)
        return bool(total == stored)

    def bitmap(self, raw: bytes, descriptor: bytes, low: int, high: int) -> bool:
        """Whether a bitmap matches its descriptor, which has the sum in two halves."""
        if not self.everywhere:
            return True
        total = crc32c()(self._seed, raw)
        stored = struct.unpack_from("<H", descriptor, low)[0]
        if len(descriptor) < high + 2:
            return bool(total & 0xFFFF == stored)
        return bool(total == stored | struct.unpack_from("<H", descriptor, high)[0] << 16)

    def inode(self, number: int, raw: bytes) -> bool:
        """Whether an inode matches."""
        if not self.everywhere:
            return True
        wide = len(raw) > _SMALL and struct.unpack_from("<H", raw, _SMALL)[0] >= 4
        (stored,) = struct.unpack_from("<H", raw, 0x7C)
        changed = bytearray(raw)
        changed[0x7C:0x7E] = b"\0\0"
        if wide:
            stored |= struct.unpack_from("<H", raw, 0x82)[0] << 16
            changed[0x82:0x84] = b"\0\0"
        total = crc32c()(self._of_inode(number, raw), bytes(changed))
        return bool((total if wide else total & 0xFFFF) == stored)

    def _of_inode(self, number: int, raw: bytes) -> int:
        return crc32c()(self._seed, struct.pack("<I", number) + raw[100:104])

    def directory(self, number: int, raw: bytes, block: bytes) -> bool:
        """Whether a block of a directory matches: one of names, or one of an index.

        Args:
            number: Of the directory's inode.
            raw: That inode.
            block: The block.
        """
        if not self.everywhere:
            return True
        seed = self._of_inode(number, raw)
        _, length, names, kind, stored = _TAIL.unpack_from(block, len(block) - _TAIL_SIZE)
        if (length, names, kind) == (_TAIL_SIZE, 0, _TAIL_TYPE):
            return bool(crc32c()(seed, block[:-_TAIL_SIZE]) == stored)
        at = self._count_of(block)
        if not at:
            return False
        limit, count = struct.unpack_from("<HH", block, at)
        tail = at + limit * 8
        if count > limit or tail + 8 > len(block):
            return False
        (stored,) = struct.unpack_from("<I", block, tail + 4)
        covered = block[: at + count * 8] + block[tail : tail + 4] + bytes(4)
        return bool(crc32c()(seed, covered) == stored)

    def _count_of(self, block: bytes) -> int:
        """Returns where an index block has the number of its entries; 0: it is not one."""
        _, first = struct.unpack_from("<IH", block)
        (second,) = struct.unpack_from("<H", block, _DOT + 4)
        whole = len(block) & 0xFFFF
        if first in {whole, 0} or (len(block) >= 65536 and first in {0xFFFF, 0}):
            return _NODE_COUNT
        inside = first == _DOT and block[_ROOT_INFO : _ROOT_INFO + 4] == bytes(4)
        return _ROOT_COUNT if inside and second >= len(block) - _DOT - 4 else 0

    def extents(self, number: int, raw: bytes, block: bytes) -> bool:
        """Whether a block of an extent tree matches; see `directory` for the arguments."""
        if not self.everywhere:
            return True
        (most,) = struct.unpack_from("<H", block, 4)
        tail = 12 + most * 12
        if tail + 4 > len(block):
            return False
        (stored,) = struct.unpack_from("<I", block, tail)
        return bool(crc32c()(self._of_inode(number, raw), block[:tail]) == stored)

    def attributes(self, place: int, block: bytes) -> bool:
        """Whether a block of attributes matches; `place` is its number."""
        if not self.everywhere:
            return True
        (stored,) = struct.unpack_from("<I", block, 16)
        covered = struct.pack("<Q", place) + block[:16] + bytes(4) + block[20:]
        return bool(crc32c()(self._seed, covered) == stored)


def _crc16(data: bytes) -> int:
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL_16 if value & 1 else 0)
    return value
