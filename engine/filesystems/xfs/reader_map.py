"""Names every block of an XFS that is in use, and tells which are free.

Source: fs/xfs/libxfs/xfs_format.h of the Linux kernel.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.filesystems.xfs.reader_groups import BY_PLACE, INODES, root_of
from engine.image.reading import BadFilesystem, walk
from engine.problem import text

if TYPE_CHECKING:
    from engine.filesystems.xfs.reader import Xfs

_MAX_GROUPS = 1 << 14
_HEADERS = ("superblock", "header of free space", "header of inodes", "list of free blocks")

_Structure = tuple[int, int, str]
"""First byte in the window, bytes, what it is."""


def structures(xfs: Xfs) -> Iterator[_Structure]:
    """See `Described.structures`.

    Raises:
        BadImage: A structure is damaged, or there are more groups than can be mapped.
    """
    _few(xfs)
    superblock, unit = xfs.superblock, xfs.block_size
    names = dict(_named(xfs))
    for number in range(superblock.groups):
        for sector, what in enumerate(_HEADERS):
            copy = "" if not number and not sector else f" of group {number}"
            yield xfs.groups.place(number, sector), superblock.sector_size, what + copy
        behind = -len(_HEADERS) * superblock.sector_size % unit
        if behind:
            place = xfs.groups.place(number, len(_HEADERS))
            yield place, behind, f"rest of the headers' block of group {number}"
        group = xfs.groups.group(number)
        for block in group.listed:
            place = xfs.blocks.place(xfs.blocks.number(number, block))
            yield place, unit, f"block set aside in group {number}"
        for root in group.roots:
            met: set[int] = set()
            for _ in xfs.groups.records(group, root, met):
                pass
            for block in sorted(met):
                yield xfs.blocks.place(block), unit, f"{root.layout.what} of group {number}"
        yield from _inodes(xfs, number, names)
    if superblock.log_start:
        place = xfs.blocks.place(superblock.log_start, superblock.log_blocks)
        yield place, superblock.log_blocks * unit, "log"
    for number, path in names.items():
        yield from _of(xfs, number, path)


def _named(xfs: Xfs) -> Iterator[tuple[int, str]]:
    """Yields the inodes and their first names."""
    root = xfs.lookup(b"")
    assert root is not None
    for node in (root, *walk(xfs)):
        yield node.inode, f"/{text(node.path)}"


def _inodes(xfs: Xfs, number: int, names: dict[int, str]) -> Iterator[_Structure]:
    """Yields each inode with a name separately, and the others of its chunk."""
    group = xfs.groups.group(number)
    size = xfs.superblock.inode_size
    for chunk in xfs.groups.chunks(group, root_of(group, INODES)):
        for index in range(chunk.there.bit_length()):
            if chunk.there >> index & 1:
                inode = chunk.first + index
                path = names.get(inode)
                rest = f"inodes of group {number} that no name leads to"
                what = rest if path is None else f"inode {inode} ({path})"
                yield xfs.inodes.place(inode), size, what


def _of(xfs: Xfs, number: int, path: str) -> Iterator[_Structure]:
    """Yields the blocks of an inode."""
    inode, unit = xfs.inodes.inode(number), xfs.block_size
    kind = "directory" if stat.S_ISDIR(inode.mode) else "data"
    for fork in (inode.data, inode.attributes):
        if fork is None or inode.realtime:
            continue
        what = f"{kind if fork is inode.data else 'attributes'} of {path}"
        met: set[int] = set()
        for extent in xfs.inodes.extents(inode, fork, met):
            yield xfs.blocks.place(extent.block), extent.blocks * unit, what
        for block in sorted(met):
            yield xfs.blocks.place(block), unit, f"{what} (its map)"


def unused(xfs: Xfs) -> Iterator[tuple[int, int]]:
    """See `Described.unused`: what the trees of free space have."""
    _few(xfs)
    unit = xfs.block_size
    for number in range(xfs.superblock.groups):
        group = xfs.groups.group(number)
        end = 0
        for start, count in xfs.groups.free(group, root_of(group, BY_PLACE)):
            if start < end:
                raise BadFilesystem(f"group {number}: free blocks from {start} on, behind {end}")
            end = start + count
            yield xfs.blocks.place(xfs.blocks.number(number, start)), count * unit


def _few(xfs: Xfs) -> None:
    if xfs.superblock.groups > _MAX_GROUPS:
        raise BadFilesystem(f"{xfs.superblock.groups} groups; at most {_MAX_GROUPS} are mapped")
