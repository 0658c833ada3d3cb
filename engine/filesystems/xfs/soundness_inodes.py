"""Looks at every inode and directory of an XFS: what its names, links, blocks and indexes say.

Source: xfs_repair(8), its phases 3, 4, 6 and 7; "XFS Algorithms & Data Structures", 3rd edition.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator

from engine.filesystems.xfs.reader import Xfs
from engine.filesystems.xfs.reader_directory import Named
from engine.filesystems.xfs.reader_inode import LOCAL, Inode
from engine.filesystems.xfs.soundness_index import index_troubles
from engine.filesystems.xfs.soundness_runs import Run, overlaps
from engine.image.container import BadImage
from engine.image.reading import Findings
from engine.problem import text

_MOST_NAMES = 200_000
_MOST_RUNS = 1 << 19
_TYPES = {
    1: stat.S_IFREG, 2: stat.S_IFDIR, 3: stat.S_IFCHR, 4: stat.S_IFBLK, 5: stat.S_IFIFO,
    6: stat.S_IFSOCK, 7: stat.S_IFLNK,
}  # fmt: skip
_OWN_AT = (64, 72, 160, 168, 232, 264)
"""Inodes of the file system itself: realtime, quotas, and their directory from Linux 6.13 on."""
_NONE = (1 << 64) - 1
_METADATA_FOLDER = 0x100


class Look:
    """A look at what is in a file system."""

    def __init__(
        self, xfs: Xfs, found: Findings, in_use: set[int], runs: list[Run], shared: list[Run]
    ) -> None:
        self._xfs = xfs
        self._add = found.add
        self._in_use = in_use
        self._runs = runs
        self._shared = shared
        self._paths: dict[int, str] = {}
        self._links: dict[int, int] = {}
        self._said: dict[int, int] = {}
        self._left = _MOST_NAMES
        self._sound = True
        self.unchecked: list[str] = []

    def look(self, *, whole: bool) -> None:
        """Goes through everything that has a name.

        Args:
            whole: Whether it is known which inodes are in use.
        """
        root = self._xfs.root
        self._paths[root] = "/"
        pending = [(root, root)]
        while pending and self._left > 0 and len(self._runs) < _MOST_RUNS:
            number, parent = pending.pop()
            inode = self._inode(number)
            if inode is None:
                continue
            if not stat.S_ISDIR(inode.mode):
                if number == root:
                    self._bad("tree", "the root directory is not one")
                continue
            below = self._directory(inode, parent)
            pending += [(each, number) for each in reversed(below)]
        if self._left <= 0 or len(self._runs) >= _MOST_RUNS:
            self.unchecked.append("what comes behind many names and pieces of files")
            return
        self._whose()
        if self._sound and whole:
            self._counts()
        else:
            self.unchecked.append("how many names each inode has")

    def _bad(self, kind: str, sentence: str) -> None:
        self._sound = False
        self._add(kind, sentence)

    def _inode(self, number: int) -> Inode | None:
        """Looks at one inode, once."""
        path = self._paths[number]
        try:
            inode = self._xfs.inodes.inode(number)
            self._xfs.node(number, b"")
            self._said[number] = inode.links
            self._blocks(inode)
        except (BadImage, struct.error) as error:
            self._bad("inode", f"{path}: {error}")
            return None
        if self._in_use and number not in self._in_use:
            self._add("free", f"{path}: inode {number} is free")
        return inode

    def _blocks(self, inode: Inode) -> None:
        """Counts an inode's blocks, and notes that it has them."""
        path = self._paths[inode.number]
        count = 0
        for fork in (inode.data, inode.attributes):
            if fork is None:
                continue
            met: set[int] = set()
            what = f"{fork.name} of {path}"
            for extent in self._xfs.inodes.extents(inode, fork, met):
                if len(self._runs) >= _MOST_RUNS:
                    return  # `look` tells
                count += extent.blocks
                if not inode.realtime or fork.name != "data":
                    self._runs.append(Run(extent.block, extent.blocks, what))
            count += len(met)
            self._runs += [Run(block, 1, f"the map of the {what}") for block in met]
        if count != inode.blocks:
            self._add("blocks", f"{path} says that it has {inode.blocks} blocks, not {count}")

    def _directory(self, inode: Inode, parent: int) -> list[int]:
        """Looks at a directory; returns what it names that is to be looked at."""
        number, path = inode.number, self._paths[inode.number]
        below: list[int] = []
        entries: list[Named] = []
        names: set[bytes] = set()
        above = self._xfs.directories.parent(inode) if inode.data.form == LOCAL else 0
        try:
            for entry in self._xfs.directories.entries(inode):
                self._left -= 1
                entries.append(entry)
                if entry.name in names:
                    self._add("names", f"{path}: {text(entry.name)} is there twice")
                names.add(entry.name)
                if entry.name == b".":
                    if entry.inode != number:
                        self._add("names", f"{path}: `.` is inode {entry.inode}")
                elif entry.name == b"..":
                    above = entry.inode
                else:
                    below += self._named(inode, entry)
            if inode.data.form != LOCAL:
                for trouble in index_troubles(self._xfs, inode, entries):
                    self._add("index", f"{path}: {trouble}")
        except (BadImage, struct.error) as error:
            self._bad("directory", f"{path}: {error}")
            return below
        if above != parent:
            self._add("names", f"{path}: `..` is inode {above}, not {parent}")
        return below

    def _named(self, folder: Inode, entry: Named) -> Iterator[int]:
        """Counts a name; yields its inode if it was not met before."""
        at = self._paths[folder.number].rstrip("/")
        path = f"{at}/{text(entry.name)}"
        number = entry.inode
        known = number in self._paths
        if not known:
            self._paths[number] = path
        self._links[number] = self._links.get(number, 0) + 1
        try:
            mode = self._xfs.inodes.inode(number).mode
        except (BadImage, struct.error):
            mode = 0  # `_inode` tells
        if mode and entry.type and _TYPES.get(entry.type) != stat.S_IFMT(mode):
            self._add("names", f"{path}: the directory says that it is of type {entry.type}")
        if stat.S_ISDIR(mode):
            if known:
                self._bad("tree", f"{path} is a second name of the directory {self._paths[number]}")
            # `..` of a directory is a name of the one above.
            self._links[folder.number] = self._links.get(folder.number, 0) + 1
            self._links[number] += 1
        if not known:
            yield number

    def _whose(self) -> None:
        for block, one, other in overlaps(self._runs, self._shared):
            self._add("blocks", f"{self._xfs.blocks.named(block)} belongs to {one} and to {other}")

    def _counts(self) -> None:
        root = self._xfs.root
        self._links[root] = self._links.get(root, 0) + 2
        for number, said in self._said.items():
            counted = self._links[number]
            if said != counted:
                self._add("links", f"{self._paths[number]} has {counted} names, not {said}")
        raw = self._xfs.superblock.raw
        own = {struct.unpack_from(">Q", raw, at)[0] for at in _OWN_AT} - {_NONE, 0}
        if self._xfs.superblock.features[2] & _METADATA_FOLDER:
            self.unchecked.append("its directory of metadata")
            return
        nameless = self._in_use - self._paths.keys() - own
        if nameless and self._xfs.settled:
            self._add(
                "nameless",
                f"{len(nameless)} inodes are in use and have no name, {min(nameless)} first",
            )
