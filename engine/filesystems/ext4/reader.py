"""Reads ext2, ext3 and ext4 without mounting, whoever made them.

Source: Documentation/filesystems/ext4 of the Linux kernel. Every number read is checked before it
is used: a hostile file system is refused or shown, it cannot make this reader hang or grow.
"""

from __future__ import annotations

import stat
import struct
import uuid
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice

from engine.filesystems.ext4 import reader_attributes as extattr
from engine.filesystems.ext4 import reader_fields as fields
from engine.filesystems.ext4 import reader_journal as journal
from engine.filesystems.ext4 import reader_map
from engine.filesystems.ext4.reader_blocks import EXTENTS_FLAG, INLINE_FLAG, BlockMap
from engine.filesystems.ext4.reader_checksums import Checksums
from engine.filesystems.ext4.reader_directories import DOTS, records
from engine.filesystems.ext4.reader_groups import groups
from engine.filesystems.ext4.reader_inodes import attribute_block, inode_of
from engine.image.container import BadImage
from engine.image.fields import Record
from engine.image.reading import BadFilesystem, Node, Numbered, Window
from engine.units import in_bytes

MAGIC = 0xEF53
_EXTENTS_FEATURE, _WIDE, _JOURNAL_DEVICE = 0x40, 0x80, 0x8
_HAS_JOURNAL, _NEEDS_JOURNAL = 0x4, 0x4
_DESCRIPTOR_SUMS, _SHARED_BLOCKS = 0x10, 0x4000
_FILE_TYPES = 0x2
_ATTRIBUTE_FLAG, _ENCRYPTED_FLAG = 0x200000, 0x800
_WITH_DATA = frozenset({stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK})
_MAX_DIRECTORY = 1 << 30
_MAX_NAMES = 1 << 22
"""Of one directory; they are sorted in memory."""
_MAX_ATTRIBUTES = 1 << 18
"""Bytes of all values of one inode."""
SUPERBLOCK_AT = 1024


class ExtFilesystem(Numbered):
    """An ext file system in a window of a disk.

    Attributes:
        recovered: How many blocks are read from its journal, as they are not in their places.
        stale: Why what is read may be older than what a mount would show; "" if it is not.
    """

    root = 2

    def __init__(self, window: Window, *, recovered: int = 0, stale: str = "") -> None:
        self._window = window
        self.recovered, self.stale = recovered, stale
        raw = window.read(SUPERBLOCK_AT, 1024)
        self.superblock = raw
        if struct.unpack_from("<H", raw, 0x38)[0] != MAGIC:
            raise BadFilesystem("no ext superblock")
        self.inodes, blocks_low = struct.unpack_from("<II", raw, 0)
        free_low, self.free_inodes, self.first_block, log = struct.unpack_from("<IIII", raw, 0x0C)
        self.blocks_per_group, _, self.inodes_per_group = struct.unpack_from("<III", raw, 0x20)
        self.state, revision = struct.unpack_from("<H16xI", raw, 0x3A)
        compatible, self._incompatible, read_only = struct.unpack_from("<III", raw, 0x5C)
        self.features = (compatible, self._incompatible, read_only)
        self.inode_size = struct.unpack_from("<H", raw, 0x58)[0] if revision else 128
        self._typed = bool(self._incompatible & _FILE_TYPES)
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
        newer = self._incompatible & _EXTENTS_FEATURE or read_only & _DESCRIPTOR_SUMS
        self.type = "ext4" if newer else "ext3" if compatible & _HAS_JOURNAL else "ext2"
        self.shares_blocks = bool(read_only & _SHARED_BLOCKS)
        """Whether files have blocks in common by design."""
        self.sums = Checksums(raw, incompatible=self._incompatible, read_only=read_only)
        self._block = lru_cache(maxsize=64)(self._read_block)
        self.map = BlockMap(self._block, self.block_size, self.blocks, self.sums)
        """Where the data of inodes is."""
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

    @property
    def needs_journal(self) -> bool:
        """Whether its journal holds, or may hold, what is not in its place."""
        return bool(self._incompatible & _NEEDS_JOURNAL)

    @property
    def has_journal(self) -> bool:
        """Whether it has a journal, here or on another disk."""
        return bool(self.features[0] & _HAS_JOURNAL)

    def journal(self) -> tuple[journal.ReadBlock, int]:
        """Returns what reads a block of its journal, and how many it has.

        Raises:
            BadFilesystem: It is not in this file system, or damaged.
        """
        (number,) = struct.unpack_from("<I", self.superblock, 0xE0)
        if not number:
            raise BadFilesystem("it is on another disk")
        node = self.node(number, b"the journal")
        unit = self.block_size
        if not stat.S_ISREG(node.mode) or node.links == 0:
            raise BadFilesystem(f"inode {number} is not a file")
        places: dict[int, int] = {}
        for offset, place, length in node.extents:
            for at in range(0, length, unit):
                places[(offset + at) // unit] = place + at

        def read(block: int) -> bytes:
            if block not in places:
                raise BadFilesystem(f"the journal has no block {block}")
            return self._window.read(places[block], unit)

        return read, node.size // unit

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
        raw = self.raw_inode(number)
        if not self.sums.inode(number, raw):
            raise BadFilesystem(f"inode {number} does not match its checksum")
        inode = inode_of(raw)
        kind = stat.S_IFMT(inode.mode)
        encrypted = bool(inode.flags & _ENCRYPTED_FLAG)
        target = b""
        extents: tuple[tuple[int, int, int], ...] = ()
        inside = tuple(extattr.in_inode(raw, inode.attributes_at))
        if kind == stat.S_IFLNK and encrypted:
            raise BadFilesystem("a link whose target is encrypted; it takes the key to read it")
        if kind == stat.S_IFLNK and inode.size < 60 and not inode.flags & EXTENTS_FLAG:
            target = inode.area[: inode.size]
        elif kind in _WITH_DATA:
            if inode.flags & INLINE_FLAG:
                at = self.inode_place(number)
                folder = kind == stat.S_IFDIR
                pieces = extattr.inline_data(inside, inode.size, folder=folder)
                extents = tuple((offset, at + place, length) for offset, place, length in pieces)
            else:
                extents = tuple(self._pieces(number, raw, inode.size))
            if kind == stat.S_IFLNK:
                target = self._gather(extents, min(inode.size, 4096))
        return Node(
            path=path, mode=inode.mode, uid=inode.uid, gid=inode.gid,
            size=inode.size if kind in _WITH_DATA else 0,
            mtime_ns=inode.mtime_ns, links=inode.links, inode=number, target=target,
            rdev=inode.device if kind in {stat.S_IFCHR, stat.S_IFBLK} else 0, extents=extents,
            xattrs=tuple(sorted(self._xattrs(raw, inside, inode.attribute_block))),
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
        block = attribute_block(raw)
        if block:
            yield block
        yield from self.map.blocks(number, raw)

    def figures(self) -> Mapping[str, int]:
        return {"blocks": self.blocks, "inodes": self.inodes, "free_inodes": self.free_inodes}

    def header(self) -> Mapping[str, object]:
        """See `Described.header`; the records have every field."""
        return {}

    def records(self) -> Iterator[Record]:
        yield Record("superblock", "superblock", self.superblock, fields.SUPERBLOCK)
        for group in range(self.groups):
            where = f"descriptor of group {group}"
            yield Record("descriptor", where, self.descriptor(group), fields.DESCRIPTOR)

    def inode_record(self, node: Node) -> Record:
        raw = self.raw_inode(node.inode)
        return Record("path", "", raw, fields.INODE, fields.inode_times(raw))

    def structures(self) -> Iterator[tuple[int, int, str]]:
        return reader_map.structures(self)

    def unused(self) -> Iterator[tuple[int, int]]:
        return reader_map.unused(self)

    def data(self, node: Node) -> Iterator[tuple[int, bytes]]:
        """See `Filesystem.data`.

        Raises:
            BadFilesystem: It is encrypted.
        """
        (flags,) = struct.unpack_from("<I", self.raw_inode(node.inode), 32)
        if flags & _ENCRYPTED_FLAG and node.size:
            raise BadFilesystem("it is encrypted; it takes the key to read it")
        yield from super().data(node)

    def _gather(self, extents: tuple[tuple[int, int, int], ...], size: int) -> bytes:
        data = bytearray(size)
        for offset, place, length in extents:
            take = min(length, size - offset)
            if take > 0:
                data[offset : offset + take] = self._window.read(place, take)
        return bytes(data)

    def names(self, node: Node) -> Iterator[tuple[bytes, int]]:
        """See `Numbered.names`; index blocks look like empty ones and yield nothing."""
        for name, inode, _ in self.entries(node):
            if name not in DOTS:
                yield name, inode

    def directory_blocks(self, node: Node) -> Iterator[tuple[int, bytes]]:
        """Yields the blocks of a directory with their numbers in it, holes left out."""
        for offset, place, length in node.extents:
            for start in range(0, min(length, node.size - offset), self.block_size):
                block = self._window.read_entries(place + start, self.block_size)
                yield (offset + start) // self.block_size, block

    def names_in(self, block: bytes) -> Iterator[bytes]:
        """Yields the names in a block of a directory, but for `.` and `..`."""
        for name, _, _ in records(block, b"", typed=self._typed):
            if name not in DOTS:
                yield name

    def entries(self, node: Node) -> Iterator[tuple[bytes, int, int]]:
        """Yields name, inode and type (0: unknown) of all that a directory has, dots included.

        Raises:
            BadFilesystem: It is damaged, or too large.
        """
        if node.size > _MAX_DIRECTORY:
            raise BadFilesystem(f"directory {node.path!r} of {in_bytes(node.size)}")
        names = 0
        raw = self.raw_inode(node.inode)
        (flags,) = struct.unpack_from("<I", raw, 32)
        inline = flags & INLINE_FLAG
        for offset, place, length in node.extents:
            for start in range(0, min(length, node.size - offset), self.block_size):
                size = min(length - start, self.block_size)
                block = self._window.read_entries(place + start, size)
                if not inline and not self.sums.directory(node.inode, raw, block):
                    number = (place + start) // self.block_size
                    raise BadFilesystem(
                        f"directory {node.path!r}: block {number} does not match its checksum"
                    )
                for name, inode, kind in records(
                    block, node.path, typed=self._typed, encrypted=bool(flags & _ENCRYPTED_FLAG)
                ):
                    names += 1
                    if names > _MAX_NAMES:
                        raise BadFilesystem(f"directory {node.path!r}: over {names - 1} names")
                    yield name, inode, kind

    def _pieces(self, number: int, inode: bytes, size: int) -> Iterator[tuple[int, int, int]]:
        unit = self.block_size
        for logical, physical, length in self.map.runs(number, inode, size):
            yield logical * unit, physical * unit, length * unit

    def _xattrs(
        self, raw: bytes, inside: tuple[extattr.Attribute, ...], block: int
    ) -> Iterator[tuple[bytes, bytes]]:
        found = [(each, raw) for each in inside if each.name != extattr.INLINE_DATA]
        if block:
            data = self._block(block)
            if struct.unpack_from("<I", data)[0] != extattr.MAGIC:
                raise BadFilesystem(f"attribute block {block} has no magic")
            if not self.sums.attributes(block, data):
                raise BadFilesystem(f"attribute block {block} does not match its checksum")
            found += [(each, data) for each in extattr.attributes(data, extattr.BLOCK_HEADER)]
        if sum(each.size for each, _ in found) > _MAX_ATTRIBUTES:
            raise BadFilesystem(f"attributes of more than {in_bytes(_MAX_ATTRIBUTES)}")
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
        pieces = islice(self._pieces(number, raw, size), size // 1024 + 1)
        return self._gather(tuple(pieces), size)


def probe(window: Window) -> ExtFilesystem | None:
    """Returns the ext file system in a window, or None if there is none.

    Raises:
        BadFilesystem: It is there, and damaged.
    """
    magic = window.read(SUPERBLOCK_AT + 0x38, 2)
    if magic != struct.pack("<H", MAGIC):
        return None
    found = ExtFilesystem(window)
    return _through_journal(found, window) if found.needs_journal else found


def _through_journal(found: ExtFilesystem, window: Window) -> ExtFilesystem:
    """Returns a file system as mounting would show it, or as it lies, with why that is older."""
    try:
        read, blocks = found.journal()
        waiting = journal.pending(read, blocks)
        through = journal.Through(
            window.disk, window.start, window.size, found.block_size, waiting.copies, read
        )
        fast = "its journal holds fast commits, which are not read here" if waiting.fast else ""
        return ExtFilesystem(through, recovered=len(waiting.copies), stale=fast)
    except (BadImage, struct.error) as error:
        return ExtFilesystem(window, stale=f"its journal cannot be read: {error}")
