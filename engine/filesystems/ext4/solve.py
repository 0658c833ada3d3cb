"""Solves for sizes: what fits a given file system, and the smallest one for given contents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from engine.filesystems.ext4.format import BLOCK_SIZE, EXT4, FIRST_INODE, INODE_SIZE, ExtFormat
from engine.filesystems.ext4.geometry import (
    LAST_GROUP_SPARE,
    MAX_BLOCKS,
    MAX_GROUP,
    Geometry,
    GeometryError,
    default_inodes,
    geometry,
)
from engine.filesystems.ext4.measure import Need

MIB = 1 << 20

BYTES_PER_INODE = 16_384
"""Free space that comes with one free inode, as in mke2fs.conf's default `inode_ratio`."""

SPARE_INODES = 16
"""Free inodes that every file system is left with."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """What a file system lacks to hold its contents, in units of `resource`."""

    resource: Literal["blocks", "inodes"]
    needed: int
    available: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """A file system that holds its contents.

    Attributes:
        size_bytes: The space it is given, a multiple of the alignment.
        free_bytes: What a user can still write; the reserve is not part of it.
        free_inodes: Files that a user can still make.
    """

    size_bytes: int
    geometry: Geometry
    free_bytes: int
    free_inodes: int


def taken_blocks(need: Need, geometry: Geometry) -> int:
    """Returns the blocks that the contents take of this file system, at most.

    Exact but for files that meet metadata on their way: each time, a leaf of an extent tree at
    most, and rarely an index block above it.
    """
    return need.blocks + min(need.breakable_blocks, 2 * geometry.breaks)


def fits(need: Need, geometry: Geometry) -> Shortage | None:
    """Returns what runs out when the contents are written, or None when they fit."""
    return _shortage(need, geometry, 0, 0)


def solution(need: Need, size_bytes: int, geometry: Geometry) -> Solution:
    """Returns what is left of a file system once the contents are in; negative if too little."""
    usable = geometry.free_blocks - geometry.reserved_blocks
    return Solution(
        size_bytes=size_bytes,
        geometry=geometry,
        free_bytes=(usable - taken_blocks(need, geometry)) * BLOCK_SIZE,
        free_inodes=geometry.free_inodes - need.inodes,
    )


def headroom(additional_bytes: int, additional_inodes: int | None = None) -> int:
    """Returns the free inodes that go with free space, unless they are given."""
    if additional_inodes is not None:
        return additional_inodes
    return additional_bytes // BYTES_PER_INODE + SPARE_INODES


def dense(size_bytes: int, grown: int) -> int:
    """Returns the inodes by which a file system has enough of them when it has been grown.

    Growing adds groups with as many inodes as the others have, so that their share of the bytes
    stays what it was made with. It is the one that mke2fs gives to the larger file system.

    Args:
        size_bytes: What it is made with.
        grown: What it will be grown to, or 0.
    """
    group = MAX_GROUP * BLOCK_SIZE
    per_group = -(-default_inodes(grown) // -(-grown // group)) if grown else 0
    return per_group * -(-size_bytes // group)


def solve(
    need: Need,
    *,
    additional_bytes: int,
    additional_inodes: int | None = None,
    grown: int = 0,
    alignment: int = MIB,
    ext: ExtFormat = EXT4,
) -> Solution:
    """Returns the smallest file system that holds the contents and leaves space for more.

    Nothing is reserved for the superuser. What is free exceeds `additional_bytes` by what the
    alignment and the metadata of a last group make of it: less than 1 % or 8 MiB.

    Args:
        need: What the contents take.
        additional_bytes: Free space left once they are in.
        additional_inodes: Free inodes left; by default one for each `BYTES_PER_INODE` of
            additional space, and `SPARE_INODES`.
        grown: What the file system will be grown to, or 0.
        alignment: The size is a multiple of this (a multiple of 4096).
        ext: ext2, ext3 or ext4.

    Raises:
        GeometryError: No file system of this format is large enough.
    """
    spare = headroom(additional_bytes, additional_inodes)
    inodes = FIRST_INODE + need.inodes + spare
    return _search(
        need,
        -(-additional_bytes // BLOCK_SIZE),
        spare,
        alignment,
        lambda size: geometry(size, ext=ext, inodes=max(inodes, dense(size, grown))),
    )


def smallest(
    need: Need,
    *,
    grown: int = 0,
    alignment: int = MIB,
    ext: ExtFormat = EXT4,
    reserved_percent: int | None = None,
) -> Solution:
    """Returns the smallest file system that holds the contents.

    Args:
        need: What the contents take.
        grown: What the file system will be grown to, or 0.
        alignment: The size is a multiple of this.
        ext: ext2, ext3 or ext4.
        reserved_percent: None for a size of our own making (as `solve`); otherwise the file
            system is one that plain mke2fs makes, with its default inodes and this reserve, of
            which writing the contents may take.

    Raises:
        GeometryError: No file system of this format is large enough.
    """
    if reserved_percent is None:
        return solve(need, additional_bytes=0, grown=grown, alignment=alignment, ext=ext)
    return _search(
        need,
        0,
        0,
        alignment,
        lambda size: geometry(size, ext=ext, reserved_percent=reserved_percent),
    )


def fixed(
    need: Need,
    size_bytes: int,
    *,
    additional_inodes: int | None = None,
    grown: int = 0,
    ext: ExtFormat = EXT4,
) -> Geometry:
    """Returns the geometry for contents in a space of fixed size; `fits` tells whether they do.

    The inode count is mke2fs' ratio of one for 16 KiB, or if that is more what the contents and
    the headroom take, or what fits the size that it will be grown to. Where the inode tables would
    crowd the contents out, the ratio does not count.

    Raises:
        GeometryError: The space is too small for any file system.
    """
    wanted = FIRST_INODE + need.inodes + headroom(0, additional_inodes)
    least = max(wanted, dense(size_bytes, grown))
    try:
        roomy = geometry(size_bytes, ext=ext, inodes=max(least, size_bytes // BYTES_PER_INODE))
        if fits(need, roomy) is None:
            return roomy
    except GeometryError:
        pass
    try:
        return geometry(size_bytes, ext=ext, inodes=least)
    except GeometryError:
        return geometry(size_bytes, ext=ext)


def _shortage(need: Need, geometry: Geometry, blocks: int, inodes: int) -> Shortage | None:
    """Returns what runs out when so many blocks and inodes have to be left."""
    needed = taken_blocks(need, geometry) + blocks
    if needed > geometry.free_blocks:
        return Shortage("blocks", needed, geometry.free_blocks)
    needed = need.inodes + inodes
    if needed > geometry.free_inodes:
        return Shortage("inodes", needed, geometry.free_inodes)
    return None


def _search(
    need: Need,
    free_blocks: int,
    free_inodes: int,
    alignment: int,
    make: Callable[[int], Geometry],
) -> Solution:
    """Returns the smallest aligned size whose file system leaves so much free.

    Free space is not a monotonic function of the size (journals grow in steps, a last group may be
    dropped), but it never grows faster than the size by more than a bound. So the search comes
    from below, and each step is what is certainly still lacking.
    """
    size = _align((need.blocks + free_blocks + 1) * BLOCK_SIZE, alignment)
    while size <= MAX_BLOCKS * BLOCK_SIZE:
        least = size + alignment
        try:
            made = make(size)
        except GeometryError:
            least = size + max(alignment, MIB)
        else:
            shortage = _shortage(need, made, free_blocks, free_inodes)
            if shortage is None:
                return solution(need, size, made)
            least = max(least, _least_size(size, made, shortage))
        size = _align(least, alignment)
    raise GeometryError(f"{need.blocks + free_blocks} blocks are too many for one file system")


def _least_size(size: int, made: Geometry, shortage: Shortage) -> int:
    """Returns a size below which the shortage of a smaller size cannot be over."""
    lacking = shortage.needed - shortage.available
    if shortage.resource == "blocks":
        # Tables split over more groups may save a block in each; metadata may break files less
        # often; the last group comes with more than its share. A dropped group is not a start.
        gain = made.groups + 2 * made.breaks + LAST_GROUP_SPARE
        return (made.blocks + lacking - gain) * BLOCK_SIZE
    # A block brings an inode at most, but tables are filled up, and the ratio doubles at 3 MiB.
    gain = made.groups * (BLOCK_SIZE // INODE_SIZE) + 3 * MIB // 8192
    return size + (lacking - gain) * BLOCK_SIZE


def _align(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment
