"""Directory blocks as bytes: linear leaves, and the htree index over the leaves of large ones.

How many blocks there are, and which names go where, is the arithmetic of
`engine.filesystems.ext4.directory`.

Source: Documentation/filesystems/ext4/directory.rst of the Linux kernel.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Callable, Sequence

from engine.filesystems.ext4.directory import (
    DOTS,
    NODE_ENTRIES,
    ROOT_ENTRIES,
    Shape,
    leaf_capacity,
    leaf_spans,
    node_spans,
)
from engine.filesystems.ext4.format import BLOCK_SIZE, ExtFormat

Checksum = Callable[[bytes], int]
"""CRC-32C seeded for the directory's inode."""

FILE_TYPES = {
    stat.S_IFREG: 1,
    stat.S_IFDIR: 2,
    stat.S_IFCHR: 3,
    stat.S_IFBLK: 4,
    stat.S_IFIFO: 5,
    stat.S_IFSOCK: 6,
    stat.S_IFLNK: 7,
}

_RECORD = struct.Struct("<IHBB")
_TAIL = struct.Struct("<IHBBI")
_TAIL_TYPE = 0xDE
_INDEX_INFO = struct.Struct("<IBBBB")
_INDEX_ENTRY = struct.Struct("<II")
_INDEX_LIMIT = struct.Struct("<HHI")
_INDEX_TAIL = 8
_CONTINUED = 1
_DIRECTORY = FILE_TYPES[stat.S_IFDIR]


def record(inode: int, name: bytes, file_type: int) -> bytes:
    """Returns one directory record, no longer than it must be."""
    length = len(name)
    return _RECORD.pack(inode, length + 11 & ~3, length, file_type) + name.ljust(
        length + 3 & ~3, b"\0"
    )


def name_of(record: bytes) -> bytes:
    """Returns the name that a record holds."""
    return record[8 : 8 + record[6]]


class DirectoryWriter:
    """Turns records into the blocks of directories of one file system."""

    def __init__(self, ext: ExtFormat, hash_version: int, hash_of: Callable[[bytes], int]) -> None:
        """Takes what the superblock says of directories.

        Args:
            ext: The format.
            hash_version: As an index carries it.
            hash_of: The hash of a name.
        """
        self._ext = ext
        self._capacity = leaf_capacity(ext)
        # Both kernel and e2fsck insist on the limit that fits the block, used or not.
        self._spare = 0 if ext.checksums else 1
        self._hash_version = hash_version
        self._hash_of = hash_of

    def blocks(
        self, shape: Shape, inode: int, parent: int, records: Sequence[bytes], checksum: Checksum
    ) -> bytes:
        """Returns all blocks of a directory, one after the other.

        Args:
            shape: What `engine.filesystems.ext4.directory.shape` says of these records.
            inode: The directory's own number.
            parent: Its parent's number.
            records: Its names but "." and "..", by name.
            checksum: Used where the format has checksums.
        """
        dots = [record(inode, b".", _DIRECTORY), record(parent, b"..", _DIRECTORY)]
        if shape.indexed:
            return self._indexed(shape, dots, records, checksum)
        first = self._leaf([*dots, *records], checksum)
        if shape.leaves == 1:
            return first
        return first + self._leaf([record(0, b"", 0)], checksum) * (shape.leaves - 1)

    def _leaf(self, records: Sequence[bytes], checksum: Checksum) -> bytes:
        last = records[-1]
        body = b"".join(records)
        # The last record reaches to the end of the block.
        grown = self._capacity - len(body) + len(last)
        stretched = last[:4] + grown.to_bytes(2, "little") + last[6:]
        body = (body[: -len(last)] + stretched).ljust(self._capacity, b"\0")
        if not self._ext.checksums:
            return body
        return body + _TAIL.pack(0, _TAIL.size, 0, _TAIL_TYPE, checksum(body))

    def _indexed(
        self, shape: Shape, dots: list[bytes], records: Sequence[bytes], checksum: Checksum
    ) -> bytes:
        hash_of = self._hash_of
        hashed = sorted((hash_of(name_of(each)), each) for each in records)
        names = [each for _, each in hashed]
        leaves: list[bytes] = []
        starts: list[tuple[int, int]] = []
        for first, end in leaf_spans([len(name) for name in names], shape.leaves):
            start = hashed[first][0]
            if first and hashed[first - 1][0] == start:
                start |= _CONTINUED
            starts.append((start, 1 + shape.nodes + len(leaves)))
            leaves.append(self._leaf(names[first:end], checksum))
        nodes = []
        for number, (first, end) in enumerate(node_spans(shape), start=1):
            nodes.append(self._node(starts[first:end], checksum))
            starts[first] = (starts[first][0], number)
        if nodes:
            starts = [starts[first] for first, _ in node_spans(shape)]
        return b"".join((self._root(shape, dots, starts, checksum), *nodes, *leaves))

    def _root(
        self, shape: Shape, dots: list[bytes], children: list[tuple[int, int]], checksum: Checksum
    ) -> bytes:
        parent = bytearray(dots[1])
        parent[4:6] = (BLOCK_SIZE - len(dots[0])).to_bytes(2, "little")
        levels = 1 if shape.nodes else 0
        info = _INDEX_INFO.pack(0, self._hash_version, _INDEX_INFO.size, levels, 0)
        head = dots[0] + bytes(parent) + info
        assert len(head) == DOTS + _INDEX_INFO.size
        return self._index(head, ROOT_ENTRIES, children, checksum)

    def _node(self, children: list[tuple[int, int]], checksum: Checksum) -> bytes:
        return self._index(_RECORD.pack(0, BLOCK_SIZE, 0, 0), NODE_ENTRIES, children, checksum)

    def _index(
        self, head: bytes, limit: int, children: list[tuple[int, int]], checksum: Checksum
    ) -> bytes:
        # The first child has no hash: its place in the entry holds the limit and the count.
        entries = [_INDEX_LIMIT.pack(limit + self._spare, len(children), children[0][1])]
        entries += [_INDEX_ENTRY.pack(start, block) for start, block in children[1:]]
        used = head + b"".join(entries)
        if not self._ext.checksums:
            return used.ljust(BLOCK_SIZE, b"\0")
        tail = bytes(4) + checksum(used + bytes(_INDEX_TAIL)).to_bytes(4, "little")
        return used.ljust(BLOCK_SIZE - _INDEX_TAIL, b"\0") + tail
