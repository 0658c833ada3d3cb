"""The allocation groups of an XFS: their headers, and the trees of what is free and what is not.

Source: struct xfs_agf, xfs_agi and xfs_agfl, and the records of the trees in
fs/xfs/libxfs/xfs_format.h of the Linux kernel.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from engine.filesystems.xfs.reader_blocks import Blocks, Layout, Tree
from engine.image.reading import BadFilesystem

BY_PLACE = Layout("tree of free space by place", b"AB3B", b"ABTB", 8, 8)
BY_SIZE = Layout("tree of free space by size", b"AB3C", b"ABTC", 8, 8)
INODES = Layout("tree of inodes", b"IAB3", b"IABT", 16, 4)
FREE_INODES = Layout("tree of free inodes", b"FIB3", b"FIBT", 16, 4)
OWNERS = Layout("tree of owners", b"RMB3", b"RMB3", 24, 40)
SHARED = Layout("tree of shared blocks", b"R3FC", b"R3FC", 12, 4)
CHUNK = 64
"""Inodes that a record of the tree of inodes is of."""
_MAX_LEVELS = 10
_PIECES_OF_CHUNK = 16
"""Bits that say which parts of a chunk there are, where inodes are made sparsely."""
_SPACE, _INODES, _LIST = b"XAGF", b"XAGI", b"XAFL"
_SPACE_CRC_AT, _INODES_CRC_AT, _LIST_CRC_AT = 216, 312, 32


class Root(NamedTuple):
    """A tree of a group: what it is, its first block in the group, and how many levels it has."""

    layout: Layout
    block: int
    levels: int


class Chunk(NamedTuple):
    """Some inodes: the first, which of them are there and which are free, as bits."""

    first: int
    there: int
    free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What the headers of a group say.

    Attributes:
        free_blocks: Without those set aside in its list.
        longest: The longest run of free blocks.
        listed: Blocks set aside for trees that grow, as numbers in the group.
        tree_blocks: Blocks of the trees of free space and of owners, without the roots.
        unlinked: Inodes that have no name and are still there.
    """

    number: int
    length: int
    free_blocks: int
    longest: int
    listed: tuple[int, ...]
    tree_blocks: int
    inodes: int
    free_inodes: int
    unlinked: int
    roots: tuple[Root, ...]


class Groups:
    """Reads groups."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._superblock = blocks.superblock

    def place(self, number: int, sector: int) -> int:
        """Returns where in the window a sector of a group begins."""
        superblock = self._superblock
        start = number * superblock.group_blocks * superblock.block_size
        return start + sector * superblock.sector_size

    def sector(self, number: int, sector: int) -> bytes:
        """Returns a sector of a group: the superblock's copy and three headers come first."""
        return self._blocks.window.read(self.place(number, sector), self._superblock.sector_size)

    def group(self, number: int) -> Group:
        """Returns what the headers of a group say.

        Raises:
            BadFilesystem: They are damaged.
        """
        superblock = self._superblock
        space = self._header(number, 1, _SPACE, _SPACE_CRC_AT, slice(64, 80))
        inodes = self._header(number, 2, _INODES, _INODES_CRC_AT, slice(296, 312))
        (
            length, by_place, by_size, owners, place_levels, size_levels, owner_levels, first, last,
            listed, free, longest, tree_blocks,
        ) = struct.unpack_from(">13I", space, 12)  # fmt: skip
        length_too, count, root, levels, free_inodes = struct.unpack_from(">5I", inodes, 12)
        if not length == length_too == superblock.group_length(number):
            raise BadFilesystem(
                f"group {number}: its headers say that it has {length} and {length_too} blocks; "
                f"it has {superblock.group_length(number)}"
            )
        roots = [
            Root(BY_PLACE, by_place, place_levels), Root(BY_SIZE, by_size, size_levels),
            Root(INODES, root, levels),
        ]  # fmt: skip
        if superblock.free_inodes_tree:
            roots.append(Root(FREE_INODES, *struct.unpack_from(">II", inodes, 328)))
        if superblock.owners:
            roots.append(Root(OWNERS, owners, owner_levels))
        if superblock.shares:
            roots.append(Root(SHARED, *struct.unpack_from(">II", space, 88)))
        heads = struct.unpack_from(">64I", inodes, 40)
        return Group(
            number=number, length=length, free_blocks=free, longest=longest,
            listed=self._listed(number, first, last, listed), tree_blocks=tree_blocks,
            inodes=count, free_inodes=free_inodes,
            unlinked=sum(head != 0xFFFFFFFF for head in heads), roots=tuple(roots),
        )  # fmt: skip

    def _header(
        self, number: int, sector: int, magic: bytes, crc_at: int, identifier: slice
    ) -> bytes:
        raw = self.sector(number, sector)
        where = f"group {number}: its header in sector {sector}"
        version, said = struct.unpack_from(">II", raw, 4)
        if raw[:4] != magic or version != 1:
            raise BadFilesystem(f"{where} begins with {raw[:8]!r}, not with {magic!r}")
        self._sealed(raw, crc_at, identifier, where)
        if said != number:
            raise BadFilesystem(f"{where} is that of group {said}")
        return raw

    def _sealed(self, raw: bytes, crc_at: int, identifier: slice, where: str) -> None:
        if not self._blocks.matches(raw, crc_at):
            raise BadFilesystem(f"{where} does not match its checksum")
        if self._superblock.checksums and raw[identifier] != self._superblock.identifier:
            raise BadFilesystem(f"{where} belongs to another file system")

    def _listed(self, number: int, first: int, last: int, count: int) -> tuple[int, ...]:
        """Returns the blocks that are set aside; their list is written round and round."""
        raw = self.sector(number, 3)
        where = f"group {number}: its list of free blocks"
        start = 0
        if self._superblock.checksums:
            if raw[:4] != _LIST:
                raise BadFilesystem(f"{where} begins with {raw[:4]!r}")
            self._sealed(raw, _LIST_CRC_AT, slice(8, 24), where)
            start = 36
        places = struct.unpack_from(f">{(len(raw) - start) // 4}I", raw, start)
        if count > len(places) or max(first, last) >= len(places):
            raise BadFilesystem(f"{where} has {count} of {len(places)}, from {first} to {last}")
        if count and (first + count - 1) % len(places) != last:
            raise BadFilesystem(f"{where} has {count} entries from {first} to {last}")
        listed = tuple(places[(first + at) % len(places)] for at in range(count))
        if any(not 0 < at < self._superblock.group_length(number) for at in listed):
            raise BadFilesystem(f"{where} names a block that is not in the group")
        return listed

    def records(self, group: Group, root: Root, met: set[int] | None = None) -> Iterator[bytes]:
        """Yields the records of each leaf of a tree.

        Args:
            group: The group.
            root: The tree.
            met: Gets the blocks of the tree, as numbers in the file system.

        Raises:
            BadFilesystem: It is damaged.
        """
        if not 0 < root.levels < _MAX_LEVELS:
            raise BadFilesystem(
                f"group {group.number}: the {root.layout.what} has {root.levels} levels"
            )
        tree = Tree(self._blocks, root.layout, group.number)
        block = self._blocks.number(group.number, root.block)
        yield from tree.leaves((block,), root.levels - 1)
        if met is not None:
            met |= tree.met

    def free(
        self, group: Group, root: Root, met: set[int] | None = None
    ) -> Iterator[tuple[int, int]]:
        """Yields the free blocks by either tree: number in the group, count.

        Raises:
            BadFilesystem: The tree is damaged.
        """
        for records in self.records(group, root, met):
            for start, count in struct.iter_unpack(">II", records):
                if not count or start + count > group.length:
                    raise BadFilesystem(
                        f"group {group.number}: {count} free blocks from {start} on of "
                        f"{group.length}"
                    )
                yield start, count

    def chunks(self, group: Group, root: Root, met: set[int] | None = None) -> Iterator[Chunk]:
        """Yields the inodes by either tree; their numbers are those of the file system.

        Raises:
            BadFilesystem: The tree is damaged.
        """
        superblock = self._superblock
        bits = superblock.group_bits + superblock.inode_bits
        sparse = superblock.features[2] & 2
        for records in self.records(group, root, met):
            for first, holes, free in struct.iter_unpack(">IIQ", records):
                if first >= group.length << superblock.inode_bits:
                    raise BadFilesystem(f"group {group.number}: inodes from {first} on")
                mask = holes >> 16 if sparse else 0
                there = sum(0xF << 4 * at for at in range(_PIECES_OF_CHUNK) if not mask >> at & 1)
                yield Chunk(group.number << bits | first, there, free & there)


def root_of(group: Group, layout: Layout) -> Root:
    """Returns the tree of a kind that every group has."""
    return next(root for root in group.roots if root.layout is layout)
