"""The inodes of an XFS, and the extents of their two forks: data and attributes.

Source: struct xfs_dinode and xfs_bmbt_rec in fs/xfs/libxfs/xfs_format.h of the Linux kernel.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from engine.filesystems.xfs.reader_blocks import Blocks, Layout, Tree
from engine.image.reading import BadFilesystem
from engine.units import in_bytes

_MAGIC = b"IN"
_KEPT = 1024
_CRC_AT, _NUMBER_AT, _IDENTIFIER = 100, 152, slice(160, 176)
_CORE, _CORE_V3 = 100, 176
_V3 = 3
_BIGTIME, _WIDE_COUNTS = 0x8, 0x10
_REALTIME = 0x1
_SECOND_NS = 1_000_000_000
_BIGTIME_BEGINS_NS = -(1 << 31) * _SECOND_NS
DEVICE, LOCAL, EXTENTS, BTREE = range(4)
"""How a fork holds what it holds."""
_RECORD = struct.Struct(">QQ")
_RECORD_SIZE = 16
_MAX_EXTENTS = 1 << 20
_MAX_LEVELS = 9
"""Of a tree of extents (XFS_BTREE_MAXLEVELS)."""
_MAP = Layout("map of extents", b"BMA3", b"BMAP", _RECORD_SIZE, 8, long=True)


class Extent(NamedTuple):
    """A piece of a fork; all in blocks, `block` is the number of the first."""

    logical: int
    block: int
    blocks: int
    written: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """One of the two things that an inode holds.

    Attributes:
        name: "data" or "attributes".
        form: One of `DEVICE` to `BTREE`.
        raw: What of it lies in the inode.
        place: Where in the inode that begins.
        count: How many extents it has.
    """

    name: str
    form: int
    raw: bytes
    place: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inode:
    """An inode as it stands on the disk; `attributes` is None where there is no such fork."""

    number: int
    raw: bytes
    version: int
    mode: int
    uid: int
    gid: int
    links: int
    size: int
    blocks: int
    mtime_ns: int
    generation: int
    realtime: bool
    data: Fork
    attributes: Fork | None


class Inodes:
    """The inodes of a file system."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self.inode = lru_cache(maxsize=_KEPT)(self._inode)
        """Returns an inode by its number (`_inode`)."""

    def split(self, number: int) -> tuple[int, int, int]:
        """Returns the group of an inode, the block in it, and which in that it is."""
        superblock = self._blocks.superblock
        block, index = number >> superblock.inode_bits, number & (1 << superblock.inode_bits) - 1
        group, at = self._blocks.split(block)
        return group, at, index

    def place(self, number: int) -> int:
        """Returns where in the window an inode begins.

        Raises:
            BadFilesystem: There is no such place.
        """
        superblock = self._blocks.superblock
        group, at, index = self.split(number)
        # Behind the headers of the group; a directory entry without an inode says 0.
        if group >= superblock.groups or not 0 < at < superblock.group_length(group):
            raise BadFilesystem(f"inode {number} lies outside of the {superblock.groups} groups")
        start = self._blocks.place(number >> superblock.inode_bits)
        return start + index * superblock.inode_size

    def raw(self, number: int) -> bytes:
        """Returns an inode as it stands on the disk."""
        superblock = self._blocks.superblock
        self.place(number)
        start = self.split(number)[2] * superblock.inode_size
        block = self._blocks.read(number >> superblock.inode_bits)
        return block[start : start + superblock.inode_size]

    def _inode(self, number: int) -> Inode:
        """Returns an inode.

        Raises:
            BadFilesystem: It is damaged, or not in use.
        """
        raw = self.raw(number)
        mode, version, form = struct.unpack_from(">HBB", raw, 2)
        if raw[:2] != _MAGIC:
            raise BadFilesystem(f"inode {number} begins with {raw[:2]!r}, not with {_MAGIC!r}")
        checksums = self._blocks.superblock.checksums
        if version not in ((_V3,) if checksums else (1, 2)):
            raise BadFilesystem(f"inode {number} is of version {version}")
        if checksums:
            self._verify(number, raw)
        if not mode:
            raise BadFilesystem(f"inode {number} is not in use")
        old_links, uid, gid, links = struct.unpack_from(">HIII", raw, 6)
        size, blocks = struct.unpack_from(">QQ", raw, 56)
        flags, generation = struct.unpack_from(">HI", raw, 90)
        (more,) = struct.unpack_from(">Q", raw, 120) if version == _V3 else (0,)
        if size >> 63:
            raise BadFilesystem(f"inode {number} has a size of {in_bytes(size)}")
        data, attributes = _forks(number, raw, form, wide=bool(more & _WIDE_COUNTS))
        return Inode(
            number=number, raw=raw, version=version, mode=mode, uid=uid, gid=gid,
            links=old_links if version == 1 else links, size=size, blocks=blocks,
            mtime_ns=time_of(raw, 40, long=bool(more & _BIGTIME)), generation=generation,
            realtime=bool(flags & _REALTIME), data=data, attributes=attributes,
        )  # fmt: skip

    def _verify(self, number: int, raw: bytes) -> None:
        if not self._blocks.matches(raw, _CRC_AT):
            group, at, _ = self.split(number)
            raise BadFilesystem(
                f"inode {number} in block {at} of group {group} does not match its checksum"
            )
        (said,) = struct.unpack_from(">Q", raw, _NUMBER_AT)
        if said != number:
            raise BadFilesystem(f"inode {number} says that it is inode {said}")
        if raw[_IDENTIFIER] != self._blocks.superblock.identifier:
            raise BadFilesystem(f"inode {number} belongs to another file system")

    def extents(self, inode: Inode, fork: Fork, met: set[int] | None = None) -> Iterator[Extent]:
        """Yields the extents of a fork, rising.

        Args:
            inode: Its inode.
            fork: The fork; of one that lies in the inode, nothing.
            met: Gets the blocks of its tree.

        Raises:
            BadFilesystem: It is damaged.
        """
        if fork.form not in {EXTENTS, BTREE}:
            return
        where = f"inode {inode.number}: its {fork.name}"
        if fork.count > _MAX_EXTENTS:
            raise BadFilesystem(f"{where} in {fork.count} pieces, {_MAX_EXTENTS} at most")
        end = count = 0
        for records in self._records(inode, fork, met):
            for high, low in _RECORD.iter_unpack(records):
                extent = Extent(
                    (high & (1 << 63) - 1) >> 9, (high & 0x1FF) << 43 | low >> 21,
                    low & (1 << 21) - 1, not high >> 63,
                )  # fmt: skip
                count += 1
                if not extent.blocks or extent.logical < end or count > fork.count:
                    raise BadFilesystem(
                        f"{where} has {extent.blocks} blocks at {extent.logical}, behind {end}"
                    )
                self._blocks.place(extent.block, extent.blocks)
                end = extent.logical + extent.blocks
                yield extent
        if count != fork.count:
            raise BadFilesystem(f"{where} has {count} pieces, not {fork.count}")

    def _records(self, inode: Inode, fork: Fork, met: set[int] | None) -> Iterator[bytes]:
        if fork.form == EXTENTS:
            size = fork.count * _RECORD_SIZE
            if size > len(fork.raw):
                raise BadFilesystem(
                    f"inode {inode.number}: {fork.count} pieces of its {fork.name} in "
                    f"{in_bytes(len(fork.raw))}"
                )
            yield fork.raw[:size]
            return
        level, count = struct.unpack_from(">HH", fork.raw) if len(fork.raw) >= 4 else (0, 0)
        most = (len(fork.raw) - 4) // 16
        if not 0 < level < _MAX_LEVELS or not 0 < count <= most:
            raise BadFilesystem(
                f"inode {inode.number}: the root of its {fork.name} is of level {level} with "
                f"{count} pointers"
            )
        tree = Tree(self._blocks, _MAP, inode.number)
        pointers = struct.unpack_from(f">{count}Q", fork.raw, 4 + most * 8)
        yield from tree.leaves(pointers, level - 1)
        if met is not None:
            met |= tree.met


def _forks(number: int, raw: bytes, form: int, *, wide: bool) -> tuple[Fork, Fork | None]:
    core = _CORE_V3 if raw[4] == _V3 else _CORE
    if wide:
        (count,), (attributes,) = (
            struct.unpack_from(">Q", raw, 24),
            struct.unpack_from(">I", raw, 76),
        )
    else:
        count, attributes = struct.unpack_from(">IH", raw, 76)
    split, other = raw[82] * 8, raw[83]
    if core + split > len(raw):
        raise BadFilesystem(f"inode {number}: its attributes begin behind its end")
    end = core + split if split else len(raw)
    data = Fork(name="data", form=form, raw=raw[core:end], place=core, count=count)
    if not split:
        return data, None
    return data, Fork(name="attributes", form=other, raw=raw[end:], place=end, count=attributes)


def time_of(raw: bytes, at: int, *, long: bool) -> int:
    """Returns a time of an inode in nanoseconds since 1970."""
    if long:
        (since,) = struct.unpack_from(">Q", raw, at)
        return int(since) + _BIGTIME_BEGINS_NS
    seconds, nanoseconds = struct.unpack_from(">ii", raw, at)
    return int(seconds * _SECOND_NS + nanoseconds)
