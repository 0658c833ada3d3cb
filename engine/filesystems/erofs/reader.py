"""Reads EROFS without mounting, whoever made it; of compressed files everything but their data.

Source: fs/erofs/erofs_fs.h of the Linux kernel and its Documentation/filesystems/erofs.rst. Every
number read is checked before it is used: a hostile file system is refused or shown, it cannot make
this reader hang or grow.
"""

from __future__ import annotations

import os
import stat
import struct
import uuid
from collections.abc import Iterator, Mapping

from engine.image.crc32c import crc32c
from engine.image.reading import BadFilesystem, Node, Numbered, Window, walk
from engine.units import in_bytes

_MAGIC = 0xE0F5E1E2
_AT = 1024
_SIZE = 128
_CHECKSUM_FEATURE = 1
_CHUNKS, _DEVICES, _PREFIXES, _WIDE = 0x4, 0x8, 0x40, 0x80
_COMPRESSION = {
    0x1: "padded clusters", 0x2: "large clusters", 0x10: "inline clusters", 0x20: "fragments",
}  # fmt: skip
_KNOWN = _CHUNKS | _DEVICES | _PREFIXES | sum(_COMPRESSION)
_SLOT = 32
_DIRENT = 12
_PLAIN, _COMPRESSED_FULL, _INLINE, _COMPRESSED, _CHUNKED = range(5)
_CHUNK_BITS, _CHUNK_INDEXES, _KNOWN_CHUNKS = 0x1F, 0x20, 0x3F
_HOLE = 0xFFFFFFFF
_XATTRS = {
    1: b"user.", 2: b"system.posix_acl_access", 3: b"system.posix_acl_default", 4: b"trusted.",
    5: b"lustre.", 6: b"security.",
}  # fmt: skip
_MAX_DIRECTORY = 1 << 30
_MAX_NAMES = 1 << 22
"""Of one directory; they are sorted in memory."""
_MAX_CHUNKS = 1 << 22
_MAX_ATTRIBUTES = 1 << 19


class ErofsFilesystem(Numbered):
    """An EROFS in a window of a disk.

    Attributes:
        inodes: How many it says it has.
        blocks: How many it says it has.
        compression: How some of its data is compressed, or "".
    """

    type = "erofs"
    clean = True
    free = 0

    def __init__(self, window: Window) -> None:
        self._window = window
        raw = window.read(_AT, _SIZE)
        self.superblock = raw
        (
            magic, self.checksum, self.compatible, bits, slots, root, self.inodes,
            self.build_seconds, self.build_ns, low, meta, self._xattr_block, identifier, label,
            self.incompatible,
        ) = struct.unpack_from("<IIIBBHQQIIII16s16sI", raw)  # fmt: skip
        if magic != _MAGIC:
            raise BadFilesystem("no EROFS superblock")
        if not 9 <= bits <= 16:
            raise BadFilesystem(f"superblock: blocks of 2^{bits} bytes")
        if unknown := self.incompatible & ~_KNOWN:
            raise BadFilesystem(f"superblock: features {unknown:#x} that are not known here")
        self.block_size: int = 1 << bits
        self.blocks = int(low)
        self.size = self.blocks * self.block_size
        self.room = min(self.size, window.size)
        self.label = label.partition(b"\0")[0].decode("utf-8", "replace")
        self.uuid = str(uuid.UUID(bytes=identifier))
        self._superblock_end = _AT + _SIZE + slots * 16
        self._meta: int = meta * self.block_size
        self.root = root
        used = [name for bit, name in _COMPRESSION.items() if self.incompatible & bit]
        self.compression = ", ".join(used)
        if self.compatible & _CHECKSUM_FEATURE:
            self._verify()

    def _verify(self) -> None:
        end = self.block_size if self.block_size > _AT else _AT + self.block_size
        covered = bytearray(self._window.read(_AT, end - _AT))
        covered[4:8] = bytes(4)
        computed = crc32c(covered)
        if computed != self.checksum:
            raise BadFilesystem(
                f"superblock: checksum {self.checksum:#010x}, computed {computed:#010x}"
            )

    def data(self, node: Node) -> Iterator[tuple[int, bytes]]:
        """See `Filesystem.data`.

        Raises:
            BadFilesystem: It is compressed.
        """
        if node.size and self._layout(node.inode) in {_COMPRESSED, _COMPRESSED_FULL}:
            raise BadFilesystem(f"{node.path!r} is compressed, which is not read here")
        yield from super().data(node)

    def figures(self) -> Mapping[str, int]:
        return {"blocks": self.blocks, "inodes": self.inodes, "free_inodes": 0}

    def header(self) -> Mapping[str, object]:
        return {
            "block size": self.block_size, "blocks": self.blocks, "inodes": self.inodes,
            "root inode": self.root, "first block of inodes": self._meta // self.block_size,
            "first block of shared attributes": self._xattr_block,
            "build time": f"{self.build_seconds}.{self.build_ns:09d}",
            "uuid": self.uuid, "label": self.label,
            "compatible features": f"{self.compatible:#x}",
            "incompatible features": f"{self.incompatible:#x}",
            "rest": self.superblock[84:].hex(),
        }  # fmt: skip

    def structures(self) -> Iterator[tuple[int, int, str]]:
        yield 0, _AT, "boot block"
        yield _AT, self._superblock_end - _AT, "superblock"
        named: set[int] = set()
        root = self.lookup(b"")
        assert root is not None
        for node in (root, *walk(self)):
            if node.inode in named:
                continue
            named.add(node.inode)
            path = "/" + node.path.decode("utf-8", "backslashreplace")
            at, _, _, attributes = self._head(node.inode)
            yield at, self._inode_size(node.inode), f"inode of {path}"
            if attributes:
                yield at + self._inode_size(node.inode), attributes, f"attributes of {path}"
            kind = "directory" if stat.S_ISDIR(node.mode) else "data"
            for _, place, length in node.extents:
                yield place, length, f"{kind} of {path}"

    def unused(self) -> Iterator[tuple[int, int]]:
        """See `Described.unused`; what lies behind the file system is not used, nothing else."""
        if self._window.size > self.size:
            yield self.size, self._window.size - self.size

    def _place(self, number: int) -> int:
        at = self._meta + number * _SLOT
        if at + _SLOT > self.room:
            raise BadFilesystem(f"inode {number} lies past the end")
        return at

    def _layout(self, number: int) -> int:
        return self._window.read(self._place(number), 1)[0] >> 1 & 7

    def _inode_size(self, number: int) -> int:
        return 64 if self._window.read(self._place(number), 1)[0] & 1 else 32

    def _head(self, number: int) -> tuple[int, bytes, int, int]:
        """Returns an inode's place, its bytes, its layout and the bytes of its attributes."""
        at = self._place(number)
        raw = self._window.read(at, self._inode_size(number))
        form, attributes = struct.unpack_from("<HH", raw)
        layout = form >> 1 & 7
        if layout > _CHUNKED:
            raise BadFilesystem(f"inode {number}: layout {layout}, which is not known here")
        return at, raw, layout, 12 + (attributes - 1) * 4 if attributes else 0

    def node(self, number: int, path: bytes) -> Node:
        """Returns an inode as a node.

        Raises:
            BadFilesystem: It, or what it points to, is damaged.
        """
        at, raw, layout, attributes = self._head(number)
        if len(raw) == 64:
            mode, _, size, where, _, uid, gid, seconds, rest, links = struct.unpack_from(
                "<HHQIIIIqII", raw, 4
            )
        else:  # all of one time
            mode, links, size, _, where, _, uid, gid = struct.unpack_from("<HHIIIIHH", raw, 4)
            seconds, rest = self.build_seconds, self.build_ns
        behind = at + len(raw) + attributes
        extents: tuple[tuple[int, int, int], ...] = ()
        target = b""
        if stat.S_IFMT(mode) in {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}:
            extents = tuple(self._extents(number, layout, size, where, behind))
            if stat.S_ISLNK(mode):
                if size > 4096:
                    raise BadFilesystem(f"inode {number}: a link target of {in_bytes(size)}")
                target = b"".join(self._window.read(place, length) for _, place, length in extents)
        else:
            size = 0
        special = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
        return Node(
            path=path, mode=mode, uid=uid, gid=gid, size=size, links=links, inode=number,
            mtime_ns=seconds * 1_000_000_000 + rest, target=target,
            rdev=_device(where) if special else 0, extents=extents,
            xattrs=tuple(sorted(self._attributes(at + len(raw), attributes))),
        )  # fmt: skip

    def _extents(
        self, number: int, layout: int, size: int, where: int, behind: int
    ) -> Iterator[tuple[int, int, int]]:
        """Yields the pieces of an inode's data; none of what is compressed."""
        if not size or layout in {_COMPRESSED, _COMPRESSED_FULL}:
            return
        if layout == _CHUNKED:
            yield from self._chunks(number, size, where, behind)
            return
        tail = size % self.block_size if layout == _INLINE else 0
        if size - tail:
            yield 0, self._block(number, where, size - tail), size - tail
        if tail:
            if behind // self.block_size != (behind + tail - 1) // self.block_size:
                raise BadFilesystem(f"inode {number}: its data crosses the end of its block")
            yield size - tail, behind, tail

    def _chunks(
        self, number: int, size: int, form: int, behind: int
    ) -> Iterator[tuple[int, int, int]]:
        if form & ~_KNOWN_CHUNKS:
            raise BadFilesystem(f"inode {number}: chunks of the kind {form:#x}")
        unit = self.block_size << (form & _CHUNK_BITS)
        wide = bool(form & _CHUNK_INDEXES)
        count = -(-size // unit)
        if count > _MAX_CHUNKS:
            raise BadFilesystem(f"inode {number}: {count} chunks")
        step = 8 if wide else 4
        at = -(-behind // step) * step
        raw = self._window.read(at, count * step)
        start = place = length = stored = 0
        for index in range(count):
            (block,) = struct.unpack_from("<I", raw, index * step + (4 if wide else 0))
            if block == _HOLE:
                continue
            if wide and struct.unpack_from("<H", raw, index * step + 2)[0]:
                raise BadFilesystem(f"inode {number}: its data lies on another device")
            stored += 1
            if stored > self.blocks:
                raise BadFilesystem(f"inode {number}: more chunks than there are blocks")
            offset = index * unit
            take = min(unit, size - offset)
            found = self._block(number, block, take)
            if length and start + length == offset and place + length == found:
                length += take
                continue
            if length:
                yield start, place, length
            start, place, length = offset, found, take
        if length:
            yield start, place, length

    def _block(self, number: int, block: int, length: int) -> int:
        at: int = block * self.block_size
        if at + length > self.room:
            raise BadFilesystem(
                f"inode {number}: {in_bytes(length)} at block {block} of {self.blocks}"
            )
        return at

    def names(self, node: Node) -> Iterator[tuple[bytes, int]]:
        if node.size > _MAX_DIRECTORY:
            raise BadFilesystem(f"directory {node.path!r} of {in_bytes(node.size)}")
        if node.size and not node.extents:
            raise BadFilesystem(f"directory {node.path!r} is compressed, which is not read here")
        count = 0
        for _, place, length in node.extents:
            for start in range(0, length, self.block_size):
                size = min(self.block_size, length - start)
                for name, number in _names(self._window.read_entries(place + start, size)):
                    if name in {b".", b".."}:
                        continue
                    count += 1
                    if count > _MAX_NAMES:
                        raise BadFilesystem(f"directory {node.path!r}: over {_MAX_NAMES} names")
                    yield name, number

    def _attributes(self, at: int, size: int) -> Iterator[tuple[bytes, bytes]]:
        if not size:
            return
        if size > _MAX_ATTRIBUTES:
            raise BadFilesystem(f"attributes of {in_bytes(size)}")
        raw = self._window.read(at, size)
        shared = raw[4]
        first = 12 + shared * 4
        if first > size:
            raise BadFilesystem(f"{shared} shared attributes in {in_bytes(size)}")
        for index in range(shared):
            (where,) = struct.unpack_from("<I", raw, 12 + index * 4)
            yield self._shared(where)
        while first + 4 <= size:
            entry, first = _attribute(raw, first)
            yield entry

    def _shared(self, number: int) -> tuple[bytes, bytes]:
        at = self._xattr_block * self.block_size + number * 4
        if at >= self.room:
            raise BadFilesystem(f"shared attribute {number} lies past the end")
        name, _, value = struct.unpack("<BBH", self._window.read(at, 4))
        return _attribute(self._window.read(at, 4 + name + value), 0)[0]


def _attribute(raw: bytes, at: int) -> tuple[tuple[bytes, bytes], int]:
    """Returns the attribute at a place, and where the next one begins."""
    length, kind, size = struct.unpack_from("<BBH", raw, at)
    end = at + 4 + length + size
    if end > len(raw):
        raise BadFilesystem(f"an attribute of {length:,} and {in_bytes(size)} does not fit")
    # With bit 7 the kind counts prefixes that the file system itself has.
    prefix = _XATTRS.get(kind, b"prefix-%d." % kind)
    name = prefix + raw[at + 4 : at + 4 + length]
    return (name, raw[at + 4 + length : end]), end + 3 & ~3


def _names(block: bytes) -> Iterator[tuple[bytes, int]]:
    """Yields the names in a block of a directory and the numbers of their inodes."""
    if len(block) < _DIRENT:
        raise BadFilesystem(f"a directory block of {in_bytes(len(block))}")
    (first,) = struct.unpack_from("<H", block, 8)
    if first % _DIRENT or not _DIRENT <= first <= len(block):
        raise BadFilesystem(f"a directory block whose names begin at byte {first}")
    places = [struct.unpack_from("<QH", block, at) for at in range(0, first, _DIRENT)]
    for index, (number, start) in enumerate(places):
        last = index + 1 == len(places)
        end = len(block) if last else places[index + 1][1]
        if not first <= start < end <= len(block):
            raise BadFilesystem(f"a name from byte {start} to {end} of a directory block")
        name = block[start:end].partition(b"\0")[0] if last else block[start:end]
        if not name or b"/" in name or b"\0" in name:
            raise BadFilesystem(f"the name {name!r} in a directory")
        yield name, number


def _device(number: int) -> int:
    return os.makedev(number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00)


def probe(window: Window) -> ErofsFilesystem | None:
    """Returns the EROFS in a window, or None if there is none.

    Raises:
        BadFilesystem: It is there, and damaged.
    """
    (magic,) = struct.unpack("<I", window.read(_AT, 4))
    return ErofsFilesystem(window) if magic == _MAGIC else None
