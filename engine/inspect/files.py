"""Finding files in an untrusted file system by path, links followed inside of it."""

from __future__ import annotations

import stat
from collections import deque

from engine.inspect.reading import BadFilesystem, Filesystem, Node

_MAX_LINKS = 40
"""As many as the kernel follows: path_resolution(7)."""


def follow(filesystem: Filesystem, path: bytes) -> Node | None:
    """Returns what a path leads to, symlinks followed with the file system's root as "/", or None.

    Raises:
        BadFilesystem: The path leads through more links than a kernel follows.
    """
    pending = deque(_parts(path))
    at: list[bytes] = []
    links = 0
    while pending:
        part = pending.popleft()
        if part == b"..":
            at = at[:-1]
            continue
        node = filesystem.lookup(b"/".join([*at, part]))
        if node is None:
            return None
        if not stat.S_ISLNK(node.mode):
            at.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise BadFilesystem(f"/{path.decode('utf-8', 'replace')}: a circle of symlinks")
        at = [] if node.target.startswith(b"/") else at
        pending.extendleft(reversed(_parts(node.target)))
    return filesystem.lookup(b"/".join(at))


def _parts(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part not in (b"", b".")]
