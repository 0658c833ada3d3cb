"""The superblock of an XFS: its figures, held against each other.

Source: struct xfs_dsb in fs/xfs/libxfs/xfs_format.h of the Linux kernel; big endian, but for its
checksum.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass

from engine.filesystems.crc32c import crc32c
from engine.image.reading import BadFilesystem

MAGIC = b"XFSB"
SIZE = 512
"""Bytes that the smallest sector has, in which all of it lies."""
_CRC_AT = 224
_CHECKSUMS = 5
_SECTORS = tuple(1 << bits for bits in range(9, 16))
_BLOCKS = tuple(1 << bits for bits in range(9, 17))
_MOST_DIRECTORY_BLOCK = 1 << 16
_INODES = tuple(1 << bits for bits in range(8, 12))
_DIRECTORIES_V2, _UPPER_LOWER, _MORE = 0x2000, 0x4000, 0x8000
_TYPES_V4 = 0x200
_TYPES, _SPARSE, _META_UUID, _BIGTIME, _NEEDS_REPAIR, _WIDE_COUNTS = 1, 2, 4, 8, 0x10, 0x20
_EXCHANGE, _PARENTS, _METADATA_FOLDER, _ZONED, _ZONE_GAPS = 0x40, 0x80, 0x100, 0x200, 0x400
_KNOWN = (
    _TYPES | _SPARSE | _META_UUID | _BIGTIME | _NEEDS_REPAIR | _WIDE_COUNTS | _EXCHANGE | _PARENTS
    | _METADATA_FOLDER | _ZONED | _ZONE_GAPS
)  # fmt: skip
_FREE_INODES, _OWNERS, _SHARING, _INODE_BLOCKS = 1, 2, 4, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Superblock:
    """What a superblock says, once it was found possible. Sizes are in bytes, places in blocks.

    Attributes:
        group_blocks: Of every allocation group but the last, which has what is left.
        group_bits: Bits of a block's number that say where in its group it is; those above are the
            group.
        inode_bits: Bits of an inode's number that say where in its block it is.
        directory_block: Bytes of a block of a directory.
        log_start: First block of the log; 0 for one on another device.
        identifier: The UUID that structures have, which stays when the file system gets another.
        checksums: Whether structures have checksums and say where they belong (version 5).
        types: Whether directories tell the types of what they name.
        shares: Whether files may share blocks.
        owners: Whether each group has a tree of the owners of its blocks.
        free_inodes_tree: Whether each group has a tree of those chunks with free inodes.
        case: Whether names that differ only in case are the same name.
        realtime: Blocks of the realtime section.
        in_progress: Whether mkfs.xfs was stopped before it was done.
        needs_repair: Whether xfs_repair was stopped before it was done.
    """

    raw: bytes
    version: int
    block_size: int
    blocks: int
    group_blocks: int
    groups: int
    group_bits: int
    sector_size: int
    inode_size: int
    inode_bits: int
    root: int
    directory_block: int
    log_start: int
    log_blocks: int
    inodes: int
    free_inodes: int
    free_blocks: int
    features: tuple[int, ...]
    label: str
    uuid: str
    identifier: bytes
    checksums: bool
    types: bool
    shares: bool
    owners: bool
    free_inodes_tree: bool
    case: bool
    realtime: int
    in_progress: bool
    needs_repair: bool

    def group_length(self, group: int) -> int:
        """Returns the blocks of a group."""
        return min(self.group_blocks, self.blocks - group * self.group_blocks)


def parse(raw: bytes) -> Superblock:
    """Returns what a sector with a superblock says.

    Raises:
        BadFilesystem: Its checksum is another, it contradicts itself, or asks for what is not
            known here.
    """
    block_size, blocks, realtime = struct.unpack_from(">IQQ", raw, 4)
    log_start, root = struct.unpack_from(">QQ", raw, 48)
    (
        group_blocks, groups, _, log_blocks, flags, sector_size, inode_size, per_block,
    ) = struct.unpack_from(">IIIIHHHH", raw, 84)  # fmt: skip
    block_bits, _, inode_log, inode_bits, group_bits = struct.unpack_from(">5B", raw, 120)
    inodes, free_inodes, free_blocks = struct.unpack_from(">QQQ", raw, 128)
    (more,) = struct.unpack_from(">I", raw, 200)
    version = flags & 15
    if version not in {4, 5}:
        raise _bad(f"version {version}")
    features = struct.unpack_from(">IIII", raw, 208) if version == _CHECKSUMS else (0, 0, 0, 0)
    _, read_only, incompatible, _ = features
    if version != _CHECKSUMS and not flags & _DIRECTORIES_V2:
        raise _bad("directories of IRIX, which are not read here")
    directory_block = block_size << raw[192] if raw[192] < 8 else 0
    for wrong, what in (
        (block_size not in _BLOCKS or block_size != 1 << block_bits,
         f"blocks of {block_size} bytes"),
        (sector_size not in _SECTORS or sector_size > len(raw), f"sectors of {sector_size} bytes"),
        (inode_size not in _INODES or inode_size != 1 << inode_log,
         f"inodes of {inode_size} bytes"),
        (per_block << inode_log != block_size or per_block != 1 << inode_bits,
         f"{per_block} inodes in a block"),
        (not 0 < directory_block <= _MOST_DIRECTORY_BLOCK,
         f"directories in units of 2^{raw[192]} blocks"),
        (not group_blocks or not 0 <= group_bits <= 32 or group_blocks > 1 << group_bits
         or group_blocks <= 1 << group_bits >> 1, f"groups of {group_blocks} blocks"),
        (groups != -(-blocks // max(group_blocks, 1)),
         f"{groups} groups of {group_blocks} blocks for {blocks} blocks"),
        (free_blocks > blocks, f"{free_blocks} of {blocks} blocks are free"),
    ):  # fmt: skip
        if wrong:
            raise _bad(what)
    if version == _CHECKSUMS and not valid(raw):
        (stored,) = struct.unpack_from("<I", raw, _CRC_AT)
        raise _bad(f"checksum {stored:#010x}, computed {_sum(raw):#010x}")
    if unknown := incompatible & ~_KNOWN:
        raise _bad(f"features {unknown:#x} that are not known here")
    identifier = raw[248:264] if incompatible & _META_UUID else raw[32:48]
    types = incompatible & _TYPES or (flags & _MORE and more & _TYPES_V4)
    return Superblock(
        raw=raw, version=version, block_size=block_size, blocks=blocks, group_blocks=group_blocks,
        groups=groups, group_bits=group_bits, sector_size=sector_size, inode_size=inode_size,
        inode_bits=inode_bits, root=root, directory_block=directory_block, log_start=log_start,
        log_blocks=log_blocks, inodes=inodes, free_inodes=free_inodes, free_blocks=free_blocks,
        features=features, label=raw[108:120].partition(b"\0")[0].decode("utf-8", "replace"),
        uuid=str(uuid.UUID(bytes=raw[32:48])), identifier=identifier,
        checksums=version == _CHECKSUMS, types=bool(types), shares=bool(read_only & _SHARING),
        owners=bool(read_only & _OWNERS), free_inodes_tree=bool(read_only & _FREE_INODES),
        case=bool(flags & _UPPER_LOWER), realtime=realtime, in_progress=bool(raw[126]),
        needs_repair=bool(incompatible & _NEEDS_REPAIR),
    )  # fmt: skip


def sector_size(raw: bytes) -> int:
    """Returns the bytes of a sector, of which a superblock is the first.

    Raises:
        BadFilesystem: It says what cannot be.
    """
    (size,) = struct.unpack_from(">H", raw, 102)
    if size not in _SECTORS:
        raise _bad(f"sectors of {size} bytes")
    return int(size)


def valid(raw: bytes) -> bool:
    """Whether a superblock of version 5 matches its checksum."""
    return bool(struct.unpack_from("<I", raw, _CRC_AT)[0] == _sum(raw))


def _sum(raw: bytes) -> int:
    return crc32c()(0xFFFFFFFF, raw[:_CRC_AT] + bytes(4) + raw[_CRC_AT + 4 :]) ^ 0xFFFFFFFF


def _bad(what: str) -> BadFilesystem:
    return BadFilesystem(f"XFS superblock: {what}")
