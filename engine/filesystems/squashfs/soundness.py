"""Looks for damage in a squashfs that its reader does not meet.

squashfs has neither checksums of its own nor a checker; what can be told is whether its structures
agree. Nothing is run. Source: Documentation/filesystems/squashfs.rst of the Linux kernel.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator

from engine.filesystems.squashfs.reader import SquashFilesystem
from engine.image.container import BadImage
from engine.image.reading import Examination, Findings, Node, walk

_MOST_ENTRIES = 50_000
_MOST_DATA = 64 << 20
"""Bytes of data that are unpacked; those of a large image would take minutes."""


def examine(squashfs: SquashFilesystem) -> Examination:
    """Returns what is wrong with a file system, and what was not looked at."""
    return _Look(squashfs).done()


class _Look:
    """One look at a file system."""

    def __init__(self, squashfs: SquashFilesystem) -> None:
        self._squashfs = squashfs
        self._found = Findings()
        self._names: dict[int, int] = {}
        self._nodes: dict[int, Node] = {}
        self._left = _MOST_DATA
        self._skipped = 0

    def done(self) -> Examination:
        """Goes through everything."""
        for number, node in enumerate(self._tree()):
            if number == _MOST_ENTRIES:
                return self._found.with_unchecked(f"what comes behind {_MOST_ENTRIES} entries")
            self._names[node.inode] = self._names.get(node.inode, 0) + 1
            if node.inode not in self._nodes:
                self._nodes[node.inode] = node
                self._data(node)
        self._counts()
        data = f"the data of {self._skipped} files (`unsquashfs` reads it)"
        return self._found.with_unchecked(*([data] if self._skipped else []))

    def _tree(self) -> Iterator[Node]:
        """Yields every entry up to where the tree is damaged."""
        try:
            root = self._squashfs.lookup(b"")
            if root is not None:
                yield root
                yield from walk(self._squashfs, root)
        except BadImage as error:
            self._found.add("tree", str(error))

    def _data(self, node: Node) -> None:
        if not stat.S_ISREG(node.mode):
            return
        if node.size > self._left:
            self._skipped += 1
            return
        self._left -= node.size
        try:
            for _ in self._squashfs.data(node):
                pass
        except BadImage as error:
            self._found.add("data", f"{_shown(node)}: {error}")

    def _counts(self) -> None:
        """Holds what the superblock and the inodes say against the names there are."""
        inodes = len(self._nodes)
        if inodes != self._squashfs.inodes:
            self._found.add(
                "inodes", f"{inodes} inodes have a name, and there are {self._squashfs.inodes}"
            )
        for number, node in self._nodes.items():
            names = self._names[number]
            if not stat.S_ISDIR(node.mode) and node.links != names:
                self._found.add("links", f"{_shown(node)} has {names} names, not {node.links}")


def _shown(node: Node) -> str:
    return "/" + node.path.decode("utf-8", "backslashreplace")
