"""The trees of a Btrfs by their ids, and its inodes, each of which has a number in its tree.

Source: struct btrfs_root_item in include/uapi/linux/btrfs_tree.h of the Linux kernel.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from engine.filesystems.btrfs.reader_superblock import Superblock
from engine.filesystems.btrfs.reader_tree import Item, Key, Trees
from engine.image.reading import BadFilesystem, Window
from engine.units import in_bytes

TOP = 5
"""Id of the top subvolume."""
ROOT_ITEM = 132
END = (1 << 64) - 1
_TREE_BITS = 48


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree by its root: logical address and level of its top, number of its directory."""

    root: int
    level: int
    directory: int = 0


class Forest:
    """All trees of a file system.

    Attributes:
        nodes: Reads them.
    """

    def __init__(self, window: Window, superblock: Superblock) -> None:
        self._superblock = superblock
        self.nodes = Trees(window, superblock)
        self._roots: dict[int, Tree | None] = {}

    def find(self, tree: int) -> Tree | None:
        """Returns a tree by its id."""
        if tree not in self._roots:
            said = self._superblock
            item = next(self.nodes.items(
                said.root, said.root_level, Key(tree, ROOT_ITEM, 0), Key(tree, ROOT_ITEM, END)
            ), None)  # fmt: skip
            if item is not None and len(item.data) < 239:
                raise BadFilesystem(f"Btrfs tree {tree}: a root of {in_bytes(len(item.data))}")
            self._roots[tree] = None
            if item is not None:
                directory, root = struct.unpack_from("<QQ", item.data, 168)
                self._roots[tree] = Tree(root, item.data[238], directory)
        return self._roots[tree]

    def tree(self, tree: int) -> Tree:
        """Returns a tree by its id.

        Raises:
            BadFilesystem: There is none.
        """
        found = self.find(tree)
        if found is None:
            raise BadFilesystem(f"Btrfs: it has no tree {tree}")
        return found

    def items(self, number: int, kind: int, end: int, offset: int = 0) -> Iterator[Item]:
        """Yields the items of an inode, from a type to a type."""
        tree, inode = self.split(number)
        there = self.tree(tree)
        return self.nodes.items(
            there.root, there.level, Key(inode, kind, offset), Key(inode, end, END)
        )

    @staticmethod
    def split(number: int) -> tuple[int, int]:
        """Returns the tree and the inode that a number stands for."""
        return number >> _TREE_BITS or TOP, number & (1 << _TREE_BITS) - 1

    @staticmethod
    def number(tree: int, inode: int) -> int:
        """Returns the number that stands for an inode of a tree; those of the top are their own.

        Raises:
            BadFilesystem: One of them is larger than a file system has them.
        """
        if inode >> _TREE_BITS or tree >> _TREE_BITS:
            raise BadFilesystem(f"Btrfs: inode {inode} of tree {tree}")
        return inode if tree == TOP else tree << _TREE_BITS | inode
