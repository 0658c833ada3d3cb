"""The inode tables of the groups in use, held in memory until a group is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from engine.filesystems.ext4.blockmap import pieces_in_inode
from engine.filesystems.ext4.format import BLOCK_SIZE, FIRST_INODE, INODE_SIZE
from engine.filesystems.ext4.inode import BLOCK_MAP_OFFSET, InodePacker
from engine.filesystems.ext4.native import Range
from engine.filesystems.placed import Piece
from engine.filesystems.sink import Sink
from engine.image.whole import read_whole


class _Group:
    """One group's table as far as it is used."""

    __slots__ = ("block", "data", "missing")

    def __init__(self, block: int) -> None:
        self.block = block
        self.data = bytearray()
        self.missing = 0


class InodeTable:
    """Takes inodes in any order and writes each group's table once its last one has come."""

    def __init__(self, sink: Sink, inodes_per_group: int, locate: Callable[[int], int]) -> None:
        """Starts empty.

        Args:
            sink: Where tables are written.
            inodes_per_group: Of the file system.
            locate: Returns the first block of a group's table.
        """
        self._sink = sink
        self._per_group = inodes_per_group
        self._locate = locate
        self._groups: dict[int, _Group] = {}
        self._here = _Group(0)
        self._first = -inodes_per_group

    def expect(self, numbers: Iterable[Range]) -> None:
        """Announces all inodes that will come."""
        for first, count in numbers:
            end = first - 1 + count
            at = first - 1
            while at < end:
                group, index = divmod(at, self._per_group)
                length = min(self._per_group - index, end - at)
                table = self._group(group)
                table.missing += length
                size = -(-(index + length) * INODE_SIZE // BLOCK_SIZE) * BLOCK_SIZE
                table.data.extend(bytes(max(size - len(table.data), 0)))
                at += length

    def load(self, descriptor: int, origin: int, packer: InodePacker) -> None:
        """Keeps the inodes that mke2fs made, with their times at the epoch.

        Args:
            descriptor: The image.
            origin: Byte where the file system begins.
            packer: Sets times and checksums.
        """
        table = self._groups[0]
        size = FIRST_INODE * INODE_SIZE
        raw = read_whole(descriptor, size, origin + table.block * BLOCK_SIZE)
        for number in range(1, FIRST_INODE + 1):
            at = (number - 1) * INODE_SIZE
            inode = raw[at : at + INODE_SIZE]
            if any(inode[:2]):  # a mode: in use
                table.data[at : at + INODE_SIZE] = packer.restamped(number, inode)
            else:
                table.data[at : at + INODE_SIZE] = inode

    def pieces(self, number: int) -> list[Piece]:
        """Returns the blocks of a directory that mke2fs made, from its inode."""
        at = (number - 1) * INODE_SIZE + BLOCK_MAP_OFFSET
        return pieces_in_inode(bytes(self._groups[0].data[at : at + 60]))

    def put(self, number: int, inode: memoryview) -> None:
        """Takes an inode."""
        index = number - self._first
        if not 0 <= index < self._per_group:
            group, index = divmod(number - 1, self._per_group)
            self._first = number - index
            self._here = self._groups[group]
        table = self._here
        at = index * INODE_SIZE
        table.data[at : at + INODE_SIZE] = inode
        table.missing -= 1
        if not table.missing:
            self._sink.write_blocks(table.block, table.data)
            del self._groups[(number - 1) // self._per_group]

    def _group(self, number: int) -> _Group:
        if number not in self._groups:
            self._groups[number] = _Group(self._locate(number))
        return self._groups[number]
