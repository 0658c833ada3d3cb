"""The blocks of an XFS: where they are, and whether they are what they should be.

Source: fs/xfs/libxfs/xfs_format.h, xfs_da_format.h and xfs_btree.c of the Linux kernel. From
version 5 on, every structure has a checksum and says where it belongs: what was written to another
place, or is left from an earlier file system, is told from what belongs there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from engine.filesystems.crc32c import crc32c
from engine.filesystems.xfs.reader_superblock import Superblock
from engine.image.reading import BadFilesystem, Window

_DISK_BLOCK = 512
"""Bytes of the unit in which structures say where they are."""
_KEPT = 64


class Seal(NamedTuple):
    """Where a structure says what it is: its checksum, place, UUID and owner."""

    crc: int
    place: int
    identifier: int
    owner: int
    owner_format: str = ">Q"


SHORT_TREE = Seal(52, 16, 32, 48, ">I")
"""Of the trees of a group; the owner is the group."""
LONG_TREE = Seal(64, 24, 40, 56)
"""Of the extents of an inode."""
DIRECTORY = Seal(4, 8, 24, 40)
"""Of the blocks of a directory that have names, and of those that list what is free."""
INDEX = Seal(12, 16, 32, 48)
"""Of the blocks of an index, and of attributes."""
REMOTE = Seal(12, 40, 16, 32)
"""Of values and targets that have blocks of their own."""


class Blocks:
    """The blocks of a file system in a window."""

    def __init__(self, window: Window, superblock: Superblock) -> None:
        self.window = window
        self.superblock = superblock
        self._whole = lru_cache(maxsize=_KEPT)(self._read_whole)

    def place(self, block: int, count: int = 1) -> int:
        """Returns where in the window so many blocks begin.

        Raises:
            BadFilesystem: They are not all in one group.
        """
        superblock = self.superblock
        group, at = self.split(block)
        if group >= superblock.groups or at + count > superblock.group_length(group):
            raise BadFilesystem(
                f"{count} blocks from {self.named(block)} on, of {superblock.groups} groups of "
                f"{superblock.group_blocks}"
            )
        return (group * superblock.group_blocks + at) * superblock.block_size

    def split(self, block: int) -> tuple[int, int]:
        """Returns the group of a block, and where in it it is."""
        bits = self.superblock.group_bits
        return block >> bits, block & (1 << bits) - 1

    def number(self, group: int, at: int) -> int:
        """Returns the number of a block in a group."""
        return group << self.superblock.group_bits | at

    def named(self, block: int) -> str:
        """Returns what a block is called in messages."""
        group, at = self.split(block)
        return f"block {at} of group {group}"

    def read(self, block: int, count: int = 1) -> bytes:
        """Returns the bytes of some blocks.

        Raises:
            BadImage: They are not there.
        """
        if count == 1:
            return self._whole(block)
        return self.window.read(self.place(block, count), count * self.superblock.block_size)

    def _read_whole(self, block: int) -> bytes:
        return self.window.read(self.place(block), self.superblock.block_size)

    def matches(self, raw: bytes, at: int) -> bool:
        """Whether a structure matches the checksum that it has at a place."""
        if not self.superblock.checksums:
            return True
        value = crc32c()(0xFFFFFFFF, raw[:at] + bytes(4) + raw[at + 4 :]) ^ 0xFFFFFFFF
        return bool(struct.unpack_from("<I", raw, at)[0] == value)

    def sealed(self, raw: bytes, seal: Seal, block: int, owner: int, what: str) -> None:
        """Checks that a structure is whole and belongs where it is, as far as it says so.

        Args:
            raw: Its bytes.
            seal: Where it says so.
            block: Its first block.
            owner: Number of the inode, or the group, that it belongs to.
            what: It is, for the message.

        Raises:
            BadFilesystem: It is not.
        """
        if not self.superblock.checksums:
            return
        where = f"{what} at {self.named(block)}"
        if not self.matches(raw, seal.crc):
            raise BadFilesystem(f"{where} does not match its checksum")
        if raw[seal.identifier : seal.identifier + 16] != self.superblock.identifier:
            raise BadFilesystem(f"{where} belongs to another file system")
        (place,) = struct.unpack_from(">Q", raw, seal.place)
        if place * _DISK_BLOCK != self.place(block):
            raise BadFilesystem(f"{where} says that it belongs at byte {place * _DISK_BLOCK}")
        (said,) = struct.unpack_from(seal.owner_format, raw, seal.owner)
        if said != owner:
            raise BadFilesystem(f"{where} belongs to {said}, not to {owner}")


class Layout(NamedTuple):
    """A kind of tree: its magic numbers with and without checksums, bytes of records and keys."""

    what: str
    magic: bytes
    magic_v4: bytes
    record: int
    key: int
    long: bool = False

    @property
    def pointer(self) -> int:
        """Bytes of a pointer."""
        return 8 if self.long else 4

    def header(self, superblock: Superblock) -> int:
        """Returns the bytes before the records of a block."""
        if self.long:
            return 72 if superblock.checksums else 24
        return 56 if superblock.checksums else 16


class Tree:
    """A tree of blocks, walked from the left to the right.

    Attributes:
        met: The blocks it has, as they are met.
    """

    def __init__(self, blocks: Blocks, layout: Layout, owner: int) -> None:
        self._blocks = blocks
        self._layout = layout
        self._owner = owner
        self.met: set[int] = set()

    def leaves(self, roots: Iterator[int] | tuple[int, ...], level: int) -> Iterator[bytes]:
        """Yields the records of each leaf below some blocks.

        Args:
            roots: The blocks, in order.
            level: Their level; leaves have 0.

        Raises:
            BadFilesystem: A block is damaged, or is met twice.
        """
        for block in roots:
            if block in self.met:
                raise BadFilesystem(
                    f"the {self._layout.what} leads to {self._blocks.named(block)} twice"
                )
            self.met.add(block)
            raw, count = self._block(block, level)
            start = self._layout.header(self._blocks.superblock)
            if level == 0:
                yield raw[start : start + count * self._layout.record]
            else:
                most = (len(raw) - start) // (self._layout.key + self._layout.pointer)
                yield from self.leaves(
                    self._pointers(raw, start + most * self._layout.key, count), level - 1
                )

    def _pointers(self, raw: bytes, start: int, count: int) -> tuple[int, ...]:
        if self._layout.long:
            return struct.unpack_from(f">{count}Q", raw, start)
        return tuple(
            self._blocks.number(self._owner, at)
            for at in struct.unpack_from(f">{count}I", raw, start)
        )

    def _block(self, block: int, level: int) -> tuple[bytes, int]:
        """Returns the bytes of a block and how many records or pointers it has."""
        layout, superblock = self._layout, self._blocks.superblock
        raw = self._blocks.read(block)
        where = f"the {layout.what} at {self._blocks.named(block)}"
        magic = layout.magic if superblock.checksums else layout.magic_v4
        if raw[:4] != magic:
            raise BadFilesystem(f"{where} begins with {raw[:4]!r}, not with {magic!r}")
        seal = LONG_TREE if layout.long else SHORT_TREE
        self._blocks.sealed(raw, seal, block, self._owner, f"the {layout.what}")
        found, count = struct.unpack_from(">HH", raw, 4)
        size = layout.key + layout.pointer if level else layout.record
        most = (len(raw) - layout.header(superblock)) // size
        if found != level or count > most or (level and not count):
            raise BadFilesystem(f"{where} is of level {found} with {count} records")
        return raw, count
