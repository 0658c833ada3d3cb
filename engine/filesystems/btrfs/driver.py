"""Btrfs as the planner sees it: what mkfs.btrfs makes of a size.

What contents take once a kernel has put them in is a bound: nothing is compressed, every node of a
tree is half full, and what the kernel sets aside for metadata in advance is as much as it may be.
"""

from __future__ import annotations

from dataclasses import replace

from engine.filesystems.btrfs.kept import LIMITS
from engine.filesystems.driver import (
    Commands,
    DoesNotFit,
    FilesystemPlan,
    Request,
    Sized,
)
from engine.filesystems.mounted import Held, touched
from engine.filesystems.plain import grown, plain
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from engine.units import GIB, MIB, ceil_to, in_bytes

BLOCK_SIZE, NODE_SIZE = 4096, 16384

SMALLEST = 109 * MIB
"""What mkfs.btrfs asks for, with metadata twice and data once: 114294784 bytes."""

_LARGEST = 1 << 60
_RESERVED = MIB
"""Bytes at the start of a device that stay free of extents."""
_NODES, _COPIES = 9, 2
"""Nodes of the trees of an empty file system, and how often each is there."""


_ITEM = 25
_INODE_ITEM, _NAMED_ITEMS, _NAME_ITEM = 160, 3, 30
"""Bytes of an inode; a name is in three items, none longer besides it than that of a directory."""
_EXTENT_ITEMS = 53 + 25 + 53 + 25 + 25 + 8
"""Of a piece of a file: in its own tree, in that of extents, and of its checksums' item."""
_SUM = 4
_EXTENT = 128 << 10
"""Bytes of a compressed piece; others are larger."""
_METADATA_SHARE, _METADATA_MOST = 10, GIB
"""The kernel sets aside a tenth of the device for metadata at once, 1 GiB at most, twice."""
_BEGINNING = 96 * MIB
"""What mkfs.btrfs sets aside, and the kernel's reserve."""


class BtrfsDriver:
    """Btrfs on one device, made empty and filled by a kernel."""

    def granularity(self, sector_size: int) -> int:
        return sector_size

    def least(self, request: Request) -> Sized:
        size = ceil_to(max(SMALLEST, request.free + _taken()), MIB)
        held = _contents(request.manifest)
        return grown(size, request.free, lambda size: _plan(request, size, held))

    def smallest(self, request: Request) -> int:
        return self.least(replace(request, free=0)).bytes

    def fit(self, request: Request, size: int) -> FilesystemPlan:
        return _plan(request, size, _contents(request.manifest))

    def make(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        """See `Driver.make`; mkfs.btrfs knows no offset."""
        label = ("--label", planned.label) if planned.label else ()
        return (
            ("mkfs.btrfs", "--quiet", "--force", "--nodiscard", "--metadata", "dup",
             "--data", "single", "--csum", "crc32c", "--sectorsize", str(BLOCK_SIZE),
             "--nodesize", str(NODE_SIZE), "--uuid", planned.uuid, *label, copy),
        )  # fmt: skip

    def check(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        sums = ("--check-data-csum",) if planned.filled else ()
        return (("btrfs", "check", "--readonly", *sums, copy),)


def _plan(request: Request, size: int, held: Held) -> FilesystemPlan:
    """Returns the file system in a place of so many bytes; see `Driver.fit`."""
    if size < SMALLEST:
        raise DoesNotFit(f"{in_bytes(size)} are too few for Btrfs, which has {SMALLEST:,} at least")
    if size > _LARGEST:
        raise DoesNotFit(f"{in_bytes(size)} are more than Btrfs is made with here", _LARGEST)
    blocks = size // BLOCK_SIZE
    aside = 2 * min(blocks * BLOCK_SIZE // _METADATA_SHARE, _METADATA_MOST)
    return plain(
        request,
        "btrfs",
        block_size=BLOCK_SIZE,
        blocks=blocks,
        own=(("metadata", _taken()),),
        written=_taken() + 4 * MIB,  # and nodes that mkfs.btrfs took and left
        options=f"compress={request.compression}" if request.compression else "defaults",
        held=held.bytes,
        withheld=aside + _BEGINNING,
        refused=held.refused,
        drops=held.drops,
    )


def _contents(manifest: Manifest) -> Held:
    return Held(_held(manifest), LIMITS.refused(manifest), LIMITS.drops(manifest))


def _held(manifest: Manifest) -> int:
    """Returns the bytes that contents take at most; 0 for none but the directory at the top."""
    if len(manifest) < 2:
        return 0
    data = metadata = 0
    for entry in manifest:
        metadata += _NAMED_ITEMS * (_ITEM + _NAME_ITEM + len(entry.name))
        if entry.link_to is None:
            blocks, pieces = touched(entry, BLOCK_SIZE) if entry.is_regular else (0, 0)
            data += blocks * BLOCK_SIZE
            pieces += blocks * BLOCK_SIZE // _EXTENT
            metadata += _inode(entry) + pieces * _EXTENT_ITEMS + blocks * _SUM
    nodes = 2 * metadata // NODE_SIZE + _NODES
    return data + (nodes + nodes // 100 + 1) * NODE_SIZE * _COPIES


def _inode(entry: Entry) -> int:
    attributes = sum(_ITEM + _NAME_ITEM + len(name) + len(value) for name, value in entry.xattrs)
    return _ITEM + _INODE_ITEM + _ITEM + _NAME_ITEM + len(entry.target) + attributes


def _taken() -> int:
    return _RESERVED + _NODES * _COPIES * NODE_SIZE


DRIVERS = {"btrfs": BtrfsDriver()}
