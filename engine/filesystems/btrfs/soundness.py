"""Looks for damage in a Btrfs that its reader does not meet.

Nodes and data have checksums, so that what is left is whether the trees agree, and the data of
files that nobody has read yet. `btrfs check` also goes through the trees of room and of references.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator

from engine.filesystems.btrfs.reader import Btrfs, BtrfsFilesystem
from engine.image.container import BadImage
from engine.image.reading import Examination, Findings, Node, walk

_MOST_ENTRIES = 50_000
_MOST_DATA = 64 << 20
"""Bytes of data that are read; those of a large image would take minutes."""


def examine(btrfs: Btrfs) -> Examination:
    """Returns what is wrong with a file system, and what was not looked at."""
    if not isinstance(btrfs, BtrfsFilesystem):
        devices = btrfs.superblock.devices
        return Examination((), (f"all but its superblock: it is on {devices} devices",))
    return _Look(btrfs).done()


class _Look:
    """One look at a file system."""

    def __init__(self, btrfs: BtrfsFilesystem) -> None:
        self._btrfs = btrfs
        self._found = Findings()
        self._names: dict[int, int] = {}
        self._nodes: dict[int, Node] = {}
        self._left = _MOST_DATA
        self._skipped = 0

    def done(self) -> Examination:
        """Goes through everything."""
        unchecked = ["the trees of its room"]
        checksums = self._btrfs.superblock.checksums
        if not checksums.known:
            unchecked.append(f"checksums, which are {checksums.name}")
        if not self._btrfs.clean:
            unchecked.append("its log, which a mount replays")
        complete = True
        for number, node in enumerate(self._tree()):
            if number == _MOST_ENTRIES:
                unchecked.append(f"what comes behind {_MOST_ENTRIES} entries")
                complete = False
                break
            self._names[node.inode] = self._names.get(node.inode, 0) + 1
            if node.inode not in self._nodes:
                self._nodes[node.inode] = node
                self._data(node)
        if complete:
            self._counts()
        if self._skipped:
            unchecked.append(f"the data of {self._skipped} files (`btrfs check` reads it)")
        return self._found.with_unchecked(*unchecked)

    def _tree(self) -> Iterator[Node]:
        """Yields every entry up to where the tree is damaged."""
        try:
            self._btrfs.subvolumes()
            root = self._btrfs.lookup(b"")
            if root is not None:
                yield root
                yield from walk(self._btrfs, root)
        except BadImage as error:
            self._found.add("tree", str(error))

    def _data(self, node: Node) -> None:
        if not stat.S_ISREG(node.mode):
            return
        taken = sum(length for _, _, length in node.extents)
        if taken > self._left:
            self._skipped += 1
            return
        self._left -= taken
        try:
            for _ in self._btrfs.data(node):
                pass
        except BadImage as error:
            self._found.add("data", f"{_shown(node)}: {error}")

    def _counts(self) -> None:
        """Holds the names that inodes say they have against those there are."""
        for number, node in self._nodes.items():
            names = self._names[number]
            if not stat.S_ISDIR(node.mode) and node.links != names:
                self._found.add("links", f"{_shown(node)} has {names} names, not {node.links}")


def _shown(node: Node) -> str:
    return "/" + node.path.decode("utf-8", "backslashreplace")
