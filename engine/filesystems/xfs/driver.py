"""XFS as the planner sees it: what mkfs.xfs makes of a size, to the block.

Every choice that mkfs.xfs would make by its version or the machine is on the command line. Sources:
mkfs.xfs(8); "XFS Algorithms & Data Structures", 3rd edition; what xfs_db shows of what was made.
"""

from __future__ import annotations

from engine.filesystems.driver import Commands, DoesNotFit, FilesystemPlan, Request, Sized
from engine.units import GIB, MIB, TIB, ceil_to

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


class XfsDriver:
    """XFS without contents."""

    def grain(self, sector_size: int) -> int:
        return sector_size

    def least(self, request: Request) -> Sized:
        size = ceil_to(max(SMALLEST, request.free + _structures(SMALLEST, request)), MIB)
        while self.fit(request, size).free_bytes < request.free:  # more groups
            size += MIB
        return Sized(size, self.fit(request, size))

    def smallest(self, request: Request) -> int:
        return SMALLEST

    def fit(self, request: Request, size: int) -> FilesystemPlan:
        if size < SMALLEST:
            raise DoesNotFit(f"{size} bytes are too few for XFS, which has {SMALLEST} at least")
        if size > _LARGEST:
            raise DoesNotFit(f"{size} bytes are more than XFS is made with here", _LARGEST)
        blocks = size // BLOCK_SIZE
        taken = blocks * BLOCK_SIZE
        structures = _structures(taken, request)
        metadata = structures - _LOG
        return FilesystemPlan(
            type="xfs",
            label=request.label,
            uuid=request.uuid,
            size=taken,
            block_size=BLOCK_SIZE,
            blocks=blocks,
            inodes=INODES,
            manifest=request.manifest,
            data_bytes=0,
            free_bytes=taken - structures,
            free_inodes=INODES - _TAKEN,
            written_bytes=metadata,
            parts=(("journal", _LOG), ("metadata", metadata), ("free", taken - structures)),
            layout=request.sector_size,
        )

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


def _groups(size: int) -> int:
    return max(_GROUPS, -(-size // _GROUP_MOST))


def _structures(size: int, request: Request) -> int:
    """Returns the bytes of the journal and all other structures of an empty file system."""
    headers = -(-_HEADERS * request.sector_size // BLOCK_SIZE)
    blocks = _groups(size) * (headers + _TREES)
    return _LOG + blocks * BLOCK_SIZE + INODES * _INODE_SIZE


DRIVERS = {"xfs": XfsDriver()}
