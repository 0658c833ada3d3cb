"""The trees of a Btrfs: their nodes, verified, and where in its device a logical address lies.

Source: struct btrfs_header, btrfs_item, btrfs_key_ptr and btrfs_chunk in
include/uapi/linux/btrfs_tree.h of the Linux kernel.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from engine.filesystems.btrfs.reader_superblock import Superblock
from engine.image.container import BadImage
from engine.image.reading import BadFilesystem, Window
from engine.units import in_bytes

_HEAD, _ITEM, _POINTER, _KEY = 101, 25, 33, 17
_PLACE_AT, _GENERATION_AT, _COUNT_AT, _LEVEL_AT = 0x30, 0x50, 0x60, 0x64
_UUID = slice(0x20, 0x30)
_CHUNK, _STRIPE = 48, 32
CHUNK_ITEM = 228
_PROFILES = {
    1 << 3: "RAID0", 1 << 4: "RAID1", 1 << 5: "DUP", 1 << 6: "RAID10", 1 << 7: "RAID5",
    1 << 8: "RAID6", 1 << 9: "RAID1C3", 1 << 10: "RAID1C4",
}  # fmt: skip
_SYSTEM = 1 << 1
_COPIES = (1 << 4) | (1 << 5) | (1 << 9) | (1 << 10)
"""Profiles whose stripes hold the same bytes."""
_MAX_STRIPES = 1024
_MAX_CHUNKS = 1 << 20
_KEPT = 128
"""Nodes that are kept: the tops of the trees that are gone through, and their last leaves."""
_NODE_COST = 4
"""What making sense of a node takes, in bytes read for each of its own (`Disk.spend`)."""


class Key(NamedTuple):
    """What items are sorted by."""

    object: int
    type: int
    offset: int


FIRST = Key(0, 0, 0)
LAST = Key((1 << 64) - 1, 255, (1 << 64) - 1)


class Item(NamedTuple):
    """An item of a leaf.

    Attributes:
        data: Its bytes.
        place: Where they begin in the window.
    """

    key: Key
    data: bytes
    place: int


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A run of logical addresses.

    Attributes:
        places: Where it begins in the device, once for each copy.
        refused: Why it is not read here, or "".
    """

    start: int
    length: int
    places: tuple[int, ...]
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a tree.

    Attributes:
        keys: Of its items, or the first ones of the nodes below; rising.
        pointers: Of a leaf: place and length of each item's data in it; else logical address and
            generation of each node below.
        place: Where it begins in the window.
    """

    raw: bytes
    level: int
    keys: tuple[Key, ...]
    pointers: tuple[tuple[int, int], ...]
    place: int


class Trees:
    """Reads the trees of a file system in a window of a disk."""

    def __init__(self, window: Window, superblock: Superblock) -> None:
        self._window = window
        self._superblock = superblock
        self._starts: list[int] = []
        self._chunks: list[_Chunk] = []
        self._nodes: dict[tuple[int, int], Node] = {}
        self._boot()

    # ------------------------------------------------------------------ chunks

    def _boot(self) -> None:
        """Reads where everything lies: first the chunks of the chunk tree, then all."""
        raw, at = self._superblock.system_chunks, 0
        while at < len(raw):
            if at + _KEY + _CHUNK > len(raw):
                raise BadFilesystem("Btrfs superblock: its chunks end in the midst of one")
            key = _key(raw, at)
            at = self._chunk(key, raw, at + _KEY)
        self._ordered()
        superblock = self._superblock
        found = list(self.items(superblock.chunks, superblock.chunks_level))
        self._chunks.clear()
        for item in found:
            if item.key.type == CHUNK_ITEM:
                self._chunk(item.key, item.data, 0)
        self._ordered()
        self._nodes.clear()

    def _chunk(self, key: Key, raw: bytes, at: int) -> int:
        """Takes a chunk; returns where it ends in the bytes."""
        if key.type != CHUNK_ITEM or at + _CHUNK > len(raw):
            raise BadFilesystem(f"Btrfs chunk {key.offset}: an item of type {key.type}")
        length, _, _, kind = struct.unpack_from("<QQQQ", raw, at)
        (count,) = struct.unpack_from("<H", raw, at + 44)
        end: int = at + _CHUNK + count * _STRIPE
        if not 0 < count <= _MAX_STRIPES or end > len(raw) or not length:
            raise BadFilesystem(f"Btrfs chunk {key.offset}: {count} stripes of {in_bytes(length)}")
        if len(self._chunks) >= _MAX_CHUNKS:
            raise BadFilesystem(f"Btrfs: more than {_MAX_CHUNKS} chunks")
        stripes = [
            struct.unpack_from("<QQ", raw, place) for place in range(at + _CHUNK, end, _STRIPE)
        ]
        here = tuple(place for device, place in stripes if device == self._superblock.device)
        name = next((name for bit, name in _PROFILES.items() if kind & bit), "single")
        refused = ""
        if count > 1 and (not kind & _COPIES or len(here) < count):
            refused = f"{name} on {count} devices, which is not read here"
        elif not here:
            refused = "data of another device"
        self._chunks.append(_Chunk(key.offset, length, here, refused))
        return end

    def _ordered(self) -> None:
        self._chunks.sort(key=lambda chunk: chunk.start)
        self._starts = [chunk.start for chunk in self._chunks]

    def profiles(self) -> str:
        """Returns why some of it is not read, or ""."""
        return next((chunk.refused for chunk in self._chunks if chunk.refused), "")

    def places(self, logical: int, length: int) -> list[int]:
        """Returns where bytes lie in the window, each copy.

        Raises:
            BadFilesystem: They lie nowhere, or are not read here.
        """
        index = bisect_right(self._starts, logical) - 1
        chunk = self._chunks[index] if index >= 0 else None
        if chunk is None or logical + length > chunk.start + chunk.length:
            raise BadFilesystem(
                f"Btrfs: {in_bytes(length)} at address {logical}, which is in no chunk"
            )
        if chunk.refused:
            raise BadFilesystem(f"Btrfs: {chunk.refused}")
        found = [place + logical - chunk.start for place in chunk.places]
        if found[0] + length > self._window.size:
            raise BadFilesystem(
                f"Btrfs: {in_bytes(length)} at byte {found[0]:,}, "
                f"past the end at {self._window.size:,}"
            )
        return found

    # ------------------------------------------------------------------ nodes

    def node(self, logical: int, level: int) -> Node:
        """Returns a node; of two copies the first that is sound.

        Raises:
            BadFilesystem: None is.
        """
        known = self._nodes.get((logical, level))
        if known is not None:
            return known
        trouble: BadImage | None = None
        for place in self.places(logical, self._superblock.node_size):
            try:
                node = self._node(place, logical, level)
            except BadImage as error:
                trouble = trouble or error
                continue
            if len(self._nodes) >= _KEPT:
                del self._nodes[next(iter(self._nodes))]
            self._nodes[logical, level] = node
            return node
        raise trouble or BadFilesystem(f"Btrfs node {logical}: it has no place")

    def _node(self, place: int, logical: int, level: int) -> Node:
        size = self._superblock.node_size
        self._window.disk.spend(size * _NODE_COST)
        raw = self._window.read(place, size)
        what = f"node at address {logical}"
        self._superblock.checksums.verify(raw, what)
        (own,) = struct.unpack_from("<Q", raw, _PLACE_AT)
        (generation,) = struct.unpack_from("<Q", raw, _GENERATION_AT)
        (count,) = struct.unpack_from("<I", raw, _COUNT_AT)
        if own != logical or raw[_UUID] != self._superblock.node_uuid:
            raise BadFilesystem(f"Btrfs {what}: it is another one's")
        if raw[_LEVEL_AT] != level:
            raise BadFilesystem(f"Btrfs {what}: of level {raw[_LEVEL_AT]}, not {level}")
        if generation > self._superblock.generation:
            raise BadFilesystem(f"Btrfs {what}: of generation {generation}, not written yet")
        step = _POINTER if level else _ITEM
        if _HEAD + count * step > size:
            raise BadFilesystem(f"Btrfs {what}: {count} items")
        keys, pointers = [], []
        last: Key | None = None
        for at in range(_HEAD, _HEAD + count * step, step):
            key = _key(raw, at)
            if last is not None and key <= last:
                raise BadFilesystem(f"Btrfs {what}: its keys do not rise")
            last = key
            first, second = struct.unpack_from("<QQ" if level else "<II", raw, at + _KEY)
            if not level:
                first += _HEAD
                if first + second > size or first < _HEAD + count * step:
                    raise BadFilesystem(f"Btrfs {what}: an item of {in_bytes(second)} at {first}")
            keys.append(key)
            pointers.append((first, second))
        return Node(raw, level, tuple(keys), tuple(pointers), place)

    def items(
        self, root: int, level: int, first: Key = FIRST, last: Key = LAST,
        *, before: bool = False,
    ) -> Iterator[Item]:  # fmt: skip
        """Yields the items of a tree within a range, rising.

        Args:
            root: Logical address of its top.
            level: Of its top.
            first, last: The range, both included.
            before: Begin with the last item that is not behind `first`, if there is one.

        Raises:
            BadFilesystem: A node is damaged, or the keys do not rise: so that no node is gone
                through twice, however a damaged tree leads to it.
        """
        ended: Key | None = None
        for node in self._leaves(root, level, first, last):
            if ended is not None and node.keys[0] <= ended:
                raise BadFilesystem(f"Btrfs tree at address {root}: its keys do not rise")
            ended = node.keys[-1]
            start = 0
            if first > node.keys[0]:
                start = bisect_right(node.keys, first) - 1
                if node.keys[start] < first and not before:
                    start += 1
            for index in range(start, len(node.keys)):
                key = node.keys[index]
                if key > last:
                    return
                at, length = node.pointers[index]
                yield Item(key, node.raw[at : at + length], node.place + at)

    def _leaves(self, root: int, level: int, first: Key, last: Key) -> Iterator[Node]:
        top = self.node(root, level)
        if not top.keys:
            if level:
                raise BadFilesystem(f"Btrfs tree at address {root}: an empty node")
            return
        stack = [(top, self._begin(top, first))]
        while stack:
            node, index = stack.pop()
            if not node.level:
                yield node
                continue
            if index >= len(node.keys) or (index and node.keys[index] > last):
                continue
            stack.append((node, index + 1))
            below = self.node(node.pointers[index][0], node.level - 1)
            if not below.keys or below.keys[0] < node.keys[index]:
                raise BadFilesystem(f"Btrfs tree at address {root}: a node in the wrong place")
            if index + 1 < len(node.keys) and below.keys[-1] >= node.keys[index + 1]:
                raise BadFilesystem(f"Btrfs tree at address {root}: its keys do not rise")
            stack.append((below, self._begin(below, first)))

    @staticmethod
    def _begin(node: Node, first: Key) -> int:
        return max(0, bisect_right(node.keys, first) - 1) if node.level else 0

    def item(self, root: int, level: int, key: Key) -> Item | None:
        """Returns the item of a key, or None."""
        return next(self.items(root, level, key, key), None)


def _key(raw: bytes, at: int) -> Key:
    return Key(*struct.unpack_from("<QBQ", raw, at))
