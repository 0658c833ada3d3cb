"""What XFS keeps of an entry.

Sources: XFS_BIGTIME_TIME_MIN and _MAX, XFS_SYMLINK_MAXLEN, XFS_MAXLINK in the Linux kernel's
fs/xfs/libxfs/xfs_format.h; fs/xfs/xfs_xattr.c there (ACLs show under another name, too).
"""

from __future__ import annotations

from engine.filesystems.mounted import Limits
from engine.filesystems.paxstream import Kept
from engine.manifest.entry import Entry

LIMITS = Limits(
    first=-(1 << 31), last=16_299_260_424, target=1023, links=(1 << 31) - 1,
    own=(b"trusted.SGI_ACL_FILE", b"trusted.SGI_ACL_DEFAULT"),
)  # fmt: skip


def kept(entry: Entry) -> Kept:
    """Returns what an XFS has of an entry."""
    return LIMITS.kept(entry)
