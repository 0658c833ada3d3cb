"""A file system with subvolumes as it shows once they are mounted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from engine.disk.subvolumes import Arrangement
from engine.image.reading import Filesystem, Node


class MountedView:
    """The files of what is mounted of a file system; what is not mounted does not show.

    Attributes:
        stored: The file system as it is on the disk.
        shares_blocks: Whether files may have blocks in common.
    """

    def __init__(self, filesystem: Filesystem, arrangement: Arrangement) -> None:
        self.stored, self._there = filesystem, arrangement
        self.type, self.label, self.uuid = filesystem.type, filesystem.label, filesystem.uuid
        self.size, self.room = filesystem.size, filesystem.room
        self.block_size = filesystem.block_size
        self.shares_blocks = bool(getattr(filesystem, "shares_blocks", False))
        self.stale = str(getattr(filesystem, "stale", ""))

    @property
    def free(self) -> int:
        return self.stored.free

    @property
    def clean(self) -> bool:
        return self.stored.clean

    def lookup(self, path: bytes) -> Node | None:
        path = b"/".join(part for part in path.split(b"/") if part)
        found = self.stored.lookup(self._there.inside(path))
        return None if found is None else replace(found, path=path)

    def children(self, node: Node) -> Iterator[Node]:
        for child in self.stored.children(self._inner(node)):
            path = b"/".join(filter(None, (node.path, child.name)))
            mounted = self.lookup(path) if self._there.is_point(path) else None
            yield mounted or replace(child, path=path)

    def stored_names(self, node: Node) -> Iterator[bytes]:
        return self.stored.stored_names(self._inner(node))

    def blocks_of(self, node: Node) -> Iterator[int]:
        return self.stored.blocks_of(self._inner(node))

    def data(self, node: Node) -> Iterator[tuple[int, bytes]]:
        return self.stored.data(self._inner(node))

    def _inner(self, node: Node) -> Node:
        return replace(node, path=self._there.inside(node.path))
