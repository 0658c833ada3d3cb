"""The geometry of an empty ext file system, as mke2fs lays it out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """An ext2/3/4 file system before anything is in it. Block counts are of `block_size` bytes.

    Attributes:
        free_blocks, free_inodes: As `dumpe2fs -h` prints them right after mke2fs.
        reserved_blocks: Kept for the superuser (`-m`), part of `free_blocks`.
    """

    block_size: int
    blocks: int
    inodes: int
    groups: int
    inodes_per_group: int
    inode_table_blocks: int
    journal_blocks: int
    group_descriptor_blocks: int
    reserved_gdt_blocks: int
    overhead_blocks: int
    reserved_blocks: int
    free_blocks: int
    free_inodes: int
