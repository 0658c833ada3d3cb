"""XFS as the planner sees it: what mkfs.xfs makes of a size, to the block.

What contents take once a kernel has put them in is a bound: all that can be is counted in full.

Every choice that mkfs.xfs would make by its version or the machine is on the command line. Sources:
mkfs.xfs(8); "XFS Algorithms & Data Structures", 3rd edition; what xfs_db shows of what was made.
"""

from __future__ import annotations

import stat
from dataclasses import replace

from engine.filesystems.driver import (
    Commands,
    DoesNotFit,
    FilesystemPlan,
    Request,
    Sized,
)
from engine.filesystems.mounted import Held, touched
from engine.filesystems.plain import grown, plain
from engine.filesystems.xfs.kept import LIMITS
from engine.manifest.manifest import Manifest
from engine.units import GIB, MIB, TIB, ceil_to, in_bytes

BLOCK_SIZE = 4096

SMALLEST = 300 * MIB
"""What mkfs.xfs has asked for since xfsprogs 5.19."""

_LARGEST = 1 << 60
_LOG = 64 * MIB
"""The least that mkfs.xfs gives the journal of a file system of `SMALLEST` or more."""
_GROUPS, _GROUP_MOST = 4, TIB - GIB
"""Allocation groups, and the bytes that one has at most, a little below what there can be."""
_TREES = 5
"""Blocks with the roots of a group's trees: free space twice, inodes twice, shared blocks."""
_HEADERS = 4
"""Sectors with the headers of a group."""
_INODE_SIZE, INODES = 512, 64
"""Bytes of an inode, and how many are made at once; three of the first are taken."""
_TAKEN = 3

_FEATURES = "crc=1,finobt=1,rmapbt=0,reflink=1,inobtcount=1,bigtime=1"
_OPTIONS = (
    "-i", f"size={_INODE_SIZE},sparse=1,nrext64=0", "-n", "version=2,ftype=1",
    "-b", f"size={BLOCK_SIZE}", "-l", f"size={_LOG // MIB}m,version=2",
)  # fmt: skip
"""What Linux from 5.10 on mounts; these are the defaults of xfsprogs 6.1."""


_DIRECTORY_ENTRY, _LEAF_ENTRY = 24, 16
"""Bytes of an entry of a directory besides its name, and of its hash in leaves that are half full
at worst."""
_BLOCK_HEADER = 64
_ATTRIBUTE = 24
_INSIDE = 300
"""Bytes of attributes or of a link's target that surely are in the inode."""
_EXTENTS = 100
"""Pieces of a file that a block of its tree lists at least."""
_SPREAD = 64
"""Chunks of inodes that are begun in groups besides the full ones."""
_FILLED_WITH = "allocsize=4k"
"""Nothing is set aside behind a file that grows, which would stay in one with holes (xfs(5))."""
_WITHHELD, _POOL, _POOL_SHARE = 128, 8192, 20
"""A kernel keeps back blocks for trees that grow, about one in 140, and a pool of at most `_POOL`
(fs/xfs/xfs_ag_resv.c, xfs_fs_reserve_ag_blocks; xfs_default_resblks)."""


class XfsDriver:
    """XFS, made empty and filled by a kernel."""

    def granularity(self, sector_size: int) -> int:
        return sector_size

    def least(self, request: Request) -> Sized:
        size = ceil_to(max(SMALLEST, request.free + _structures(SMALLEST, request)), MIB)
        held = _contents(request.manifest)
        return grown(size, request.free, lambda size: _plan(request, size, held))

    def smallest(self, request: Request) -> int:
        return self.least(replace(request, free=0)).bytes

    def fit(self, request: Request, size: int) -> FilesystemPlan:
        return _plan(request, size, _contents(request.manifest))

    def make(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        """See `Driver.make`; mkfs.xfs knows no offset."""
        sector: int = planned.layout
        label = ("-L", planned.label) if planned.label else ()
        return (
            ("mkfs.xfs", "-q", "-f", "-K", "-m", f"uuid={planned.uuid},{_FEATURES}", *_OPTIONS,
             "-s", f"size={sector}", "-d", f"agcount={_groups(planned.size)}", *label, copy),
        )  # fmt: skip

    def check(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        return (("xfs_repair", "-n", "-f", copy),)


def _plan(request: Request, size: int, held: Held) -> FilesystemPlan:
    """Returns the file system in a place of so many bytes; see `Driver.fit`."""
    if size < SMALLEST:
        raise DoesNotFit(f"{in_bytes(size)} are too few for XFS, which has {SMALLEST:,} at least")
    if size > _LARGEST:
        raise DoesNotFit(f"{in_bytes(size)} are more than XFS is made with here", _LARGEST)
    blocks = size // BLOCK_SIZE
    taken = blocks * BLOCK_SIZE
    metadata = _structures(taken, request) - _LOG
    return plain(
        request,
        "xfs",
        block_size=BLOCK_SIZE,
        blocks=blocks,
        own=(("journal", _LOG), ("metadata", metadata)),
        written=metadata,
        inodes=INODES,
        free_inodes=INODES - _TAKEN,
        layout=request.sector_size,
        options=_FILLED_WITH,
        held=held.bytes,
        withheld=(blocks // _WITHHELD + min(blocks // _POOL_SHARE, _POOL)) * BLOCK_SIZE,
        refused=held.refused,
        drops=held.drops,
    )


def _contents(manifest: Manifest) -> Held:
    return Held(_held(manifest), LIMITS.refused(manifest), LIMITS.drops(manifest))


def _held(manifest: Manifest) -> int:
    """Returns the bytes that contents take at most; 0 for none but the directory at the top."""
    blocks = inodes = 0
    names: dict[bytes, tuple[int, int]] = {}
    for entry in manifest:
        if entry.path:
            count, length = names.get(entry.parent, (0, 0))
            names[entry.parent] = count + 1, length + len(entry.name) + _DIRECTORY_ENTRY
        if entry.link_to is not None:
            continue
        inodes += 1
        if entry.is_regular:
            data, pieces = touched(entry, BLOCK_SIZE)
            blocks += data + (pieces // _EXTENTS + 1 if pieces > _INODE_SIZE // 32 else 0)
        elif stat.S_ISLNK(entry.mode) and len(entry.target) + _attributes(entry.xattrs) > _INSIDE:
            blocks += 1
        if _attributes(entry.xattrs) > _INSIDE // 2:
            blocks += 2 + 2 * sum(
                1 + (_ATTRIBUTE + len(name) + len(value)) // (BLOCK_SIZE - _BLOCK_HEADER)
                for name, value in entry.xattrs
            )
    if len(manifest) < 2:
        return 0
    for count, length in names.values():
        if length > _INSIDE // 2:
            # A block of entries is left once the next name does not fit.
            usable = BLOCK_SIZE - _BLOCK_HEADER - 280
            blocks += 3 + length // usable + _LEAF_ENTRY * count // (BLOCK_SIZE - _BLOCK_HEADER)
    chunks = inodes // INODES + _SPREAD
    blocks += chunks * INODES * _INODE_SIZE // BLOCK_SIZE + chunks // _EXTENTS
    return (blocks + blocks // 100) * BLOCK_SIZE


def _attributes(xattrs: tuple[tuple[bytes, bytes], ...]) -> int:
    """Returns about the bytes of attributes; an ACL is three times as long there."""
    return sum(_ATTRIBUTE + len(name) + 3 * len(value) for name, value in xattrs)


def _groups(size: int) -> int:
    return max(_GROUPS, -(-size // _GROUP_MOST))


def _structures(size: int, request: Request) -> int:
    """Returns the bytes of the journal and all other structures of an empty file system."""
    headers = -(-_HEADERS * request.sector_size // BLOCK_SIZE)
    blocks = _groups(size) * (headers + _TREES)
    return _LOG + blocks * BLOCK_SIZE + INODES * _INODE_SIZE


DRIVERS = {"xfs": XfsDriver()}
