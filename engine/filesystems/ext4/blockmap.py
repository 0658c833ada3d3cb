"""Block maps as bytes: the extent tree of ext4, the indirect blocks of ext2 and ext3.

Blocks of the map itself are given out by the caller when their number is known. Both forms return
the 60 bytes of the inode (`i_block`) and the blocks outside it.

Source: Documentation/filesystems/ext4/ifork.rst of the Linux kernel.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence

from engine.filesystems.ext4.extents import (
    DIRECT_BLOCKS,
    INODE_EXTENTS,
    LEAF_EXTENTS,
    MAX_EXTENT,
    POINTERS,
    tree_blocks,
)
from engine.filesystems.ext4.format import BLOCK_SIZE
from engine.filesystems.placed import Piece

MapBlock = tuple[int, bytes]
"""A block of the map: its number on the disk and its bytes."""

Take = Callable[[int], list[int]]
"""Gives out so many free blocks."""

_MAGIC = 0xF30A
_HEADER = struct.Struct("<HHHHI")
_LEAF = struct.Struct("<IHHI")
_NODE = struct.Struct("<IIHH")
_SINGLE = struct.Struct("<HHHHIIHHI36x")
_TAIL = struct.Struct("<I")
_IN_INODE = 60

EMPTY_TREE = _HEADER.pack(_MAGIC, 0, INODE_EXTENTS, 0, 0) + bytes(_IN_INODE - _HEADER.size)
"""`i_block` of a file without data."""


def single_extent(block: int, count: int) -> bytes:
    """Returns `i_block` of a file whose blocks, at most `MAX_EXTENT`, lie in one piece."""
    return _SINGLE.pack(_MAGIC, 1, INODE_EXTENTS, 0, 0, 0, count, block >> 32, block & 0xFFFFFFFF)


def extent_tree(
    pieces: Sequence[Piece], take: Take, checksum: Callable[[bytes], int]
) -> tuple[bytes, list[MapBlock]]:
    """Returns a file's extent tree: packed nodes, no deeper than it must be.

    Args:
        pieces: The file's runs by rising logical block.
        take: Gives out blocks for the nodes.
        checksum: Of a node without its tail, seeded for the inode.
    """
    records = [(logical, _LEAF.pack(logical, count, disk >> 32, disk & 0xFFFFFFFF))
               for logical, disk, count in _extents(pieces)]  # fmt: skip
    numbers = iter(take(tree_blocks(len(records))))
    blocks: list[MapBlock] = []
    depth = 0
    while len(records) > INODE_EXTENTS:
        parents = []
        for at in range(0, len(records), LEAF_EXTENTS):
            children = records[at : at + LEAF_EXTENTS]
            number = next(numbers)
            body = _node(children, LEAF_EXTENTS, depth, BLOCK_SIZE - _TAIL.size)
            blocks.append((number, body + _TAIL.pack(checksum(body))))
            first = children[0][0]
            parents.append((first, _NODE.pack(first, number & 0xFFFFFFFF, number >> 32, 0)))
        records = parents
        depth += 1
    return _node(records, INODE_EXTENTS, depth, _IN_INODE), blocks


def _node(records: Sequence[tuple[int, bytes]], limit: int, depth: int, size: int) -> bytes:
    header = _HEADER.pack(_MAGIC, len(records), limit, depth, 0)
    return (header + b"".join(record for _, record in records)).ljust(size, b"\0")


def _extents(pieces: Sequence[Piece]) -> Iterator[Piece]:
    for logical, disk, count in pieces:
        for start in range(0, count, MAX_EXTENT):
            yield logical + start, disk + start, min(MAX_EXTENT, count - start)


def indirect_map(pieces: Sequence[Piece], take: Take) -> tuple[bytes, list[MapBlock]]:
    """Returns a file's block map as ext2 and ext3 have it; a pointer of 0 is a hole."""
    inode = array("I", bytes(_IN_INODE))
    leaves: dict[int, array[int]] = {}
    for logical, disk, count in pieces:
        end = logical + count
        direct = max(min(end, DIRECT_BLOCKS) - logical, 0)
        inode[logical : logical + direct] = array("I", range(disk, disk + direct))
        at = logical + direct
        while at < end:
            leaf, slot = divmod(at - DIRECT_BLOCKS, POINTERS)
            length = min(POINTERS - slot, end - at)
            start = disk + at - logical
            table = leaves.setdefault(leaf, array("I", bytes(BLOCK_SIZE)))
            table[slot : slot + length] = array("I", range(start, start + length))
            at += length
    # Levels above: leaf 0 hangs on the inode, the next 1024 on one more table, the rest on two.
    middles: dict[int, array[int]] = {}
    top: dict[int, array[int]] = {}
    tables = list(leaves.items())
    numbers = iter(take(len(leaves) + _upper_tables(leaves)))
    blocks = []
    for leaf, table in tables:
        number = next(numbers)
        blocks.append((number, _pointers(table)))
        if leaf == 0:
            inode[DIRECT_BLOCKS] = number
        else:
            middle, slot = divmod(leaf - 1, POINTERS)
            middles.setdefault(middle, array("I", bytes(BLOCK_SIZE)))[slot] = number
    for middle, table in middles.items():
        number = next(numbers)
        blocks.append((number, _pointers(table)))
        if middle == 0:
            inode[DIRECT_BLOCKS + 1] = number
        else:
            top.setdefault(0, array("I", bytes(BLOCK_SIZE)))[middle - 1] = number
    for table in top.values():
        number = next(numbers)
        blocks.append((number, _pointers(table)))
        inode[DIRECT_BLOCKS + 2] = number
    return _pointers(inode), blocks


def pieces_in_inode(block_map: bytes) -> list[Piece]:
    """Returns the blocks of a small file that mke2fs made, whose map lies in its inode alone."""
    magic, entries, _, depth, _ = _HEADER.unpack_from(block_map)
    if magic == _MAGIC:
        assert depth == 0
        leaves = (_LEAF.unpack_from(block_map, 12 + 12 * index) for index in range(entries))
        return [(logical, high << 32 | low, count) for logical, count, high, low in leaves]
    pointers = struct.unpack_from(f"<{DIRECT_BLOCKS}I", block_map)
    return [(logical, block, 1) for logical, block in enumerate(pointers) if block]


def _upper_tables(leaves: dict[int, array[int]]) -> int:
    """Returns the number of tables that point to tables."""
    middles = {(leaf - 1) // POINTERS for leaf in leaves if leaf}
    return len(middles) + any(middles)


def _pointers(table: array[int]) -> bytes:
    """Returns block numbers as the disk has them: 32 bits, little-endian."""
    if sys.byteorder == "big":
        table = array("I", table)
        table.byteswap()
    return table.tobytes()
