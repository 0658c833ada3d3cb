"""Archives that the kernel unpacks as its first root: cpio in the "newc" form.

Format: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel's sources.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"
_ALIGNMENT = 4


def newc(files: Iterable[tuple[str, int, bytes]]) -> bytes:
    """Returns an archive of root's files with no times, a function of its arguments alone.

    Args:
        files: Name, mode with its type bits, and data; a folder before what is in it.
    """
    archive = bytearray()
    for inode, (name, mode, data) in enumerate(files, 1):
        _add(archive, inode, name, mode, data)
    _add(archive, 0, _TRAILER, 0, b"")
    return bytes(archive)


def _add(archive: bytearray, inode: int, name: str, mode: int, data: bytes) -> None:
    path = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    # inode, mode, uid, gid, links, mtime, size, device (2), its own device (2), name, checksum
    fields = (inode, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(path), 0)
    archive += _MAGIC + b"".join(b"%08X" % field for field in fields)
    for part in (path, data):
        archive += part
        archive += bytes(-len(archive) % _ALIGNMENT)
