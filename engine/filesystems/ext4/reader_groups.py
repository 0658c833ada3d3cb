"""Which block groups hold copies of superblock and descriptors, and where a descriptor stands.

Source: Documentation/filesystems/ext4/blockgroup.rst of the Linux kernel ("Meta Block Groups");
libext2fs, ext2fs_super_and_bgd_loc2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_SPARSE_SUPER2, _META_BG = 0x200, 0x10
_SPARSE_SUPER, _BIGALLOC = 0x1, 0x200
_SUPERBLOCK_AT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """How the groups of an ext file system are laid out.

    Attributes:
        count: Groups.
        size: Blocks of a group; the last one may have fewer.
        first: Block that the first group begins with.
        ratio: Blocks that a bit of a block bitmap stands for.
        descriptor: Bytes of a descriptor.
        block: Bytes of a block.
        meta: First block of descriptors that stands in its own group, not behind the superblock.
        backups: Groups with copies, if these are listed.
        sparse: Whether only few groups have copies.
    """

    count: int
    size: int
    first: int
    ratio: int
    descriptor: int
    block: int
    meta: int | None
    backups: tuple[int, int] | None
    sparse: bool

    def start(self, group: int) -> int:
        """Returns the first block of a group that may be in use: the first byte boots."""
        return max(self.first + group * self.size, _SUPERBLOCK_AT // self.block)

    def has_superblock(self, group: int) -> bool:
        """Whether a group begins with the superblock or a copy."""
        if group == 0:
            return True
        if self.backups is not None:
            return group in self.backups
        return not self.sparse or group == 1 or any(_is_power(group, base) for base in (3, 5, 7))

    def place(self, group: int) -> tuple[int, int]:
        """Returns the block of a group's descriptor, and the byte in it."""
        table, index = divmod(group, self._a_block)
        inside = index * self.descriptor
        if self.meta is None or table < self.meta:
            return self.start(0) + 1 + table, inside
        first = table * self._a_block
        return self.start(first) + self.has_superblock(first), inside

    def descriptors(self, group: int) -> range:
        """Returns the blocks of descriptors that stand in a group, or copies of these."""
        table, index = divmod(group, self._a_block)
        at = self.start(group) + self.has_superblock(group)
        if self.meta is not None and table >= self.meta:
            return range(at, at + (index in {0, 1, self._a_block - 1}))
        if not self.has_superblock(group):
            return range(0)
        blocks = -(-self.count // self._a_block)
        return range(at, at + (blocks if self.meta is None else min(blocks, self.meta)))

    @property
    def _a_block(self) -> int:
        return self.block // self.descriptor


def groups(superblock: bytes, *, blocks: int, block: int, descriptor: int) -> Groups:
    """Returns the layout that a superblock states.

    Args:
        superblock: Its 1024 bytes; the number of blocks in a group is not 0.
        blocks: Blocks of the file system.
        block: Bytes of one.
        descriptor: Bytes of a descriptor.
    """
    first, log_block, log_cluster, size = struct.unpack_from("<IIII", superblock, 0x14)
    compatible, incompatible, read_only = struct.unpack_from("<III", superblock, 0x5C)
    (meta,) = struct.unpack_from("<I", superblock, 0x104)
    backups = struct.unpack_from("<II", superblock, 0x24C)
    clusters = read_only & _BIGALLOC and log_cluster > log_block
    return Groups(
        count=-(-(blocks - first) // size),
        size=size,
        first=first,
        ratio=1 << min(log_cluster - log_block, 32) if clusters else 1,
        descriptor=descriptor,
        block=block,
        meta=meta if incompatible & _META_BG else None,
        backups=backups if compatible & _SPARSE_SUPER2 else None,
        sparse=bool(read_only & _SPARSE_SUPER),
    )


def _is_power(number: int, base: int) -> bool:
    while number % base == 0:
        number //= base
    return number == 1
