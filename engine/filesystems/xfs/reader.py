"""Reads XFS without mounting it, whoever made it.

Source: "XFS Algorithms & Data Structures", 3rd edition, and fs/xfs/libxfs of the Linux kernel.
Every number read is checked before it is used: a hostile file system is refused or shown, it cannot
make this reader hang or grow.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator, Mapping

from engine.filesystems.xfs import reader_fields as fields
from engine.filesystems.xfs import reader_map
from engine.filesystems.xfs.reader_attributes import Attributes, unwrapped
from engine.filesystems.xfs.reader_blocks import Blocks
from engine.filesystems.xfs.reader_directory import Directories
from engine.filesystems.xfs.reader_groups import Groups
from engine.filesystems.xfs.reader_inode import BTREE, DEVICE, EXTENTS, LOCAL, Inode, Inodes
from engine.filesystems.xfs.reader_log import state
from engine.filesystems.xfs.reader_superblock import MAGIC, SIZE, parse, sector_size
from engine.image.fields import Record
from engine.image.reading import BadFilesystem, Node, Numbered, Window
from engine.units import in_bytes

_LINK = b"XSLM"
_MAX_TARGET = 1024
_MAX_LINK_EXTENTS = 64
_MINOR_BITS = 18


class Xfs(Numbered):
    """An XFS in a window of a disk.

    Attributes:
        superblock: What it says.
        blocks, inodes_, groups, directories: What reads its parts.
        stale: Why what is read may be older than what a mount would show; "" if it is not.
        shares_blocks: Whether files may have blocks in common.
    """

    type = "xfs"

    def __init__(self, window: Window) -> None:
        self._window = window
        head = window.read(0, SIZE)
        self.superblock = parse(window.read(0, sector_size(head)))
        superblock = self.superblock
        self.blocks = Blocks(window, superblock)
        self.inodes = Inodes(self.blocks)
        self.groups = Groups(self.blocks)
        self.directories = Directories(self.blocks, self.inodes)
        self._attributes = Attributes(self.blocks, self.inodes)
        self.root = superblock.root
        self.block_size = superblock.block_size
        self.size = superblock.blocks * superblock.block_size
        self.room = min(self.size, window.size)
        self.label, self.uuid = superblock.label, superblock.uuid
        self.shares_blocks = superblock.shares
        self._has_changes, self.stale = state(self.blocks)

    @property
    def clean(self) -> bool:
        """Whether it was made to the end and unmounted, and nothing is under repair."""
        superblock = self.superblock
        return not (self._has_changes or superblock.in_progress or superblock.needs_repair)

    @property
    def settled(self) -> bool:
        """Whether all that is on the disk is in its place, and is known to be."""
        return self.clean and not self.stale

    @property
    def free(self) -> int:
        """Bytes that can still be taken."""
        return self.superblock.free_blocks * self.block_size

    def figures(self) -> Mapping[str, int | str]:
        superblock = self.superblock
        return {
            "blocks": superblock.blocks, "inodes": superblock.inodes,
            "free_inodes": superblock.free_inodes,
        }  # fmt: skip

    def header(self) -> Mapping[str, object]:
        """See `Described.header`; the records have every field."""
        return {}

    def records(self) -> Iterator[Record]:
        superblock = self.superblock
        yield Record("superblock", "superblock", superblock.raw, fields.SUPERBLOCK)
        for number in range(superblock.groups):
            for sector, what, known in (
                (1, "header of free space", fields.SPACE), (2, "header of inodes", fields.INODES),
            ):  # fmt: skip
                where = f"{what} of group {number}"
                yield Record("descriptor", where, self.groups.sector(number, sector), known)

    def inode_record(self, node: Node) -> Record:
        raw = self.inodes.raw(node.inode)
        return Record("path", "", raw, fields.inode(raw), fields.inode_times(raw))

    def structures(self) -> Iterator[tuple[int, int, str]]:
        return reader_map.structures(self)

    def unused(self) -> Iterator[tuple[int, int]]:
        return reader_map.unused(self)

    def node(self, number: int, path: bytes) -> Node:
        """See `Numbered.node`.

        Raises:
            BadFilesystem: It, or what it points to, is damaged.
        """
        inode = self.inodes.inode(number)
        kind = stat.S_IFMT(inode.mode)
        extents: tuple[tuple[int, int, int], ...] = ()
        target, rdev, size = b"", 0, 0
        if kind in {stat.S_IFREG, stat.S_IFDIR}:
            size = inode.size
            extents = tuple(self._extents(inode))
        elif kind == stat.S_IFLNK:
            size = inode.size
            target = self._target(inode)
        elif kind in {stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK}:
            if inode.data.form != DEVICE:
                raise BadFilesystem(f"inode {number}: a device of form {inode.data.form}")
            if kind in {stat.S_IFCHR, stat.S_IFBLK}:
                (stored,) = struct.unpack_from(">I", inode.data.raw)
                rdev = os.makedev(stored >> _MINOR_BITS, stored & (1 << _MINOR_BITS) - 1)
        else:
            raise BadFilesystem(f"inode {number} has the mode {inode.mode:#o}")
        return Node(
            path=path, mode=inode.mode, uid=inode.uid, gid=inode.gid, size=size,
            mtime_ns=inode.mtime_ns, links=inode.links, inode=number, target=target, rdev=rdev,
            extents=extents, xattrs=tuple(sorted(self._attributes.of(inode))),
        )  # fmt: skip

    def names(self, node: Node) -> Iterator[tuple[bytes, int]]:
        """See `Numbered.names`."""
        for entry in self.directories.entries(self.inodes.inode(node.inode)):
            if entry.name not in {b".", b".."}:
                yield entry.name, entry.inode

    def data(self, node: Node) -> Iterator[tuple[int, bytes]]:
        """See `Filesystem.data`.

        Raises:
            BadFilesystem: It is on the realtime device.
        """
        if node.size and self.inodes.inode(node.inode).realtime:
            raise BadFilesystem(f"{node.path!r} is on the realtime device, which is not read here")
        yield from super().data(node)

    def _extents(self, inode: Inode) -> Iterator[tuple[int, int, int]]:
        """Yields where the data of a file is, or the names of a directory; no holes."""
        unit = self.block_size
        if stat.S_ISDIR(inode.mode):
            for extent in self.directories.data_extents(inode):
                yield extent.logical * unit, self.blocks.place(extent.block), extent.blocks * unit
            return
        if inode.data.form not in {EXTENTS, BTREE}:
            raise BadFilesystem(f"inode {inode.number}: a file of form {inode.data.form}")
        if inode.realtime:
            return
        end = -(-inode.size // unit)
        for extent in self.inodes.extents(inode, inode.data):
            count = min(extent.blocks, end - extent.logical)
            if extent.written and count > 0:
                yield extent.logical * unit, self.blocks.place(extent.block), count * unit

    def _target(self, inode: Inode) -> bytes:
        """Returns what a symbolic link leads to."""
        if not 0 < inode.size <= _MAX_TARGET:
            raise BadFilesystem(f"inode {inode.number}: a link target of {in_bytes(inode.size)}")
        if inode.data.form == LOCAL:
            target = inode.data.raw[: inode.size]
        else:
            target = b"".join(self._target_pieces(inode))[: inode.size]
        if len(target) != inode.size or b"\0" in target:
            raise BadFilesystem(
                f"inode {inode.number}: its target is not of {in_bytes(inode.size)}"
            )
        return target

    def _target_pieces(self, inode: Inode) -> Iterator[bytes]:
        """Yields what each extent of a link has of its target."""
        if inode.data.count > _MAX_LINK_EXTENTS:
            raise BadFilesystem(f"inode {inode.number}: a link in {inode.data.count} pieces")
        at = 0
        for extent in self.inodes.extents(inode, inode.data):
            if extent.blocks * self.block_size > 2 * _MAX_TARGET + self.block_size:
                raise BadFilesystem(f"inode {inode.number}: a link of {extent.blocks} blocks")
            raw = self.blocks.read(extent.block, extent.blocks)
            if self.superblock.checksums:
                what = f"the target of inode {inode.number}"
                raw = unwrapped(self.blocks, raw, _LINK, extent.block, inode.number, at, what)
            at += len(raw)
            yield raw


def probe(window: Window) -> Xfs | None:
    """Returns the XFS in a window, or None if there is none.

    Raises:
        BadFilesystem: It is there, and damaged.
    """
    return Xfs(window) if window.read(0, len(MAGIC)) == MAGIC else None
