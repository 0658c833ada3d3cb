"""Btrfs as the planner sees it: what mkfs.btrfs makes of a size."""

from __future__ import annotations

from engine.filesystems.driver import Commands, DoesNotFit, FilesystemPlan, Request, Sized
from engine.units import MIB, ceil_to

BLOCK_SIZE, NODE_SIZE = 4096, 16384

SMALLEST = 109 * MIB
"""What mkfs.btrfs asks for, with metadata twice and data once: 114294784 bytes."""

_LARGEST = 1 << 60
_RESERVED = MIB
"""Bytes at the start of a device that stay free of extents."""
_NODES, _COPIES = 9, 2
"""Nodes of the trees of an empty file system, and how often each is there."""


class BtrfsDriver:
    """Btrfs on one device, without contents."""

    def grain(self, sector_size: int) -> int:
        return sector_size

    def least(self, request: Request) -> Sized:
        size = ceil_to(max(SMALLEST, request.free + _taken()), MIB)
        return Sized(size, self.fit(request, size))

    def smallest(self, request: Request) -> int:
        return SMALLEST

    def fit(self, request: Request, size: int) -> FilesystemPlan:
        if size < SMALLEST:
            raise DoesNotFit(f"{size} bytes are too few for Btrfs, which has {SMALLEST} at least")
        if size > _LARGEST:
            raise DoesNotFit(f"{size} bytes are more than Btrfs is made with here", _LARGEST)
        blocks = size // BLOCK_SIZE
        free = blocks * BLOCK_SIZE - _taken()
        return FilesystemPlan(
            type="btrfs",
            label=request.label,
            uuid=request.uuid,
            size=blocks * BLOCK_SIZE,
            block_size=BLOCK_SIZE,
            blocks=blocks,
            inodes=0,
            manifest=request.manifest,
            data_bytes=0,
            free_bytes=free,
            free_inodes=0,
            written_bytes=_taken() + 4 * MIB,  # and nodes that mkfs.btrfs took and left
            parts=(("metadata", _taken()), ("free", free)),
        )

    def make(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        """See `Driver.make`; mkfs.btrfs knows no offset."""
        label = ("--label", planned.label) if planned.label else ()
        return (
            ("mkfs.btrfs", "--quiet", "--force", "--nodiscard", "--metadata", "dup",
             "--data", "single", "--csum", "crc32c", "--sectorsize", str(BLOCK_SIZE),
             "--nodesize", str(NODE_SIZE), "--uuid", planned.uuid, *label, copy),
        )  # fmt: skip

    def check(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        return (("btrfs", "check", "--readonly", copy),)


def _taken() -> int:
    return _RESERVED + _NODES * _COPIES * NODE_SIZE


DRIVERS = {"btrfs": BtrfsDriver()}
