"""Looks for damage by going through every entry, in a format whose own checks say little more."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Iterator

from engine.image.container import BadImage
from engine.image.reading import Filesystem, Findings, Node, walk

MOST_ENTRIES = 50_000
MOST_DATA = 64 << 20
"""Bytes of data that are read; those of a large image would take minutes."""


def entries(content: Filesystem) -> Iterator[Node]:
    """Yields the root directory and all below it."""
    root = content.lookup(b"")
    if root is not None:
        yield root
        yield from walk(content, root)


class EntryLook:
    """One look at a file system.

    Args:
        content: The file system.
        found: Takes what is wrong.
        taken: Returns the bytes that reading a file's data takes.

    Attributes:
        inodes: The entry under which each inode was met first.
        complete: Whether there were few enough entries to see all.
        skipped: Files whose data was not read.
    """

    def __init__(self, content: Filesystem, found: Findings, taken: Callable[[Node], int]) -> None:
        self._content = content
        self._found = found
        self._taken = taken
        self._names: dict[int, int] = {}
        self._left = MOST_DATA
        self.inodes: dict[int, Node] = {}
        self.complete = True
        self.skipped = 0

    def go_through(self, nodes: Iterable[Node]) -> None:
        """Reads entries, and the data of each file once, up to where the tree is damaged."""
        try:
            for number, node in enumerate(nodes):
                if number == MOST_ENTRIES:
                    self.complete = False
                    return
                self._names[node.inode] = self._names.get(node.inode, 0) + 1
                if node.inode not in self.inodes:
                    self.inodes[node.inode] = node
                    self._data(node)
        except BadImage as error:
            self._found.add("tree", str(error))

    def _data(self, node: Node) -> None:
        if not stat.S_ISREG(node.mode):
            return
        taken = self._taken(node)
        if taken > self._left:
            self.skipped += 1
            return
        self._left -= taken
        try:
            for _ in self._content.data(node):
                pass
        except BadImage as error:
            self._found.add("data", f"{_shown(node)}: {error}")

    def count_names(self) -> None:
        """Holds the names that inodes say they have against those there are."""
        for number, node in self.inodes.items():
            names = self._names[number]
            if not stat.S_ISDIR(node.mode) and node.links != names:
                self._found.add("links", f"{_shown(node)} has {names} names, not {node.links}")


def _shown(node: Node) -> str:
    return "/" + node.path.decode("utf-8", "backslashreplace")
