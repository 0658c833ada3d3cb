"""The index of a large directory held against its names: what e2fsck's second pass looks at.

Source: Documentation/filesystems/ext4/directory.rst of the Linux kernel; e2fsck's pass2.c.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping

from engine.filesystems.ext4.reader_hash import HALF_MD4, TEA, name_hash

_DOTS = 24
_ROOT_ENTRIES, _NODE_ENTRIES, _ENTRY, _TAIL = 32, 8, 8, 8
_DEEPEST, _DEEPEST_LARGE = 2, 3
_END = 0xFFFFFFFF
_BLOCK_BITS = 0x0FFFFFFF
_CONTINUED = 1

Names = Callable[[bytes], Iterator[bytes]]
"""Returns the names in a block of a directory."""


class BadIndex(Exception):
    """An index is damaged; the message says how."""


class Index:
    """The index of one directory."""

    def __init__(
        self, blocks: Mapping[int, bytes], names: Names, *, seed: bytes, signed: bool, sums: bool,
        large: bool,
    ) -> None:  # fmt: skip
        """Takes a directory.

        Args:
            blocks: By number within the directory.
            names: Returns the names in one.
            seed: Of hashes, from the superblock.
            signed: Whether characters from 128 on count as negative numbers.
            sums: Whether index blocks end in a checksum.
            large: Whether there may be a third level.
        """
        self._blocks = blocks
        self._names = names
        self._seed = seed
        self._signed = signed
        self._tail = _TAIL if sums else 0
        self._large = large
        self._met = {0}
        self._version = 0

    def look(self) -> bool:
        """Checks it; returns whether its hashes were ones that are known here.

        Raises:
            BadIndex: It is damaged.
        """
        root = self._blocks.get(0, b"")
        if len(root) < _ROOT_ENTRIES + _ENTRY:
            raise BadIndex("its index has no root")
        zero, self._version, length, levels, flags = struct.unpack_from("<IBBBB", root, _DOTS)
        if zero or length != _ENTRY or flags & 1:
            raise BadIndex("the root of its index is damaged")
        if levels >= (_DEEPEST_LARGE if self._large else _DEEPEST):
            raise BadIndex(f"its index has {levels + 1} levels")
        if self._version not in {HALF_MD4, TEA}:
            return False
        self._node(root, _ROOT_ENTRIES, levels, 0, _END)
        lost = self._blocks.keys() - self._met
        if lost:
            raise BadIndex(f"its index does not lead to block {min(lost)}")
        return True

    def _node(self, block: bytes, at: int, levels: int, low: int, high: int) -> None:
        limit, count = struct.unpack_from("<HH", block, at)
        if limit != (len(block) - at - self._tail) // _ENTRY or not 0 < count <= limit:
            raise BadIndex(f"a block of its index has {count} entries of {limit}")
        pairs = [struct.unpack_from("<II", block, at + index * _ENTRY) for index in range(count)]
        hashes = [low, *(found for found, _ in pairs[1:])]
        if hashes != sorted(hashes) or hashes[-1] > high:
            raise BadIndex("the hashes of its index do not rise")
        for (_, place), first, last in zip(pairs, hashes, [*hashes[1:], high], strict=True):
            number = place & _BLOCK_BITS
            child = self._blocks.get(number)
            if child is None:
                raise BadIndex(f"its index leads to block {number}, which it does not have")
            if number in self._met:
                raise BadIndex(f"its index leads to block {number} twice")
            self._met.add(number)
            if levels:
                self._node(child, _NODE_ENTRIES, levels - 1, first, last)
            else:
                self._leaf(child, number, first & ~_CONTINUED, last & ~_CONTINUED)

    def _leaf(self, block: bytes, number: int, low: int, high: int) -> None:
        for name in self._names(block):
            found = name_hash(name, self._version, signed=self._signed, seed=self._seed)
            if not low <= found <= high:
                shown = name.decode("utf-8", "backslashreplace")
                raise BadIndex(f"its index does not lead to {shown}, which is in block {number}")
