"""Reads ext2, ext3 and ext4 without mounting, whoever made them.

Source: Documentation/filesystems/ext4 of the Linux kernel. Every number read is checked before it
is used: a hostile file system is refused or shown, it cannot make this reader hang or grow.
"""

from __future__ import annotations

import os
import struct
import uuid
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice

from engine.filesystems.ext4 import reader_attributes as extattr
from engine.filesystems.ext4 import reader_fields as fields
from engine.filesystems.ext4 import reader_map
from engine.filesystems.ext4.reader_groups import groups
from engine.image.fields import Record
from engine.image.reading import BadFilesystem, Node, Numbered, Window

_MAGIC = 0xEF53
_EXTENT_MAGIC = 0xF30A
_EXTENTS_FEATURE, _WIDE, _JOURNAL_DEVICE = 0x40, 0x80, 0x8
_EXTENTS_FLAG, _ATTRIBUTE_FLAG, _INLINE_FLAG = 0x80000, 0x200000, 0x10000000
_DIRECTORY, _LINK, _REGULAR = 0o040000, 0o120000, 0o100000
_CHARACTER, _BLOCK = 0o020000, 0o060000
_MAX_DEPTH = 5
_MAX_EXTENTS = 1 << 20
_MAX_DIRECTORY = 1 << 30
_MAX_NAMES = 1 << 22
"""Of one directory; they are sorted in memory."""
_MAX_ATTRIBUTES = 1 << 18
"""Bytes of all values of one inode."""
_SUPERBLOCK_AT = 1024


class ExtFilesystem(Numbered):
    """An ext file system in a window of a disk."""

    root = 2

    def __init__(self, window: Window) -> None:
        self._window = window
        raw = window.read(_SUPERBLOCK_AT, 1024)
        self.superblock = raw
        if struct.unpack_from("<H", raw, 0x38)[0] != _MAGIC:
            raise BadFilesystem("no ext superblock")
        self.inodes, blocks_low = struct.unpack_from("<II", raw, 0)
        free_low, self.free_inodes, self.first_block, log = struct.unpack_from("<IIII", raw, 0x0C)
        self.blocks_per_group, _, self.inodes_per_group = struct.unpack_from("<III", raw, 0x20)
        self.state, revision = struct.unpack_from("<H16xI", raw, 0x3A)
        compatible, self._incompatible, read_only = struct.unpack_from("<III", raw, 0x5C)
        self.features = (compatible, self._incompatible, read_only)
        self.inode_size = struct.unpack_from("<H", raw, 0x58)[0] if revision else 128
        if self._incompatible & _JOURNAL_DEVICE:
            raise BadFilesystem("the journal of another file system")
        if log > 6 or not self.blocks_per_group or not self.inodes_per_group:
            raise BadFilesystem(f"superblock: block size 2^{10 + log}, impossible groups")
        self.block_size = 1024 << log
        wide = bool(self._incompatible & _WIDE)
        self.blocks = blocks_low | (struct.unpack_from("<I", raw, 0x150)[0] << 32 if wide else 0)
        free = free_low | (struct.unpack_from("<I", raw, 0x158)[0] << 32 if wide else 0)
        self.descriptor_size = max(struct.unpack_from("<H", raw, 0xFE)[0], 32) if wide else 32
        if not 128 <= self.inode_size <= self.block_size or self.descriptor_size > 1024:
            raise BadFilesystem(f"superblock: inodes of {self.inode_size} bytes")
        self.layout = groups(
            raw, blocks=self.blocks, block=self.block_size, descriptor=self.descriptor_size
        )
        self.groups = self.layout.count
        if self.blocks_per_group > 8 * self.block_size * self.layout.ratio:
            raise BadFilesystem(f"superblock: groups of {self.blocks_per_group} blocks")
        self.size = self.blocks * self.block_size
        self.room = min(self.size, window.size)
        self.free_blocks = free
        self.label = raw[0x78:0x88].partition(b"\0")[0].decode("utf-8", "replace")
        self.uuid = str(uuid.UUID(bytes=raw[0x68:0x78]))
        self.type = (
            "ext4"
            if self._incompatible & _EXTENTS_FEATURE
            else "ext3"
            if compatible & 4
            else "ext2"
        )
        self._block = lru_cache(maxsize=64)(self._read_block)
        self.tables = lru_cache(maxsize=4096)(self._tables)
        """Returns the blocks of a group's block bitmap, inode bitmap and inode table."""

    @property
    def free(self) -> int:
        """Bytes in free blocks, reserved ones included."""
        return int(self.free_blocks * self.block_size)

    @property
    def clean(self) -> bool:
        """Whether it was unmounted cleanly and holds no recorded errors."""
        return bool(self.state & 1) and not self.state & 2 and not self._incompatible & 4

    def block(self, number: int) -> bytes:
        """Returns a block's bytes."""
        return self._block(number)

    def _read_block(self, number: int) -> bytes:
        return self._window.read(number * self.block_size, self.block_size)

    def descriptor(self, group: int) -> bytes:
        """Returns a group's descriptor."""
        if not 0 <= group < self.groups:
            raise BadFilesystem(f"group {group} of {self.groups}")
        block, inside = self.layout.place(group)
        return self._block(block)[inside : inside + self.descriptor_size]

    def raw_inode(self, number: int) -> bytes:
        """Returns an inode as it stands in its table."""
        block, inside = divmod(self.inode_place(number), self.block_size)
        return self._block(block)[inside : inside + self.inode_size]

    def inode_place(self, number: int) -> int:
        """Returns where in the window an inode begins."""
        if not 1 <= number <= self.inodes:
            raise BadFilesystem(f"inode {number} of {self.inodes}")
        group, index = divmod(number - 1, self.inodes_per_group)
        _, _, table = self.tables(group)
        at, inside = divmod(index * self.inode_size, self.block_size)
        return int((table + at) * self.block_size + inside)

    def node(self, number: int, path: bytes) -> Node:
        """Returns an inode as a node.

        Raises:
            BadFilesystem: It, or what it points to, is damaged.
        """
        raw = raw_padded = self.raw_inode(number)
        if len(raw) < 160:
            raw_padded = raw.ljust(160, b"\0")
        mode, uid_low, size_low = struct.unpack_from("<HHI", raw, 0)
        (mtime,) = struct.unpack_from("<i", raw, 16)
        gid_low, links = struct.unpack_from("<HH", raw, 24)
        flags = struct.unpack_from("<I", raw, 32)[0]
        acl_low, size_high = struct.unpack_from("<II", raw, 104)
        acl_high, uid_high, gid_high = struct.unpack_from("<HHH", raw, 118)
        extra_size = struct.unpack_from("<H", raw_padded, 128)[0] if len(raw) > 128 else 0
        extra = struct.unpack_from("<I", raw_padded, 136)[0] if extra_size >= 12 else 0
        kind = mode & 0o170000
        size = size_low | (size_high << 32 if kind in {_REGULAR, _DIRECTORY} else 0)
        area = raw[40:100]
        target = b""
        extents: tuple[tuple[int, int, int], ...] = ()
        inside = tuple(extattr.in_inode(raw, 128 + extra_size))
        if kind == _LINK and size < 60 and not flags & _EXTENTS_FLAG:
            target = area[:size]
        elif kind in {_REGULAR, _DIRECTORY, _LINK}:
            if flags & _INLINE_FLAG:
                at = self.inode_place(number)
                pieces = extattr.inline_data(inside, size, folder=kind == _DIRECTORY)
                extents = tuple((offset, at + place, length) for offset, place, length in pieces)
            else:
                extents = tuple(self._pieces(area, flags, size))
            if kind == _LINK:
                target = self._gather(extents, min(size, 4096))
        rdev = _device(area) if kind in {_CHARACTER, _BLOCK} else 0
        return Node(
            path=path, mode=mode, uid=uid_low | uid_high << 16, gid=gid_low | gid_high << 16,
            size=size if kind in {_REGULAR, _LINK, _DIRECTORY} else 0,
            mtime_ns=(mtime + ((extra & 3) << 32)) * 1_000_000_000 + (extra >> 2),
            links=links, inode=number, target=target, rdev=rdev, extents=extents,
            xattrs=tuple(sorted(self._xattrs(raw, inside, acl_low | acl_high << 32))),
        )  # fmt: skip

    def _tables(self, group: int) -> tuple[int, int, int]:
        raw = self.descriptor(group)
        places = struct.unpack_from("<III", raw, 0)
        high = struct.unpack_from("<III", raw, 0x20) if self.descriptor_size >= 64 else (0, 0, 0)
        block_bitmap, inode_bitmap, table = (
            low | up << 32 for low, up in zip(places, high, strict=True)
        )
        return block_bitmap, inode_bitmap, table

    def map_blocks(self, number: int) -> Iterator[int]:
        """Yields the blocks that hold an inode's map and its attributes, not its data."""
        raw = self.raw_inode(number)
        (mode,) = struct.unpack_from("<H", raw, 0)
        flags = struct.unpack_from("<I", raw, 32)[0]
        acl = struct.unpack_from("<I", raw, 104)[0] | struct.unpack_from("<H", raw, 118)[0] << 32
        if acl:
            yield acl
        if mode & 0o170000 not in {_REGULAR, _DIRECTORY, _LINK} or flags & _INLINE_FLAG:
            return
        if flags & _EXTENTS_FLAG:
            yield from (block for block, _, _ in self._extent_nodes(raw[40:100]) if block)
        else:
            for slot, block in enumerate(struct.unpack("<3I", raw[88:100])):
                yield from self._pointer_blocks(block, slot, set())

    def _pointer_blocks(self, block: int, depth: int, seen: set[int]) -> Iterator[int]:
        if not block:
            return
        yield self._new(block, seen)
        if depth:
            for below in struct.unpack(f"<{self.block_size // 4}I", self._block(block)):
                yield from self._pointer_blocks(below, depth - 1, seen)

    def _new(self, block: int, seen: set[int]) -> int:
        """Returns a block of a map that was not met before: a map that repeats one has no end."""
        if block in seen:
            raise BadFilesystem(f"block {block} is twice in one file's map")
        seen.add(block)
        return block

    def figures(self) -> Mapping[str, int]:
        """See `Described.figures`."""
        return {"blocks": self.blocks, "inodes": self.inodes, "free_inodes": self.free_inodes}

    def header(self) -> Mapping[str, object]:
        """See `Described.header`; the records have every field."""
        return {}

    def records(self) -> Iterator[Record]:
        """See `Recorded.records`."""
        yield Record("superblock", "superblock", self.superblock, fields.SUPERBLOCK)
        for group in range(self.groups):
            where = f"descriptor of group {group}"
            yield Record("descriptor", where, self.descriptor(group), fields.DESCRIPTOR)

    def inode_record(self, node: Node) -> Record:
        """See `Recorded.inode_record`."""
        raw = self.raw_inode(node.inode)
        return Record("path", "", raw, fields.INODE, fields.inode_times(raw))

    def structures(self) -> Iterator[tuple[int, int, str]]:
        """See `Described.structures`."""
        return reader_map.structures(self)

    def unused(self) -> Iterator[tuple[int, int]]:
        """See `Described.unused`."""
        return reader_map.unused(self)

    def _gather(self, extents: tuple[tuple[int, int, int], ...], size: int) -> bytes:
        data = bytearray(size)
        for offset, place, length in extents:
            take = min(length, size - offset)
            if take > 0:
                data[offset : offset + take] = self._window.read(place, take)
        return bytes(data)

    def names(self, node: Node) -> Iterator[tuple[bytes, int]]:
        """See `Numbered.names`; index blocks look like empty ones and yield nothing."""
        if node.size > _MAX_DIRECTORY:
            raise BadFilesystem(f"directory {node.path!r} of {node.size} bytes")
        count = 0
        for offset, place, length in node.extents:
            for start in range(0, min(length, node.size - offset), self.block_size):
                size = min(length - start, self.block_size)
                block = self._window.read_entries(place + start, size)
                at = 0
                while at + 8 <= len(block):
                    inode, span, name_length = struct.unpack_from("<IHB", block, at)
                    span = span or 65536
                    if span < 8 or at + span > len(block):
                        raise BadFilesystem(f"directory {node.path!r}: record of {span} bytes")
                    name = block[at + 8 : at + 8 + name_length]
                    if inode and name not in {b".", b"..", b""}:
                        if b"/" in name or b"\0" in name:
                            raise BadFilesystem(f"directory {node.path!r}: name {name!r}")
                        count += 1
                        if count > _MAX_NAMES:
                            raise BadFilesystem(f"directory {node.path!r}: over {count - 1} names")
                        yield name, inode
                    at += span

    def _pieces(self, area: bytes, flags: int, size: int) -> Iterator[tuple[int, int, int]]:
        if flags & _EXTENTS_FLAG:
            runs = self._extent_runs(area)
        else:
            runs = _joined(self._mapped_blocks(area, size))
        unit = self.block_size
        taken = 0
        for count, (logical, physical, length) in enumerate(runs):
            taken += length
            if count >= _MAX_EXTENTS or physical + length > self.blocks or taken > self.blocks:
                raise BadFilesystem(f"extent of {length} blocks at {physical} of {self.blocks}")
            yield logical * unit, physical * unit, length * unit

    def _extent_nodes(self, root: bytes) -> Iterator[tuple[int, bytes, int]]:
        """Yields the nodes of an extent tree in order: block (0: the inode), bytes, depth."""
        pending = [(0, root, _MAX_DEPTH)]
        seen: set[int] = set()
        while pending:
            place, node, most = pending.pop()
            magic, entries, _, depth = struct.unpack_from("<HHHH", node)
            if magic != _EXTENT_MAGIC or depth > most or 12 + entries * 12 > len(node):
                raise BadFilesystem(f"extent node: magic {magic:#x}, depth {depth}, {entries}")
            yield place, node, depth
            if depth:
                below = []
                for at in range(12, 12 + entries * 12, 12):
                    _, low, high = struct.unpack_from("<IIH", node, at)
                    block = self._new(low | high << 32, seen)
                    below.append((block, self._block(block), depth - 1))
                pending += reversed(below)

    def _extent_runs(self, root: bytes) -> Iterator[tuple[int, int, int]]:
        for _, node, depth in self._extent_nodes(root):
            if depth:
                continue
            (entries,) = struct.unpack_from("<H", node, 2)
            for at in range(12, 12 + entries * 12, 12):
                logical, length, high, low = struct.unpack_from("<IHHI", node, at)
                # Above 32768 an extent is allocated but not written: it reads as zeros.
                if length <= 32768:
                    yield logical, low | high << 32, length

    def _mapped_blocks(self, area: bytes, size: int) -> Iterator[tuple[int, int]]:
        total = -(-size // self.block_size)
        pointers = struct.unpack("<15I", area)
        per_block = self.block_size // 4
        logical = 0
        seen: set[int] = set()
        for slot, block in enumerate(pointers):
            depth = max(slot - 11, 0)
            for at, number in self._leaves(block, depth, logical, seen):
                if at >= total:
                    return
                yield at, number
            logical += per_block**depth

    def _leaves(
        self, block: int, depth: int, logical: int, seen: set[int]
    ) -> Iterator[tuple[int, int]]:
        if not block:
            return
        if depth == 0:
            yield logical, block
            return
        per_block = self.block_size // 4
        step = per_block ** (depth - 1)
        pointers = struct.unpack(f"<{per_block}I", self._block(self._new(block, seen)))
        for index, below in enumerate(pointers):
            yield from self._leaves(below, depth - 1, logical + index * step, seen)

    def _xattrs(
        self, raw: bytes, inside: tuple[extattr.Attribute, ...], block: int
    ) -> Iterator[tuple[bytes, bytes]]:
        found = [(each, raw) for each in inside if each.name != extattr.INLINE_DATA]
        if block:
            data = self._block(block)
            if struct.unpack_from("<I", data)[0] != extattr.MAGIC:
                raise BadFilesystem(f"attribute block {block} has no magic")
            found += [(each, data) for each in extattr.attributes(data, extattr.BLOCK_HEADER)]
        if sum(each.size for each, _ in found) > _MAX_ATTRIBUTES:
            raise BadFilesystem(f"attributes of more than {_MAX_ATTRIBUTES} bytes")
        for each, area in found:
            stored = area[each.place : each.place + each.size]
            if each.inode:
                stored = self._value_of(each.inode, each.size)
            yield each.name, each.value(stored)

    def _value_of(self, number: int, size: int) -> bytes:
        """Returns an attribute's value that has an inode of its own."""
        raw = self.raw_inode(number)
        flags = struct.unpack_from("<I", raw, 32)[0]
        if not flags & _ATTRIBUTE_FLAG:
            raise BadFilesystem(f"inode {number} holds no attribute")
        pieces = islice(self._pieces(raw[40:100], flags, size), size // 1024 + 1)
        return self._gather(tuple(pieces), size)


def probe(window: Window) -> ExtFilesystem | None:
    """Returns the ext file system in a window, or None if there is none.

    Raises:
        BadFilesystem: It is there, and damaged.
    """
    magic = window.read(_SUPERBLOCK_AT + 0x38, 2)
    return ExtFilesystem(window) if magic == struct.pack("<H", _MAGIC) else None


def _joined(blocks: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Yields runs (logical, physical, length) of blocks (logical, physical)."""
    first = place = count = 0
    for logical, physical in blocks:
        if count and (logical, physical) == (first + count, place + count):
            count += 1
            continue
        if count:
            yield first, place, count
        first, place, count = logical, physical, 1
    if count:
        yield first, place, count


def _device(area: bytes) -> int:
    """Returns the device number in `i_block`: 16 bits in the first word, or 32 in the second."""
    old, new = struct.unpack_from("<II", area)
    if old:
        return os.makedev(old >> 8 & 0xFF, old & 0xFF)
    return os.makedev(new >> 8 & 0xFFF, new & 0xFF | new >> 12 & 0xFFF00)
