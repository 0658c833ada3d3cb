"""Reads a Btrfs on one device without mounting it, whoever made it.

The root directory is the top of the file system, whichever subvolume is the default; subvolumes are
folders where they lie. Source: include/uapi/linux/btrfs_tree.h and fs/btrfs of the Linux kernel.
Every number read is checked before it is used: a hostile file system is refused or shown, it cannot
make this reader hang or grow.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.filesystems.btrfs.reader_packed import LARGEST, NAMES, unpack
from engine.filesystems.btrfs.reader_superblock import AT, COPIES, MAGIC, MAGIC_AT, SIZE, Superblock
from engine.filesystems.btrfs.reader_tree import Item, Key, Trees
from engine.filesystems.crc32c import crc32c
from engine.image.reading import BadFilesystem, Node, Numbered, Window, walk

_INODE_ITEM, _XATTR, _DIR_ITEM, _DIR_INDEX, _EXTENT, _SUMS = 1, 24, 84, 96, 108, 128
_ROOT_ITEM, _ROOT_BACKREF, _ROOT_REF = 132, 144, 156
_TOP, _SUMS_TREE, _ROOTS, _FIRST = 5, 7, 6, 256
"""Ids: the top subvolume, the tree of checksums, the directory of roots, a subvolume's own one."""
_SUMS_OBJECT = (1 << 64) - 10
_END = (1 << 64) - 1
_NO_SUBVOLUME = 2
"""What the kernel numbers a directory that stands for a subvolume of another tree."""
_INODE = 160
_ENTRY = struct.Struct("<QBQQHHB")
_INLINE, _REGULAR, _PREALLOCATED = range(3)
_INLINE_HEAD, _EXTENT_SIZE = 21, 53
_NO_SUMS = 1
"""Flag of an inode whose data has no checksums."""
_TREE_BITS = 48
_MAX_TARGET = 4096
_MAX_EXTENTS = 1 << 22
_MAX_SUBVOLUMES = 1 << 16
_DEEPEST_NAME = 64
_PIECE = 1 << 20
_ENTRY_COST = 64
_MINOR_BITS = 20
_SECOND_NS = 1_000_000_000
_HASH = 0xFFFFFFFE
"""Register that the hash of a name begins with."""


class Btrfs:
    """The superblock of a Btrfs in a window of a disk: of several devices nothing else is read."""

    type = "btrfs"

    def __init__(self, window: Window, superblock: Superblock) -> None:
        self._window = window
        self.superblock = superblock
        self.block_size, self.size = superblock.block_size, superblock.size
        self.room = min(self.size, window.size)
        self.label, self.uuid = superblock.label, superblock.uuid

    @property
    def clean(self) -> bool:
        """Whether no log is left to be replayed."""
        return not self.superblock.log

    @property
    def free(self) -> int:
        """Bytes that nothing takes; copies of metadata take more than once."""
        return int(self.size - self.superblock.used)

    def figures(self) -> Mapping[str, int | str]:
        return {"blocks": int(self.size // self.block_size), "devices": self.superblock.devices}

    def header(self) -> Mapping[str, object]:
        said = self.superblock
        return {
            "size": said.size, "bytes used": said.used, "devices": said.devices,
            "block size": said.block_size, "node size": said.node_size,
            "generation": said.generation, "root tree": said.root, "chunk tree": said.chunks,
            "checksums": said.checksums.name,
            "features": " ".join(f"{word:#x}" for word in said.features),
            "uuid": said.uuid, "label": said.label,
        }  # fmt: skip

    def structures(self) -> Iterator[tuple[int, int, str]]:
        for at in (AT, *COPIES):
            if at + SIZE <= self.room:
                yield at, SIZE, "superblock" if at == AT else "copy of the superblock"

    def unused(self) -> Iterator[tuple[int, int]]:
        """See `Described.unused`; what its trees say is free is not read."""
        return iter(())


@dataclass(frozen=True, slots=True)
class _Tree:
    """A tree by its root: logical address and level of its top, number of its directory."""

    root: int
    level: int
    directory: int = 0


@dataclass(frozen=True, slots=True)
class _Extent:
    """A piece of a file.

    Attributes:
        start, length: Bytes of the file.
        kind: Of its compression, 0 for none.
        unpacked: Bytes of the whole piece on the disk once it is unpacked.
        logical, stored: Where that piece lies, and its bytes there.
        offset: Of what belongs to the file, in it once unpacked.
        inline: Its bytes, where a tree has them; `place` is then theirs.
    """

    start: int
    length: int
    kind: int
    unpacked: int
    logical: int = 0
    stored: int = 0
    offset: int = 0
    inline: bytes | None = None
    place: int = 0


class BtrfsFilesystem(Numbered, Btrfs):
    """A Btrfs of one device, with its files.

    Attributes:
        root: Number of the directory at the top.
        stale: Why what is read may be older than what a mount would show; "" if it is not.
        shares_blocks: Files may have blocks in common.
    """

    shares_blocks = True

    def __init__(self, window: Window, superblock: Superblock) -> None:
        Btrfs.__init__(self, window, superblock)
        self._trees = Trees(window, superblock)
        self._roots: dict[int, _Tree | None] = {}
        self._sums: dict[int, bytes] = {}
        self.stale = "its log has not been replayed" if superblock.log else ""
        top = self._tree(_TOP)
        self.root = top.directory
        self._names: dict[int, bytes] | None = None

    # ------------------------------------------------------------------ trees

    def _find(self, tree: int) -> _Tree | None:
        """Returns a tree by its id."""
        if tree not in self._roots:
            said = self.superblock
            item = next(self._trees.items(
                said.root, said.root_level, Key(tree, _ROOT_ITEM, 0), Key(tree, _ROOT_ITEM, _END)
            ), None)  # fmt: skip
            if item is not None and len(item.data) < 239:
                raise BadFilesystem(f"Btrfs tree {tree}: a root of {len(item.data)} bytes")
            self._roots[tree] = None
            if item is not None:
                directory, root = struct.unpack_from("<QQ", item.data, 168)
                self._roots[tree] = _Tree(root, item.data[238], directory)
        return self._roots[tree]

    def _tree(self, tree: int) -> _Tree:
        found = self._find(tree)
        if found is None:
            raise BadFilesystem(f"Btrfs: it has no tree {tree}")
        return found

    def _items(self, number: int, kind: int, end: int, offset: int = 0) -> Iterator[Item]:
        """Yields the items of an inode, from a type to a type."""
        tree, inode = self._split(number)
        there = self._tree(tree)
        return self._trees.items(
            there.root, there.level, Key(inode, kind, offset), Key(inode, end, _END)
        )

    @staticmethod
    def _split(number: int) -> tuple[int, int]:
        """Returns the tree and the inode that a number stands for."""
        return number >> _TREE_BITS or _TOP, number & (1 << _TREE_BITS) - 1

    @staticmethod
    def _number(tree: int, inode: int) -> int:
        if inode >> _TREE_BITS or tree >> _TREE_BITS:
            raise BadFilesystem(f"Btrfs: inode {inode} of tree {tree}")
        return inode if tree == _TOP else tree << _TREE_BITS | inode

    # ------------------------------------------------------------------ subvolumes

    def _subvolume_ids(self) -> dict[int, tuple[int, int, bytes]]:
        """Returns parent, directory there and name of each subvolume, by its id."""
        said = self.superblock
        found: dict[int, tuple[int, int, bytes]] = {}
        first, last = Key(_FIRST, 0, 0), Key(_SUMS_OBJECT - 256, 0, 0)
        for item in self._trees.items(said.root, said.root_level, first, last):
            if item.key.type != _ROOT_BACKREF or len(item.data) < 18:
                continue
            directory, _, length = struct.unpack_from("<QQH", item.data)
            found[item.key.object] = (item.key.offset, directory, item.data[18 : 18 + length])
            if len(found) > _MAX_SUBVOLUMES:
                raise BadFilesystem(f"Btrfs: more than {_MAX_SUBVOLUMES} subvolumes")
        return found

    def subvolumes(self) -> Mapping[int, bytes]:
        """Returns the paths of the subvolumes from the top of the file system, by their ids.

        Raises:
            BadFilesystem: They lie in each other, or somewhere that is not there.
        """
        if self._names is None:
            ids = self._subvolume_ids()
            self._names = {}
            for tree in sorted(ids):
                parts: list[bytes] = []
                at = tree
                while at != _TOP:
                    if at not in ids or len(parts) > _DEEPEST_NAME:
                        raise BadFilesystem(f"Btrfs subvolume {tree}: nothing there holds it")
                    at, directory, name = ids[at]
                    parts.append(name)
                    parts += self._above(at, directory)
                self._names[tree] = b"/".join(reversed(parts))
        return self._names

    def _above(self, tree: int, directory: int) -> Iterator[bytes]:
        """Yields the names from a directory up to the top of its subvolume."""
        top = self._tree(tree).directory
        for _ in range(_DEEPEST_NAME):
            if directory == top:
                return
            ref = next(self._items(self._number(tree, directory), 12, 12), None)
            if ref is None or len(ref.data) < 10:
                break
            (length,) = struct.unpack_from("<H", ref.data, 8)
            yield ref.data[10 : 10 + length]
            directory = ref.key.offset
        raise BadFilesystem(f"Btrfs: directory {directory} of tree {tree} has nothing above it")

    @property
    def default(self) -> bytes:
        """Path of the subvolume that a mount shows, b"" for the top of the file system."""
        said = self.superblock
        first, last = Key(_ROOTS, _DIR_ITEM, 0), Key(_ROOTS, _DIR_ITEM, _END)
        for item in self._trees.items(said.root, said.root_level, first, last):
            for name, number, _, _ in _entries(item):
                if name == b"default" and number.object != _TOP:
                    return self.subvolumes().get(number.object, b"")
        return b""

    @property
    def tops(self) -> tuple[bytes, ...]:
        """Paths of what may be mounted as a root: the default subvolume first."""
        found = sorted(self.subvolumes().values(), key=lambda path: (path.count(b"/"), path))
        return tuple(dict.fromkeys((self.default, b"", *found)))

    # ------------------------------------------------------------------ inodes

    def node(self, number: int, path: bytes) -> Node:
        """See `Numbered.node`."""
        tree, inode = self._split(number)
        if inode == _NO_SUBVOLUME:
            return Node(path=path, mode=stat.S_IFDIR | 0o755, inode=number)
        raw = b""
        xattrs: list[tuple[bytes, bytes]] = []
        for item in self._items(number, _INODE_ITEM, _XATTR):
            if item.key.type == _INODE_ITEM:
                raw = item.data
            elif item.key.type == _XATTR:
                xattrs += ((name, value) for name, _, _, value in _entries(item))
        if len(raw) < _INODE:
            raise BadFilesystem(f"Btrfs inode {inode} of tree {tree}: it is not there")
        (size,) = struct.unpack_from("<Q", raw, 16)
        links, uid, gid, mode, rdev = struct.unpack_from("<IIIIQ", raw, 40)
        seconds, rest = struct.unpack_from("<qI", raw, 136)
        if size >> 63 or mode >> 16 or rdev >> 32 or rest >= _SECOND_NS:
            raise BadFilesystem(f"Btrfs inode {inode} of tree {tree}: it is not one")
        target = b""
        extents: tuple[tuple[int, int, int], ...] = ()
        if stat.S_ISLNK(mode):
            if size > _MAX_TARGET:
                raise BadFilesystem(f"Btrfs inode {inode}: a link target of {size} bytes")
            target = b"".join(self._piece(each) for each in self._extents(number, size))
        elif stat.S_ISREG(mode):
            extents = tuple(self._placed(number, size))
        special = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
        device = os.makedev(rdev >> _MINOR_BITS, rdev & (1 << _MINOR_BITS) - 1) if special else 0
        return Node(
            path=path, mode=mode, uid=uid, gid=gid, size=size, links=links, inode=number,
            mtime_ns=seconds * _SECOND_NS + rest, target=target, rdev=device,
            xattrs=tuple(sorted(xattrs)), extents=extents,
        )  # fmt: skip

    def names(self, node: Node) -> Iterator[tuple[bytes, int]]:
        if not stat.S_ISDIR(node.mode) or self._split(node.inode)[1] == _NO_SUBVOLUME:
            return
        for item in self._items(node.inode, _DIR_INDEX, _DIR_INDEX):
            for name, key, _, _ in _entries(item):
                self._window.disk.spend(_ENTRY_COST)
                yield _checked(name, node), self._led(node.inode, key)

    def _led(self, number: int, key: Key) -> int:
        """Returns the number of what a directory's entry leads to."""
        tree, _ = self._split(number)
        if key.type == _INODE_ITEM:
            return self._number(tree, key.object)
        if key.type != _ROOT_ITEM:
            raise BadFilesystem(f"Btrfs tree {tree}: an entry that leads to a key of {key.type}")
        said = self.superblock
        ref = Key(tree, _ROOT_REF, key.object)
        there = self._find(key.object)
        if there is None or self._trees.item(said.root, said.root_level, ref) is None:
            # A snapshot has the names of the subvolumes in it, but not the subvolumes.
            return self._number(tree, _NO_SUBVOLUME)
        return self._number(key.object, there.directory)

    def lookup(self, path: bytes) -> Node | None:
        node = self.node(self.root, b"")
        at = b""
        for part in (part for part in path.split(b"/") if part):
            if not stat.S_ISDIR(node.mode) or self._split(node.inode)[1] == _NO_SUBVOLUME:
                return None
            digest = crc32c()(_HASH, part) & 0xFFFFFFFF
            items = self._items(node.inode, _DIR_ITEM, _DIR_ITEM, digest)
            first = next(items, None)
            found = _entries(first) if first is not None and first.key.offset == digest else ()
            key = next((key for name, key, _, _ in found if name == part), None)
            if key is None:
                return None
            at = at + b"/" + part if at else part
            node = self.node(self._led(node.inode, key), at)
        return node

    # ------------------------------------------------------------------ data

    def _extents(self, number: int, size: int) -> Iterator[_Extent]:
        """Yields the pieces of a file that are not holes, cut off at its end."""
        _, inode = self._split(number)
        end = count = 0
        for item in self._items(number, _EXTENT, _EXTENT):
            start, raw = item.key.offset, item.data
            if len(raw) < _INLINE_HEAD:
                raise BadFilesystem(f"Btrfs inode {inode}: a piece of {len(raw)} bytes")
            unpacked, kind, encrypted, encoded, form = struct.unpack_from("<QBBHB", raw, 8)
            if encrypted or encoded:
                raise BadFilesystem(f"Btrfs inode {inode}: encrypted data, which is not read here")
            if start < end:
                raise BadFilesystem(f"Btrfs inode {inode}: pieces that overlap at {start}")
            count += 1
            if count > _MAX_EXTENTS:
                raise BadFilesystem(f"Btrfs inode {inode}: more than {_MAX_EXTENTS} pieces")
            if form == _INLINE:
                end = start + unpacked
                length = min(unpacked, size - start)
                if length > 0:
                    yield _Extent(
                        start, length, kind, unpacked, inline=raw[_INLINE_HEAD:],
                        place=item.place + _INLINE_HEAD,
                    )  # fmt: skip
                continue
            if form > _PREALLOCATED or len(raw) < _EXTENT_SIZE:
                raise BadFilesystem(f"Btrfs inode {inode}: a piece of the form {form}")
            logical, stored, offset, length = struct.unpack_from("<QQQQ", raw, _INLINE_HEAD)
            end = start + length
            if form == _PREALLOCATED or not logical:
                continue
            whole = unpacked if kind else stored
            if offset + length > whole or end > _END >> 1 or (kind and stored > LARGEST):
                raise BadFilesystem(
                    f"Btrfs inode {inode}: {length} bytes from {offset} on of {whole}"
                )
            length = min(length, size - start)
            if length > 0:
                yield _Extent(start, length, kind, unpacked, logical, stored, offset)

    def _placed(self, number: int, size: int) -> Iterator[tuple[int, int, int]]:
        """Yields where a file has data; of what is compressed, where that begins."""
        for one in self._extents(number, size):
            place = one.place
            if one.inline is None:
                at = one.logical if one.kind else one.logical + one.offset
                length = one.stored if one.kind else one.length
                place = self._trees.places(at, length)[0]
            yield one.start, place, one.length

    def data(self, node: Node) -> Iterator[tuple[int, bytes]]:
        """Yields a file's data, holes left out, once it agrees with its checksums."""
        if not stat.S_ISREG(node.mode):
            return
        verified = self._has_sums(node.inode)
        for one in self._extents(node.inode, node.size):
            if one.inline is not None or one.kind:
                yield one.start, self._piece(one, verified=verified)
                continue
            # Blocks have checksums: pieces begin at one, and are cut to what is wanted.
            block = self.block_size
            first, last = one.offset, one.offset + one.length
            for at in range(first // block * block, last, _PIECE):
                end = min(at + _PIECE, -(-last // block) * block)
                data = self._read(one.logical + at, end - at, verified=verified)
                low, high = max(at, first), min(end, last)
                yield one.start + low - first, data[low - at : high - at]

    def _has_sums(self, number: int) -> bool:
        item = next(self._items(number, _INODE_ITEM, _INODE_ITEM), None)
        if item is None or len(item.data) < _INODE:
            return False
        (flags,) = struct.unpack_from("<Q", item.data, 64)
        return not flags & _NO_SUMS

    def _piece(self, one: _Extent, *, verified: bool = False) -> bytes:
        """Returns the bytes of a piece that is inline or compressed."""
        data = one.inline
        if data is None:
            data = self._read(one.logical, one.stored, verified=verified)
        if one.kind:
            data = unpack(one.kind, data, one.unpacked, self.block_size)
        data = data[one.offset : one.offset + one.length]
        if len(data) != one.length:
            what = NAMES.get(one.kind, "inline data")
            raise BadFilesystem(f"Btrfs: a piece of {what} has {len(data)} bytes, not {one.length}")
        return data

    def _read(self, logical: int, length: int, *, verified: bool) -> bytes:
        """Returns bytes of data, whole blocks of them; of two copies the one that is sound.

        Raises:
            BadFilesystem: They do not agree with their checksums.
        """
        size = self.superblock.checksums.size
        sums = self._stored_sums(logical, length) if verified else {}
        wrong = 0
        for place in self._trees.places(logical, length):
            data = self._window.read(place, length)
            for at in range(0, length, self.block_size):
                stored = sums.get(logical + at)
                block = data[at : at + self.block_size]
                if stored and not self.superblock.checksums.holds(block, stored[:size]):
                    wrong = wrong or place + at
                    break
            else:
                return data
        raise BadFilesystem(f"Btrfs: the data at byte {wrong} does not agree with its checksum")

    def _stored_sums(self, logical: int, length: int) -> dict[int, bytes]:
        """Returns the checksums of the blocks of a range that have one."""
        checksums, block = self.superblock.checksums, self.block_size
        tree = self._find(_SUMS_TREE)
        if tree is None or not checksums.known:
            return {}
        found: dict[int, bytes] = {}
        first, last = Key(_SUMS_OBJECT, _SUMS, logical), Key(_SUMS_OBJECT, _SUMS, logical + length)
        for item in self._trees.items(tree.root, tree.level, first, last, before=True):
            if item.key[:2] != (_SUMS_OBJECT, _SUMS):
                continue
            begin = max(0, (logical - item.key.offset) // block)
            count = min(len(item.data) // checksums.size,
                        -(-(logical + length - item.key.offset) // block))  # fmt: skip
            for index in range(begin, count):
                at = index * checksums.size
                found[item.key.offset + index * block] = item.data[at : at + checksums.size]
        return found

    # ------------------------------------------------------------------ what it tells of itself

    def figures(self) -> Mapping[str, int | str]:
        shown = ("/" + self.default.decode("utf-8", "backslashreplace")) if self.default else "/"
        return {
            **super().figures(), "subvolumes": len(self.subvolumes()), "default_subvolume": shown,
            "checksums": self.superblock.checksums.name
            + ("" if self.superblock.checksums.known else " (not checked)"),
        }  # fmt: skip

    def header(self) -> Mapping[str, object]:
        names = [path.decode("utf-8", "backslashreplace") for path in self.subvolumes().values()]
        default = self.default.decode("utf-8", "backslashreplace")
        more = {"subvolumes": ", ".join(sorted(names)), "default subvolume": default}
        return {**super().header(), **more}

    def structures(self) -> Iterator[tuple[int, int, str]]:
        yield from super().structures()
        named: set[int] = set()
        root = self.lookup(b"")
        assert root is not None
        for node in walk(self, root):
            if node.inode in named:
                continue
            named.add(node.inode)
            path = "/" + node.path.decode("utf-8", "backslashreplace")
            for one in self._extents(node.inode, node.size) if stat.S_ISREG(node.mode) else ():
                if one.inline is None:
                    at = one.logical if one.kind else one.logical + one.offset
                    length = one.stored if one.kind else one.length
                    yield self._trees.places(at, length)[0], length, f"data of {path}"


def _entries(item: Item) -> Iterator[tuple[bytes, Key, int, bytes]]:
    """Yields the names of an item: name, what it leads to, type, value."""
    raw, at = item.data, 0
    while at < len(raw):
        if at + _ENTRY.size > len(raw):
            raise BadFilesystem(f"Btrfs: names of {item.key.object} that end early")
        *key, _, more, length, kind = _ENTRY.unpack_from(raw, at)
        at += _ENTRY.size
        if not length or at + length + more > len(raw):
            raise BadFilesystem(f"Btrfs: a name of {length} bytes in {item.key.object}")
        name = raw[at : at + length]
        yield name, Key(*key), kind, raw[at + length : at + length + more]
        at += length + more


def _checked(name: bytes, node: Node) -> bytes:
    if b"/" in name or b"\0" in name or name in {b".", b".."}:
        raise BadFilesystem(f"directory {node.path!r} has the name {name!r}")
    return name


def probe(window: Window) -> Btrfs | None:
    """Returns the Btrfs in a window, or None if there is none.

    One on several devices is told by its superblock alone.

    Raises:
        BadFilesystem: It is there, and damaged.
    """
    if window.size < AT + SIZE or window.read(AT + MAGIC_AT, 8) != MAGIC:
        return None
    superblock = Superblock(window)
    return (Btrfs if superblock.devices > 1 else BtrfsFilesystem)(window, superblock)
