"""The geometry of an empty ext file system, as mke2fs lays it out.

The rules are those of e2fsprogs 1.47.0 (`ext2fs_initialize`, `ext2fs_default_journal_size`,
`mke2fs.conf`); the tests hold them against the real mke2fs, block for block.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.filesystems.ext4.extents import extent_count, indirect_blocks, tree_blocks
from engine.filesystems.ext4.format import (
    BLOCK_SIZE,
    EXT4,
    FIRST_INODE,
    FLEX_GROUPS,
    INODE_SIZE,
    LOST_FOUND_BLOCKS,
    ExtFormat,
)
from engine.units import in_bytes

_MIB = 1 << 20
_TIB = 1 << 40

MAX_BLOCKS = 2**32 - 1
"""Blocks of the largest file system that resize_inode allows (16 TiB)."""

MAX_GROUP = BLOCK_SIZE * 8
"""Blocks, and inodes, that one bitmap block covers: the most in a group."""

_SMALLEST_GROUP = 248
"""Blocks of the smallest group that mke2fs tries when there are many inodes."""

LAST_GROUP_SPARE = 50
"""A last group must have this many blocks beyond its own metadata, or it is not made."""

_RATIOS = (
    (3 * _MIB, 8192),
    (512 * _MIB, 4096),
    (4 * _TIB, 16384),
    (16 * _TIB, 32768),
)
_LARGEST_RATIO = 65536
"""mke2fs.conf: bytes per inode of the usage types floppy, small, default, big and huge."""

_JOURNALS = (
    (2048, 0), (32768, 1024), (256 << 10, 4096), (512 << 10, 8192), (4096 << 10, 16384),
    (8192 << 10, 32768), (16384 << 10, 65536), (32768 << 10, 131072),
)  # fmt: skip
_LARGEST_JOURNAL = 262144
"""Journal blocks of a file system with fewer blocks than the first of each pair."""


class GeometryError(ValueError):
    """mke2fs would refuse to make this file system; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """An ext2/3/4 file system before anything is in it. Block counts are of `block_size` bytes.

    Attributes:
        ext: The format it has.
        requested_blocks: The space given to mke2fs; a last group too small to be of use is left
            out of `blocks`.
        requested_inodes: The count given to mke2fs (`-N`), before rounding up.
        inode_table_blocks: In each group.
        group_descriptor_blocks: In each group that has a copy of them, as `reserved_gdt_blocks`.
        backups: Groups that hold a superblock and descriptors, the first included.
        overhead_blocks: Superblocks, descriptors, bitmaps and inode tables.
        journal_map_blocks: What maps the journal outside its inode.
        reserved_blocks: Kept for the superuser (`-m`), part of `free_blocks`.
        free_blocks, free_inodes: As `dumpe2fs -h` prints them right after mke2fs.
    """

    ext: ExtFormat
    block_size: int
    requested_blocks: int
    requested_inodes: int
    blocks: int
    inodes: int
    groups: int
    blocks_per_group: int
    inodes_per_group: int
    inode_table_blocks: int
    journal_blocks: int
    journal_map_blocks: int
    group_descriptor_blocks: int
    reserved_gdt_blocks: int
    backups: int
    overhead_blocks: int
    reserved_blocks: int
    free_blocks: int
    free_inodes: int

    @property
    def breaks(self) -> int:
        """How often its metadata interrupts the free space, at most."""
        tables = -(-self.groups // FLEX_GROUPS) if self.ext.flexible else self.groups
        return self.backups + tables + (self.journal_blocks > 0)


def default_inodes(size_bytes: int) -> int:
    """Returns the inodes that mke2fs makes room for unless told (`inode_ratio`)."""
    size = size_bytes // BLOCK_SIZE * BLOCK_SIZE
    for limit, ratio in _RATIOS:
        if size < limit:
            return size // ratio
    return size // _LARGEST_RATIO


def journal_blocks(blocks: int) -> int:
    """Returns the blocks of the journal that mke2fs makes by default; 0 below 8 MiB."""
    for limit, journal in _JOURNALS:
        if blocks < limit:
            return journal
    return _LARGEST_JOURNAL


def backup_groups(groups: int) -> int:
    """Returns how many groups hold a superblock (sparse_super): 0, 1 and powers of 3, 5, 7."""
    count = min(groups, 2)
    for base in (3, 5, 7):
        power = base
        while power < groups:
            count += 1
            power *= base
    return count


def has_backup(group: int) -> bool:
    """Whether a group holds a superblock and the group descriptors (sparse_super)."""
    if group < 2:
        return True
    for base in (3, 5, 7):
        rest = group
        while rest % base == 0:
            rest //= base
        if rest == 1:
            return True
    return False


def geometry(
    size_bytes: int,
    *,
    ext: ExtFormat = EXT4,
    inodes: int | None = None,
    reserved_percent: int = 0,
) -> Geometry:
    """Returns what mke2fs makes of a space with 4 KiB blocks and 256-byte inodes.

    Args:
        size_bytes: The space; a part of a block at its end stays unused.
        ext: ext2, ext3 or ext4.
        inodes: At least so many (`-N`); by default one for each `inode_ratio` bytes.
        reserved_percent: Share of the blocks kept for the superuser (`-m`).

    Raises:
        GeometryError: Too small, or too many inodes.
    """
    given = size_bytes // BLOCK_SIZE
    if given > MAX_BLOCKS:
        raise GeometryError(f"{given} blocks, {MAX_BLOCKS} at most")
    wanted = default_inodes(size_bytes) if inodes is None else inodes
    if wanted * INODE_SIZE >= given * BLOCK_SIZE:
        raise GeometryError(f"{wanted} inodes take more room than {in_bytes(size_bytes)}")
    split = _Split.of(given, max(wanted, FIRST_INODE + 1), ext)
    reserved = given * reserved_percent // 100 * split.reserving // given
    journal = journal_blocks(split.blocks) if ext.journal else 0
    journal_map = _journal_map(journal, ext)
    # The root directory, lost+found and the resize inode's indirect block.
    first_files = 1 + LOST_FOUND_BLOCKS + 1
    free = split.blocks - split.overhead - first_files - journal - journal_map
    if free < 0:
        raise GeometryError(f"no room for the metadata in {in_bytes(size_bytes)}")
    return Geometry(
        ext=ext,
        block_size=BLOCK_SIZE,
        requested_blocks=given,
        requested_inodes=wanted,
        blocks=split.blocks,
        inodes=split.inodes_per_group * split.groups,
        groups=split.groups,
        blocks_per_group=split.per_group,
        inodes_per_group=split.inodes_per_group,
        inode_table_blocks=split.table,
        journal_blocks=journal,
        journal_map_blocks=journal_map,
        group_descriptor_blocks=split.descriptors,
        reserved_gdt_blocks=split.reserved_descriptors,
        backups=backup_groups(split.groups),
        overhead_blocks=split.overhead,
        reserved_blocks=reserved,
        free_blocks=free,
        free_inodes=split.inodes_per_group * split.groups - FIRST_INODE,
    )


@dataclass(frozen=True, slots=True)
class _Split:
    """How a number of blocks and inodes is divided into groups.

    Attributes:
        per_group: Blocks of a group.
        inodes: The least number of them.
        reserving: Blocks that the superuser's share is reckoned from: mke2fs adapts the share
            when it drops a last group, but not when it then starts again with smaller groups.
    """

    blocks: int
    per_group: int
    inodes: int
    reserving: int
    ext: ExtFormat

    @classmethod
    def of(cls, given: int, inodes: int, ext: ExtFormat) -> _Split:
        """Finds the division as mke2fs does, trying again until nothing changes."""
        split = cls(given, MAX_GROUP, inodes, given, ext)
        while True:
            if -(-inodes // split.groups) > MAX_GROUP:
                # Smaller groups, in steps of 8, until there are enough to hold the inodes.
                enough = (given - 1) // (-(-inodes // MAX_GROUP) - 1) // 8 * 8
                per_group = min(split.per_group - 8, enough)
                if per_group < _SMALLEST_GROUP:
                    raise GeometryError(f"{inodes} inodes are too many for {given} blocks")
                split = cls(given, per_group, inodes, split.reserving, ext)
                continue
            split._check()
            rest = split.blocks % split.per_group
            needed = split.group_overhead(split.groups - 1)
            if split.groups == 1 and rest and rest < needed:
                raise GeometryError(f"{given} blocks are too few: metadata takes {needed}")
            if not rest or rest >= needed + LAST_GROUP_SPARE:
                return split
            if split.blocks == rest:
                raise GeometryError(f"{given} blocks are too few")
            blocks = split.blocks - rest
            split = cls(blocks, split.per_group, inodes, blocks, ext)

    def _check(self) -> None:
        descriptors = self.descriptors + self.reserved_descriptors
        if descriptors > self.per_group * 3 // 4:
            raise GeometryError(f"{self.blocks} blocks would need the meta_bg feature")
        if 3 + self.table + descriptors > self.per_group:
            raise GeometryError(f"{self.inodes} inodes are too many for {self.blocks} blocks")

    @property
    def groups(self) -> int:
        return -(-self.blocks // self.per_group)

    @property
    def table(self) -> int:
        """Blocks of one group's inode table."""
        inodes = -(-self.inodes // self.groups)
        return -(-inodes * INODE_SIZE // BLOCK_SIZE)

    @property
    def inodes_per_group(self) -> int:
        return self.table * BLOCK_SIZE // INODE_SIZE

    @property
    def descriptors(self) -> int:
        """Blocks of group descriptors."""
        return -(-self.groups // self._descriptors_per_block)

    @property
    def reserved_descriptors(self) -> int:
        """Blocks kept for the descriptors of a file system grown 1024 times (resize_inode)."""
        grown = min(self.blocks * 1024, MAX_BLOCKS)
        groups = -(-grown // self.per_group)
        return min(-(-groups // self._descriptors_per_block) - self.descriptors, BLOCK_SIZE // 4)

    @property
    def _descriptors_per_block(self) -> int:
        return BLOCK_SIZE // (64 if self.ext.wide_descriptors else 32)

    def group_overhead(self, group: int) -> int:
        """Returns the metadata blocks of one group."""
        backup = 1 + self.descriptors + self.reserved_descriptors if has_backup(group) else 0
        return 2 + self.table + backup

    @property
    def overhead(self) -> int:
        """Metadata blocks of all groups."""
        backup = 1 + self.descriptors + self.reserved_descriptors
        return self.groups * (2 + self.table) + backup_groups(self.groups) * backup


def _journal_map(journal: int, ext: ExtFormat) -> int:
    """Returns the blocks that map the journal outside its inode.

    The journal lies in one piece unless tables of far more inodes than blocks are in its way.
    """
    run = ((0, journal),) if journal else ()
    return tree_blocks(extent_count(run)) if ext.extents else indirect_blocks(run)
