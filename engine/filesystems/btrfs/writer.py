"""Sets what mkfs.btrfs draws at random or takes from the clock, and what the root directory is.

It also takes out of the tree of free space what mkfs.btrfs leaves there of the block groups that it
began with, which newer versions of `btrfs check` call an error (btrfs-progs, pull request 1017).

Random are the UUIDs of the device, of the chunk tree and of the top subvolume. They stand in every
node, those that mkfs.btrfs took on its way and left behind included; so every block that is a node
by its checksum is gone through. Source: include/uapi/linux/btrfs_tree.h of the Linux kernel.
"""

from __future__ import annotations

import os
import stat
import struct
import uuid
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from engine.filesystems.driver import FilesystemPlan
from engine.filesystems.populate import PopulateFailed
from engine.image.crc32c import crc32c
from engine.image.whole import write_whole

_SUPERBLOCKS, _SUPERBLOCK = (0x10000, 0x4000000, 0x4000000000), 4096
_MAGIC_AT, _MAGIC = 0x40, b"_BHRfS_M"
_FSID = slice(0x20, 0x30)
_NODE_SIZE_AT, _DEVICE_UUID = 0x94, slice(0x10B, 0x11B)
_CHUNK_UUID = slice(0x40, 0x50)
_OWNER_AT, _COUNT_AT, _LEVEL_AT, _ITEMS_AT, _ITEM = 0x58, 0x60, 0x64, 0x65, 25
_POINTER = 33
"""Bytes of a pointer to a node below, with its key."""
_GENERATION_AT = 0x50
_CHUNK_TREE, _FS_TREE, _SPACE_TREE, _TOP = 3, 5, 10, 256
"""Ids of trees, the last that of the directory at the top of the top subvolume."""
_CHUNK = 228
"""Type of a chunk's item: its key has its first address, its data begins with its length."""
_INODE, _ROOT, _SUBVOLUME = 1, 132, 251
"""Types of items: an inode, the root of a tree, a subvolume by its UUID."""
_INODE_TIMES, _ROOT_TIMES, _ROOT_UUID = (112, 124, 136, 148), (327, 339), 247
_OWNERS_AT = 44
_SECOND_NS = 1_000_000_000


def settle(file: Path, planned: FilesystemPlan, epoch: int) -> None:
    """Makes what mkfs.btrfs left in a file the same every time.

    Args:
        file: The file system alone.
        planned: It, as it was planned.
        epoch: Seconds since 1970, for all of its times.

    Raises:
        PopulateFailed: It is not what mkfs.btrfs is known to make.
        OSError: It cannot be read or written.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    try:
        head = os.pread(descriptor, _SUPERBLOCK, _SUPERBLOCKS[0])
        if head[_MAGIC_AT : _MAGIC_AT + 8] != _MAGIC:
            raise PopulateFailed("mkfs.btrfs left no superblock")
        (size,) = struct.unpack_from("<I", head, _NODE_SIZE_AT)
        nodes = dict(_nodes(descriptor, size, head[_FSID]))
        settled = _Settled(planned, epoch, _drawn(head, nodes), _chunks(nodes))
        for place, node in nodes.items():
            write_whole(descriptor, settled.node(node), place)
        for place in _SUPERBLOCKS:
            found = os.pread(descriptor, _SUPERBLOCK, place)
            if found[_MAGIC_AT : _MAGIC_AT + 8] == _MAGIC:
                write_whole(descriptor, settled.superblock(found), place)
    finally:
        os.close(descriptor)


def _nodes(descriptor: int, size: int, fsid: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields every node with its place, used or left behind."""
    end = os.fstat(descriptor).st_size
    at = 0
    while at < end:
        try:
            at = os.lseek(descriptor, at, os.SEEK_DATA) // _SUPERBLOCK * _SUPERBLOCK
        except OSError:
            return
        node = os.pread(descriptor, size, at)
        if node[_FSID] == fsid and at not in _SUPERBLOCKS and _sealed(node) == node:
            yield at, node
            at += size
        else:
            at += _SUPERBLOCK


def _sealed(block: bytes | bytearray) -> bytes:
    """Returns a node or superblock with its checksum set."""
    return struct.pack("<I", crc32c(block[32:]) ^ 0xFFFFFFFF) + bytes(28) + bytes(block[32:])


def _items(node: bytes | bytearray) -> Iterator[tuple[int, int, int, int]]:
    """Yields the items of a leaf: where the key stands, its id and type, where the data does."""
    if node[_LEVEL_AT]:
        return
    (count,) = struct.unpack_from("<I", node, _COUNT_AT)
    for at in range(_ITEMS_AT, _ITEMS_AT + count * _ITEM, _ITEM):
        number, kind, _, place, _ = struct.unpack_from("<QBQII", node, at)
        yield at, number, kind, _ITEMS_AT + place


def _gap(node: bytes | bytearray) -> tuple[int, int]:
    """Returns the bytes of a node that nothing uses, where mkfs.btrfs may leave what was there."""
    (count,) = struct.unpack_from("<I", node, _COUNT_AT)
    if node[_LEVEL_AT]:
        return _ITEMS_AT + count * _POINTER, len(node)
    return _ITEMS_AT + count * _ITEM, min((at for *_, at in _items(node)), default=len(node))


def _drawn(head: bytes, nodes: Mapping[int, bytes]) -> Mapping[str, bytes]:
    """Returns the random UUIDs by what they are of."""
    chunks = {node[_CHUNK_UUID] for node in nodes.values()}
    tops = {
        node[at + _ROOT_UUID : at + _ROOT_UUID + 16]
        for node in nodes.values()
        for _, number, kind, at in _items(node)
        if (number, kind) == (_FS_TREE, _ROOT)
    } - {bytes(16)}
    if len(chunks) != 1 or len(tops) != 1:
        raise PopulateFailed("mkfs.btrfs left other trees than it is known to")
    return {"device": head[_DEVICE_UUID], "chunks": chunks.pop(), "top": tops.pop()}


def _owner(node: bytes) -> int:
    """Returns the id of the tree that a node is of."""
    (owner,) = struct.unpack_from("<Q", node, _OWNER_AT)
    return int(owner)


def _chunks(nodes: Mapping[int, bytes]) -> frozenset[tuple[int, int]]:
    """Returns first and end address of each chunk there is, by the newest nodes of their tree."""
    own = [node for node in nodes.values() if _owner(node) == _CHUNK_TREE]
    newest = max(node[_GENERATION_AT : _GENERATION_AT + 8][::-1] for node in own)
    found = set()
    for node in own:
        if node[_GENERATION_AT : _GENERATION_AT + 8][::-1] != newest:
            continue
        for key, _, kind, at in _items(node):
            if kind == _CHUNK:
                (start,) = struct.unpack_from("<Q", node, key + 9)
                (length,) = struct.unpack_from("<Q", node, at)
                found.add((start, start + length))
    return frozenset(found)


class _Settled:
    def __init__(
        self, planned: FilesystemPlan, epoch: int, drawn: Mapping[str, bytes],
        chunks: Collection[tuple[int, int]],
    ) -> None:  # fmt: skip
        self._chunks = chunks
        self._top = planned.manifest.get(b"")
        self._time = struct.pack("<qI", epoch, 0)
        own = uuid.UUID(planned.uuid)
        self._uuids = {old: uuid.uuid5(own, what).bytes for what, old in drawn.items()}
        self._key = (drawn["top"], self._uuids[drawn["top"]])

    def superblock(self, block: bytes) -> bytes:
        """Returns a superblock with our UUIDs."""
        return _sealed(self._renamed(block))

    def node(self, node: bytes) -> bytes:
        """Returns a node with our UUIDs and times."""
        changed = bytearray(self._renamed(node))
        owner = _owner(node)
        if owner == _SPACE_TREE and not node[_LEVEL_AT]:
            self._spare(changed)
        for key, number, kind, at in list(_items(changed)):
            if kind == _SUBVOLUME and changed[key : key + 8] == self._key[0][:8]:
                changed[key : key + 8] = self._key[1][:8]
                changed[key + 9 : key + 17] = self._key[1][8:]
            elif kind in {_INODE, _ROOT}:
                self._stamp(changed, at, _ROOT_TIMES if kind == _ROOT else ())
                self._stamp(changed, at, _INODE_TIMES)
                if (owner, number, kind) == (_FS_TREE, _TOP, _INODE):
                    self._own(changed, at)
        first, end = _gap(changed)
        changed[first:end] = bytes(end - first)
        return _sealed(changed)

    def _spare(self, leaf: bytearray) -> None:
        """Takes out of a leaf of the tree of free space what lies in no chunk."""
        kept = []
        for key, start, _, at in _items(leaf):
            (length,) = struct.unpack_from("<Q", leaf, key + 9)
            if any(first <= start and start + length <= end for first, end in self._chunks):
                (size,) = struct.unpack_from("<I", leaf, key + _ITEM - 4)
                kept.append((leaf[key : key + 17], leaf[at : at + size]))
        struct.pack_into("<I", leaf, _COUNT_AT, len(kept))
        end = len(leaf)
        for number, (name, data) in enumerate(kept):
            end -= len(data)
            leaf[end : end + len(data)] = data
            item = _ITEMS_AT + number * _ITEM
            leaf[item : item + 17] = name
            struct.pack_into("<II", leaf, item + 17, end - _ITEMS_AT, len(data))

    def _renamed(self, block: bytes) -> bytes:
        for old, new in self._uuids.items():
            block = block.replace(old, new)
        return block

    def _stamp(self, node: bytearray, at: int, places: tuple[int, ...]) -> None:
        """Sets the times of an item that has some."""
        for place in places:
            if any(node[at + place : at + place + 12]):
                node[at + place : at + place + 12] = self._time

    def _own(self, node: bytearray, at: int) -> None:
        """Gives the directory at the top what the contents say of it."""
        entry = self._top
        if entry is None:
            return
        mode = stat.S_IFDIR | stat.S_IMODE(entry.mode)
        struct.pack_into("<III", node, at + _OWNERS_AT, entry.uid, entry.gid, mode)
        seconds, rest = divmod(entry.mtime_ns, _SECOND_NS)
        struct.pack_into("<qI", node, at + _INODE_TIMES[2], seconds, rest)
