"""The superblock: what a writer must know of a file system, and the times it carries.

Source: Documentation/filesystems/ext4/super.rst of the Linux kernel.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from engine.filesystems.ext4.format import BLOCK_SIZE, EXT2, EXT3, EXT4, INODE_SIZE, ExtFormat
from engine.filesystems.ext4.native import crc32c

SUPERBLOCK_OFFSET = 1024
SUPERBLOCK_SIZE = 1024

_MAGIC = 0xEF53
_HAS_JOURNAL, _EXTENTS, _WIDE = 0x4, 0x40, 0x80
_CHECKSUMS, _CHECKSUM_SEED = 0x400, 0x2000
_BIG_CLUSTERS = 0x200
_UNSIGNED_HASH = 0x2
_CHECKSUM_OFFSET = 0x3FC
_TIMES = ((0x30, 0x275), (0x40, 0x277), (0x108, 0x276))
"""Offsets of the low 32 bits and high 8 bits of the time of writing, checking and creation. The
time of mounting stays 0: never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Superblock:
    """The parts of a superblock that decide how things are written.

    Attributes:
        checksum_seed: Seed of all metadata checksums; unused without them.
        hash_version: As `ext2fs_dirhash2` takes it, signedness included.
        stored_hash_version: As a directory index carries it.
    """

    blocks: int
    inodes: int
    free_blocks: int
    free_inodes: int
    first_block: int
    inodes_per_group: int
    format: ExtFormat
    checksum_seed: int
    hash_version: int
    stored_hash_version: int
    hash_seed: bytes


class UnsupportedFilesystem(ValueError):
    """Not a file system that this engine makes; the message says in what."""


def parse(raw: bytes) -> Superblock:
    """Returns the superblock of an ext2, ext3 or ext4 file system as `mke2fs_argv` makes it.

    Raises:
        UnsupportedFilesystem: It is not one, or has another shape.
    """
    u32 = struct.Struct("<I").unpack_from
    u16 = struct.Struct("<H").unpack_from
    if u16(raw, 0x38)[0] != _MAGIC:
        raise UnsupportedFilesystem("no ext file system there")
    compatible, incompatible, read_only = struct.unpack_from("<III", raw, 0x5C)
    block_size, inode_size = 1024 << u32(raw, 0x18)[0], u16(raw, 0x58)[0]
    if block_size != BLOCK_SIZE or inode_size != INODE_SIZE or read_only & _BIG_CLUSTERS:
        raise UnsupportedFilesystem(
            f"blocks of {block_size} and inodes of {inode_size} bytes; "
            f"only {BLOCK_SIZE} and {INODE_SIZE} without clusters are written"
        )
    journal = EXT3 if compatible & _HAS_JOURNAL else EXT2
    ext = EXT4 if incompatible & _EXTENTS else journal
    if ext.checksums != bool(read_only & _CHECKSUMS):
        raise UnsupportedFilesystem(f"{ext.name} is written with metadata_csum as mke2fs has it")
    wide = bool(incompatible & _WIDE)
    uuid = raw[0x68:0x78]
    seed = u32(raw, 0x270)[0] if incompatible & _CHECKSUM_SEED else crc32c(0xFFFFFFFF, uuid)
    hash_version = raw[0xFC]
    return Superblock(
        blocks=u32(raw, 0x04)[0] | (u32(raw, 0x150)[0] << 32 if wide else 0),
        inodes=u32(raw, 0x00)[0],
        free_blocks=u32(raw, 0x0C)[0] | (u32(raw, 0x158)[0] << 32 if wide else 0),
        free_inodes=u32(raw, 0x10)[0],
        first_block=u32(raw, 0x14)[0],
        inodes_per_group=u32(raw, 0x28)[0],
        format=ext,
        checksum_seed=seed,
        hash_version=hash_version + (3 if u32(raw, 0x160)[0] & _UNSIGNED_HASH else 0),
        stored_hash_version=hash_version,
        hash_seed=raw[0xEC:0xFC],
    )


def with_times(raw: bytes, epoch: int) -> bytes:
    """Returns a superblock whose every recorded time is `epoch`, with its checksum made right.

    libext2fs stamps the clock's time on every write, and takes an epoch of 0 for "not fixed".
    """
    changed = bytearray(raw)
    for low, high in _TIMES:
        struct.pack_into("<I", changed, low, epoch & 0xFFFFFFFF)
        changed[high] = epoch >> 32 & 0xFF
    if struct.unpack_from("<I", raw, 0x64)[0] & _CHECKSUMS:
        body = bytes(changed[:_CHECKSUM_OFFSET])
        struct.pack_into("<I", changed, _CHECKSUM_OFFSET, crc32c(0xFFFFFFFF, body))
    return bytes(changed)
