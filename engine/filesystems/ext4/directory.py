"""How directories are packed into blocks: one arithmetic for the solver and the writer.

A directory that fits one block is linear. A larger one is an htree (dir_index), as the kernel
would have made it: block 0 is the index root with "." and "..", then come the interior nodes (if
any), then the leaves with the names in hash order.

The number of leaves must be known before any name is hashed, so that sizes do not depend on the
hash seed. Greedy filling would depend on the order of the names; instead the leaf count comes
from the sum and the maximum of the record lengths alone, and `leaf_spans` deals the records out
evenly. Record k, starting at offset s of the concatenated records, goes to leaf
s * leaves // total. A leaf then holds less than total / leaves + longest bytes, which the
leaf count keeps within a block whatever the order.

Source: Documentation/filesystems/ext4/directory.rst of the Linux kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.filesystems.ext4.format import BLOCK_SIZE, EXT4, ExtFormat

DOTS = 24
"""Bytes of the records of "." and ".." together, when another record follows."""

CHECKSUM_TAIL = 12
"""Bytes of the fake record that holds a leaf's checksum (metadata_csum)."""

ROOT_ENTRIES = (BLOCK_SIZE - 32 - 8) // 8
NODE_ENTRIES = (BLOCK_SIZE - 8 - 8) // 8
"""Children an index block may have with its checksum tail; without one there is room for one
more, which is left unused so that all formats pack alike."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The blocks of a directory, in the order in which they lie: root, nodes, leaves.

    Attributes:
        leaves: Blocks of names. A linear directory is leaves only, with all names in the first.
        nodes: Interior index blocks between the root and the leaves.
        indexed: It is an htree; block 0 is its root.
    """

    leaves: int
    nodes: int = 0
    indexed: bool = False

    @property
    def blocks(self) -> int:
        """All blocks."""
        return self.leaves + self.nodes + self.indexed


class DirectoryTooLarge(ValueError):
    """More leaves than a two-level index reaches."""


def record_length(name_length: int) -> int:
    """Returns the bytes of a directory record: 8 and the name, rounded up to 4."""
    return (name_length + 11) & ~3


def leaf_capacity(ext: ExtFormat = EXT4) -> int:
    """Returns the bytes of records that one leaf holds."""
    return BLOCK_SIZE - CHECKSUM_TAIL if ext.checksums else BLOCK_SIZE


def shape(total: int, longest: int, ext: ExtFormat = EXT4, *, minimum: int = 1) -> Shape:
    """Returns how a directory is laid out.

    Args:
        total: Sum of `record_length` over its names, without "." and "..".
        longest: The greatest of them.
        ext: Decides whether a block loses its tail to a checksum.
        minimum: Blocks that the directory already has and keeps (lost+found). Empty blocks
            follow the first one of a linear directory; an indexed one gets more leaves.

    Raises:
        DirectoryTooLarge: It would need more than a root and one level of nodes.
    """
    capacity = leaf_capacity(ext)
    if DOTS + total <= capacity:
        return Shape(minimum)
    leaves = max(-(-total // (capacity - longest)), minimum - 1)
    if leaves <= ROOT_ENTRIES:
        return Shape(leaves, indexed=True)
    nodes = -(-leaves // NODE_ENTRIES)
    if nodes > ROOT_ENTRIES:
        raise DirectoryTooLarge(f"{leaves} blocks of names, {ROOT_ENTRIES * NODE_ENTRIES} at most")
    return Shape(leaves, nodes, indexed=True)


def leaf_spans(lengths: Sequence[int], leaves: int) -> Iterator[tuple[int, int]]:
    """Deals records out to the leaves of an indexed directory.

    Args:
        lengths: `record_length` of each name, in hash order.
        leaves: `Shape.leaves` of these names.

    Yields:
        (first, end) indexes into `lengths` for each leaf, none of them empty. Names of equal
        hash may fall into two leaves: the later leaf's hash in the index then carries the
        continuation bit (1).
    """
    total = sum(lengths)
    first = at = 0
    leaf = 0
    for index, length in enumerate(lengths):
        if at * leaves // total != leaf:
            yield first, index
            first, leaf = index, leaf + 1
        at += length
    yield first, len(lengths)


def node_spans(shape: Shape) -> Iterator[tuple[int, int]]:
    """Yields (first, end) leaf numbers for each interior node, filled in order."""
    for node in range(shape.nodes):
        first = node * NODE_ENTRIES
        yield first, min(first + NODE_ENTRIES, shape.leaves)
