"""What Btrfs keeps of an entry.

Sources: BTRFS_MAX_XATTR_SIZE and BTRFS_LINK_MAX in fs/btrfs/ctree.h of the Linux kernel, and
btrfs_symlink in inode.c there (a target is stored in a node, below the size of a sector).
"""

from __future__ import annotations

from engine.filesystems.mounted import Limits
from engine.filesystems.paxstream import Kept
from engine.manifest.entry import Entry

_NODE_SIZE, _NODE_HEADER, _ITEM, _DIR_ITEM = 16384, 101, 25, 30

LIMITS = Limits(
    first=-(1 << 63), last=(1 << 63) - 1, target=4094, links=65535,
    attributes=_NODE_SIZE - _NODE_HEADER - _ITEM - _DIR_ITEM,
)  # fmt: skip


def kept(entry: Entry) -> Kept:
    """Returns what a Btrfs has of an entry."""
    return LIMITS.kept(entry)
