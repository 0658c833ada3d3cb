"""The names in directories of an XFS, in each of the forms that they have.

A few lie in the inode; more in one block with its index; many in blocks, with an index of one block
or of a tree behind them. Names are read from where they lie: `soundness_index` reads indexes.

Source: fs/xfs/libxfs/xfs_da_format.h and xfs_dir2_priv.h of the Linux kernel.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from engine.filesystems.xfs.reader_blocks import DIRECTORY, Blocks
from engine.filesystems.xfs.reader_inode import BTREE, EXTENTS, LOCAL, Extent, Inode, Inodes
from engine.image.reading import BadFilesystem
from engine.units import in_bytes

_INDEX_BEGINS = 1 << 35
"""Byte of a directory at which its index begins."""
_MAX_DIRECTORY = 1 << 30
_MAX_NAMES = 1 << 22
"""Of one directory; they are sorted in memory."""
_ONE, _ONE_V4 = b"XDB3", b"XD2B"
_DATA, _DATA_V4 = b"XDD3", b"XD2D"
_FREE = 0xFFFF
_TAIL, _INDEX_ENTRY = 8, 8


class Named(NamedTuple):
    """An entry of a directory: `place` is that of its bytes, as indexes count it."""

    name: bytes
    inode: int
    type: int
    place: int


class Unit(NamedTuple):
    """A block of a directory, which may be several of the file system: its bytes in it."""

    logical: int
    block: int
    raw: bytes


class Directories:
    """Reads directories."""

    def __init__(self, blocks: Blocks, inodes: Inodes) -> None:
        self._blocks = blocks
        self._inodes = inodes
        self._superblock = blocks.superblock
        self._unit = self._superblock.directory_block // self._superblock.block_size
        """Blocks of the file system that a block of a directory has."""

    def data_extents(self, inode: Inode) -> Iterator[Extent]:
        """Yields the extents with names, without those of the index."""
        end = _INDEX_BEGINS // self._superblock.block_size
        for extent in self._inodes.extents(inode, inode.data):
            if extent.logical < end:
                yield extent

    def parent(self, inode: Inode) -> int:
        """Returns the number of the directory above, of one that lies in its inode."""
        raw = inode.data.raw
        return int.from_bytes(raw[2:10] if raw[1] else raw[2:6], "big")

    def entries(self, inode: Inode) -> Iterator[Named]:
        """Yields what a directory names, in the order of its bytes; of `.` and `..` as well.

        Of one that lies in its inode, these two are not among it.

        Raises:
            BadFilesystem: It is damaged; what stands before the damage was yielded.
        """
        where = f"directory {inode.number}"
        if inode.data.form == LOCAL:
            yield from self._in_inode(inode, where)
            return
        if inode.data.form not in {EXTENTS, BTREE}:
            raise BadFilesystem(f"{where} is of form {inode.data.form}")
        if inode.size > _MAX_DIRECTORY:
            raise BadFilesystem(f"{where} has {in_bytes(inode.size)}")
        names = 0
        for unit in self.units(inode, 0, _INDEX_BEGINS):
            for each in self._in_block(inode, unit, where):
                names += 1
                if names > _MAX_NAMES:
                    raise BadFilesystem(f"{where} has over {_MAX_NAMES} names")
                yield each

    def units(self, inode: Inode, begin: int, end: int) -> Iterator[Unit]:
        """Yields the blocks of a directory between two bytes of it.

        Raises:
            BadFilesystem: One is not all there.
        """
        size, each = self._superblock.block_size, self._unit
        left = _MAX_DIRECTORY // size
        parts: list[int] = []
        for extent in self._inodes.extents(inode, inode.data):
            if not begin // size <= extent.logical < end // size:
                continue
            if not extent.written:
                raise BadFilesystem(f"directory {inode.number} has blocks that were never written")
            if extent.logical % each != len(parts):
                raise BadFilesystem(f"directory {inode.number}: half a block at {extent.logical}")
            at = 0
            left -= extent.blocks
            if left < 0:
                raise BadFilesystem(
                    f"directory {inode.number} has over {in_bytes(_MAX_DIRECTORY)} of blocks"
                )
            while at < extent.blocks:
                if not parts and extent.blocks - at >= each:
                    first = extent.block + at
                    raw = self._entries(first, each)
                    yield Unit(extent.logical + at, first, raw)
                    at += each
                    continue
                parts.append(extent.block + at)
                at += 1
                if len(parts) == each:
                    raw = b"".join(self._entries(part, 1) for part in parts)
                    yield Unit(extent.logical + at - each, parts[0], raw)
                    parts = []
        if parts:
            raise BadFilesystem(f"directory {inode.number} ends in the midst of a block")

    def _entries(self, block: int, count: int) -> bytes:
        place = self._blocks.place(block, count)
        return self._blocks.window.read_entries(place, count * self._superblock.block_size)

    def _in_inode(self, inode: Inode, where: str) -> Iterator[Named]:
        raw = inode.data.raw[: inode.size]
        if len(raw) < 6 or inode.size > len(inode.data.raw):
            raise BadFilesystem(f"{where}: {in_bytes(inode.size)} in its inode")
        wide = 8 if raw[1] else 4
        count, at = (raw[1] or raw[0]), 2 + wide
        typed = 1 if self._superblock.types else 0
        for _ in range(count):
            if at + 3 > len(raw):
                raise BadFilesystem(f"{where}: its names go behind its end")
            length = raw[at]
            (place,) = struct.unpack_from(">H", raw, at + 1)
            name = raw[at + 3 : at + 3 + length]
            at += 3 + length
            kind = raw[at] if typed and at < len(raw) else 0
            number = raw[at + typed : at + typed + wide]
            at += typed + wide
            if at > len(raw):
                raise BadFilesystem(f"{where}: its names go behind its end")
            yield Named(_checked(name, where), int.from_bytes(number, "big"), kind, place)

    def _in_block(self, inode: Inode, unit: Unit, where: str) -> Iterator[Named]:
        raw = unit.raw
        checksums = self._superblock.checksums
        known = (_ONE, _DATA) if checksums else (_ONE_V4, _DATA_V4)
        name = f"{where}: {self._blocks.named(unit.block)}"
        if raw[:4] not in known:
            raise BadFilesystem(f"{name} begins with {raw[:4]!r}, not with {known[1]!r}")
        self._blocks.sealed(raw, DIRECTORY, unit.block, inode.number, f"directory {inode.number}")
        end = len(raw)
        if raw[:4] == known[0]:
            (index,) = struct.unpack_from(">I", raw, end - _TAIL)
            end -= _TAIL + index * _INDEX_ENTRY
        at = 64 if checksums else 16
        typed = 1 if self._superblock.types else 0
        base = unit.logical * self._superblock.block_size
        if end < at:
            raise BadFilesystem(f"{name} has an index longer than itself")
        while at < end:
            tag, length = struct.unpack_from(">HH", raw, at)
            if tag == _FREE:
                if length < 8 or length % 8 or at + length > end:
                    raise BadFilesystem(f"{name} has {length} free bytes at {at}")
                at += length
                continue
            if at + 12 > end:
                raise BadFilesystem(f"{name} ends in the midst of a name")
            number, length = struct.unpack_from(">QB", raw, at)
            size = 9 + length + typed + 2 + 7 & ~7
            if at + size > end:
                raise BadFilesystem(f"{name} has a name of {in_bytes(length)} at {at}")
            kind = raw[at + 9 + length] if typed else 0
            yield Named(_checked(raw[at + 9 : at + 9 + length], where), number, kind, base + at)
            at += size


def _checked(name: bytes, where: str) -> bytes:
    if not name or b"/" in name or b"\0" in name:
        raise BadFilesystem(f"{where} has the name {name!r}")
    return name
