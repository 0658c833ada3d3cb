"""Reads squashfs 4.0 without mounting it, whoever made it.

Source: Documentation/filesystems/squashfs.rst and fs/squashfs/squashfs_fs.h of the Linux kernel.
Every number read is checked before it is used: a hostile file system is refused or shown, it cannot
make this reader hang or grow.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.filesystems.squashfs.reader_metadata import SIZE, Cursor, Metadata
from engine.filesystems.squashfs.reader_packed import NAMES, unpack
from engine.image.reading import BadFilesystem, Node, Numbered, Window
from engine.units import in_bytes

_MAGIC = b"hsqs"
_MAJOR = b"\4\0"
"""Of version 4.0, the only one that Linux has read since 2.6.29."""
_HEAD = struct.Struct("<4sIIIIHHHHHHQQQQQQQQ")
_NONE = (1 << 64) - 1
_NO_FRAGMENT = _NO_XATTRS = 0xFFFFFFFF
_PLAIN, _STORED = 1 << 24, (1 << 24) - 1
_SECOND_NS = 1_000_000_000
_OUT_OF_LINE = 0x100
_PREFIXES = (b"user.", b"trusted.", b"security.")
_LOCATION = 8
_FRAGMENT, _XATTR_ID, _ID = 16, 16, 4
_MAX_TARGET = 4096
_MAX_VALUE = 1 << 16
_MAX_ATTRIBUTES = 1 << 12
_MAX_BLOCKS = 1 << 23
_ENTRY_COST = 256
"""What reading a name takes, in bytes read (`Disk.spend`)."""
_KEPT = 4
"""Blocks of fragments that are kept unpacked."""
_TYPES = (
    0, stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK, stat.S_IFBLK, stat.S_IFCHR, stat.S_IFIFO,
    stat.S_IFSOCK,
)  # fmt: skip
_LONG = 7
"""What the number of an inode's long form has over that of its short one."""


@dataclass(frozen=True, slots=True)
class _Inode:
    """An inode as it is stored.

    Attributes:
        start: Of a directory: the block of its names; of a file: the first byte of its data.
        offset: In that block, or in the fragment's.
        sizes: Words of the sizes of a file's blocks.
    """

    mode: int
    uid: int
    gid: int
    seconds: int
    links: int = 1
    size: int = 0
    start: int = 0
    offset: int = 0
    fragment: int = _NO_FRAGMENT
    sizes: tuple[int, ...] = ()
    target: bytes = b""
    rdev: int = 0
    xattr: int = _NO_XATTRS


class SquashFilesystem(Numbered):
    """A squashfs in a window of a disk.

    Attributes:
        size: Bytes used.
        compression: Its name.
        inodes: How many it says it has.
    """

    type = "squashfs"
    clean = True
    free = 0
    label = uuid = ""

    def __init__(self, window: Window) -> None:
        self._window = window
        head = _HEAD.unpack(window.read(0, _HEAD.size))
        (
            _, self.inodes, self.seconds, self.block_size, self.fragments, number, log, self.flags,
            self.owners, major, minor, self.root, self.size, self._ids, self._xattrs,
            self._inode_table, self._directory_table, self._fragment_table, self._exports,
        ) = head  # fmt: skip
        if minor:
            raise BadFilesystem(f"squashfs of version {major}.{minor}; 4.0 is read here")
        if not 12 <= log <= 20 or self.block_size != 1 << log:
            raise BadFilesystem(f"superblock: blocks of {self.block_size} bytes")
        if number not in NAMES:
            raise BadFilesystem(f"superblock: compression {number}, which is not known here")
        if not _HEAD.size <= self.size <= window.size:
            raise BadFilesystem(f"superblock: {in_bytes(self.size)} in a place of {window.size:,}")
        self.compression = NAMES[number]
        # Each byte can be the whole of a block: that is all that compression leaves to be said.
        self.room: int = self.size * self.block_size
        self._metadata = Metadata(window, self.size, self.compression)
        self._unpacked: dict[int, bytes] = {}

    def names(self, node: Node) -> Iterator[tuple[bytes, int]]:
        """See `Numbered.names`; a number is an inode's place (`node`)."""
        return ((name, ref) for name, ref, _ in self._records(node))

    def blocks_of(self, node: Node) -> Iterator[int]:
        """Yields where each block of a file begins, and for a directory the place of each name.

        Directories share blocks, packed ones at that; two that share a name are damaged.
        """
        if stat.S_ISDIR(node.mode):
            return (place for _, _, place in self._records(node))
        return (at for _, at, _, _ in self._pieces(self._inode(node.inode)))

    def data(self, node: Node) -> Iterator[tuple[int, bytes]]:
        """Yields a file's data, holes left out."""
        inode = self._inode(node.inode)
        for offset, at, word, length in self._pieces(inode):
            yield offset, self._block(at, word, length)
        if inode.fragment != _NO_FRAGMENT and inode.size % self.block_size:
            tail = inode.size % self.block_size
            data = self._fragment(inode.fragment)[inode.offset : inode.offset + tail]
            if len(data) != tail:
                raise BadFilesystem(f"{node.path!r} goes past the end of its fragment")
            yield inode.size - tail, data

    def figures(self) -> Mapping[str, int | str]:
        return {
            "blocks": -(-self.size // self.block_size), "inodes": self.inodes, "free_inodes": 0,
            "compression": self.compression,
        }  # fmt: skip

    def header(self) -> Mapping[str, object]:
        return {
            "block size": self.block_size, "inodes": self.inodes, "fragments": self.fragments,
            "compression": self.compression, "time": self.seconds, "flags": f"{self.flags:#x}",
            "owners": self.owners, "bytes used": self.size,
        }  # fmt: skip

    def structures(self) -> Iterator[tuple[int, int, str]]:
        """See `Described.structures`: its tables follow one another."""
        yield 0, _HEAD.size, "superblock"
        places = [
            (_HEAD.size, "data"), (self._inode_table, "inodes"),
            (self._directory_table, "directories"), (self._fragment_table, "fragments"),
            (self._exports, "exports"), (self._ids, "owners"), (self._xattrs, "attributes"),
        ]  # fmt: skip
        known = sorted((at, what) for at, what in places if _HEAD.size <= at < self.size)
        ends = [*(at for at, _ in known[1:]), self.size]
        for (at, what), end in zip(known, ends, strict=True):
            yield at, end - at, what

    def unused(self) -> Iterator[tuple[int, int]]:
        """See `Described.unused`; what lies behind the file system is not used, nothing else."""
        if self._window.size > self.size:
            yield self.size, self._window.size - self.size

    def node(self, number: int, path: bytes) -> Node:
        """See `Numbered.node`.

        Args:
            number: The inode's place: the block in the table, and 16 bits of offset in it.
            path: Of the node.
        """
        inode = self._inode(number)
        directory = stat.S_ISDIR(inode.mode)
        return Node(
            path=path, mode=inode.mode, uid=self._owner(inode.uid), gid=self._owner(inode.gid),
            size=inode.size, links=inode.links, inode=number, mtime_ns=inode.seconds * _SECOND_NS,
            target=inode.target, rdev=inode.rdev,
            extents=() if directory else tuple(self._extents(inode)),
            xattrs=tuple(sorted(self._attributes(inode.xattr))),
        )  # fmt: skip

    def _inode(self, ref: int) -> _Inode:
        cursor = Cursor(self._metadata, self._inode_table + (ref >> 16), ref & 0xFFFF)
        kind, mode, uid, gid, seconds, _ = struct.unpack("<HHHHII", cursor.read(16))
        long = kind > _LONG
        type_ = _TYPES[kind - _LONG if long else kind] if 0 < kind <= 2 * _LONG else 0
        if not type_:
            raise BadFilesystem(f"inode {ref:#x}: type {kind}")
        common = (stat.S_IMODE(mode) | type_, uid, gid, seconds)
        match type_:
            case stat.S_IFDIR:
                return self._directory(cursor, common, long=long)
            case stat.S_IFREG:
                return self._file(cursor, common, long=long)
            case stat.S_IFLNK:
                links, length = struct.unpack("<II", cursor.read(8))
                if length > _MAX_TARGET:
                    raise BadFilesystem(f"inode {ref:#x}: a link target of {in_bytes(length)}")
                target = cursor.read(length)
                xattr = _word(cursor) if long else _NO_XATTRS
                return _Inode(*common, links=links, size=length, target=target, xattr=xattr)
        links = _word(cursor)
        device = _device(_word(cursor)) if type_ in {stat.S_IFBLK, stat.S_IFCHR} else 0
        xattr = _word(cursor) if long else _NO_XATTRS
        return _Inode(*common, links=links, rdev=device, xattr=xattr)

    def _directory(
        self, cursor: Cursor, common: tuple[int, int, int, int], *, long: bool
    ) -> _Inode:
        xattr = _NO_XATTRS
        if long:
            links, size, start, _, _, offset, xattr = struct.unpack("<IIIIHHI", cursor.read(24))
        else:
            start, links, size, offset, _ = struct.unpack("<IIHHI", cursor.read(16))
        return _Inode(*common, links=links, size=size, start=start, offset=offset, xattr=xattr)

    def _file(self, cursor: Cursor, common: tuple[int, int, int, int], *, long: bool) -> _Inode:
        links, xattr = 1, _NO_XATTRS
        if long:
            start, size, _, links, fragment, offset, xattr = struct.unpack(
                "<QQQIIII", cursor.read(40)
            )
        else:
            start, fragment, offset, size = struct.unpack("<IIII", cursor.read(16))
        whole = fragment == _NO_FRAGMENT
        count = -(-size // self.block_size) if whole else size // self.block_size
        if count > _MAX_BLOCKS:
            raise BadFilesystem(f"a file of {count} blocks")
        sizes = struct.unpack(f"<{count}I", cursor.read(4 * count))
        return _Inode(
            *common, links=links, size=size, start=start, offset=offset, fragment=fragment,
            sizes=sizes, xattr=xattr,
        )  # fmt: skip

    def _pieces(self, inode: _Inode) -> Iterator[tuple[int, int, int, int]]:
        """Yields the blocks of a file: offset, place, word of its size, bytes once unpacked."""
        at = inode.start
        for index, word in enumerate(inode.sizes):
            if not word:
                continue
            offset = index * self.block_size
            yield offset, at, word, min(self.block_size, inode.size - offset)
            at += word & _STORED

    def _extents(self, inode: _Inode) -> Iterator[tuple[int, int, int]]:
        """Yields where a file has data, pieces that touch joined."""
        start = place = end = 0
        for offset, at, _, length in self._pieces(inode):
            if offset != end or not end:
                if end > start:
                    yield start, place, end - start
                start, place = offset, at
            end = offset + length
        tail = inode.size % self.block_size if inode.fragment != _NO_FRAGMENT else 0
        if tail and end == inode.size - tail:
            end += tail
        elif tail:
            if end > start:
                yield start, place, end - start
            start, place, end = inode.size - tail, 0, inode.size
        if end > start:
            yield start, place, end - start

    def _block(self, at: int, word: int, length: int) -> bytes:
        """Returns a block of data of so many bytes."""
        stored = word & _STORED
        if at + stored > self.size or stored > self.block_size:
            raise BadFilesystem(f"{in_bytes(stored)} of data at byte {at} of {self.size:,}")
        data = self._window.read(at, stored)
        if not word & _PLAIN:
            data = unpack(self.compression, data, length)
        if len(data) != length:
            raise BadFilesystem(f"the data at byte {at} is {in_bytes(len(data))}, not {length:,}")
        return data

    def _fragment(self, number: int) -> bytes:
        """Returns a block of the ends of files."""
        if number >= self.fragments:
            raise BadFilesystem(f"fragment {number} of {self.fragments}")
        data = self._unpacked.get(number)
        if data is None:
            entry = self._entry(self._fragment_table, number, _FRAGMENT)
            at, word = struct.unpack_from("<QI", entry)
            stored = word & _STORED
            if at + stored > self.size or stored > self.block_size:
                raise BadFilesystem(f"fragment {number}: {in_bytes(stored)} at byte {at}")
            data = self._window.read(at, stored)
            if not word & _PLAIN:
                data = unpack(self.compression, data, self.block_size)
            if len(self._unpacked) >= _KEPT:
                del self._unpacked[next(iter(self._unpacked))]
            self._unpacked[number] = data
        return data

    def _entry(self, table: int, number: int, length: int) -> bytes:
        """Returns an entry of a table that is found through a list of its blocks."""
        block, offset = divmod(number * length, SIZE)
        (at,) = struct.unpack("<Q", self._window.read(table + block * _LOCATION, _LOCATION))
        return Cursor(self._metadata, at, offset).read(length)

    def _owner(self, number: int) -> int:
        if number >= self.owners:
            raise BadFilesystem(f"owner {number} of {self.owners}")
        (owner,) = struct.unpack("<I", self._entry(self._ids, number, _ID))
        return int(owner)

    def _records(self, node: Node) -> Iterator[tuple[bytes, int, int]]:
        """Yields names, the inodes they are of, and where each stands."""
        inode = self._inode(node.inode)
        left = inode.size - 3  # "." and "..", which are not stored
        cursor = Cursor(self._metadata, self._directory_table + inode.start, inode.offset)
        while left > 0:
            count, start, _ = struct.unpack("<III", cursor.read(12))
            if count >= 256:
                raise BadFilesystem(f"directory {node.path!r}: a run of {count + 1} names")
            left -= 12
            for _ in range(count + 1):
                place = cursor.at * SIZE + cursor.offset
                offset, _, _, length = struct.unpack("<HhHH", cursor.read(8))
                name = cursor.read(length + 1)
                if b"/" in name or b"\0" in name or name in {b".", b".."}:
                    raise BadFilesystem(f"directory {node.path!r} has the name {name!r}")
                left -= 8 + len(name)
                self._window.disk.spend(_ENTRY_COST)
                yield name, start << 16 | offset, place
        if left < 0:
            raise BadFilesystem(f"directory {node.path!r} ends in the midst of a name")

    def _attributes(self, number: int) -> Iterator[tuple[bytes, bytes]]:
        if number == _NO_XATTRS or self._xattrs == _NONE:
            return
        start, known = struct.unpack("<QI", self._window.read(self._xattrs, 12))
        if number >= known:
            raise BadFilesystem(f"attributes {number} of {known}")
        ref, count = struct.unpack_from("<QI", self._entry(self._xattrs + 16, number, _XATTR_ID))
        if count > _MAX_ATTRIBUTES:
            raise BadFilesystem(f"an inode with {count} attributes")
        cursor = Cursor(self._metadata, start + (ref >> 16), ref & 0xFFFF)
        for _ in range(count):
            kind, length = struct.unpack("<HH", cursor.read(4))
            if kind & 0xFF >= len(_PREFIXES):
                raise BadFilesystem(f"an attribute of kind {kind}")
            name = _PREFIXES[kind & 0xFF] + cursor.read(length)
            value = _value(cursor)
            if kind & _OUT_OF_LINE:
                there = int.from_bytes(value, "little")
                value = _value(Cursor(self._metadata, start + (there >> 16), there & 0xFFFF))
            yield name, value


def _word(cursor: Cursor) -> int:
    (number,) = struct.unpack("<I", cursor.read(4))
    return int(number)


def _value(cursor: Cursor) -> bytes:
    length = _word(cursor)
    if length > _MAX_VALUE:
        raise BadFilesystem(f"an attribute of {in_bytes(length)}")
    return cursor.read(length)


def _device(number: int) -> int:
    """Returns a device number as os.makedev has it (`new_decode_dev` of the kernel)."""
    return os.makedev(number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00)


def probe(window: Window) -> SquashFilesystem | None:
    """Returns the squashfs in a window, or None if there is none.

    Raises:
        BadFilesystem: It is there, and damaged.
    """
    if window.read(0, 4) != _MAGIC or window.read(28, 2) != _MAJOR:
        return None
    return SquashFilesystem(window)
