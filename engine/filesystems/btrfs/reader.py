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

from engine.filesystems.btrfs.reader_data import INODE, INODE_ITEM, FileData
from engine.filesystems.btrfs.reader_forest import END, ROOT_ITEM, TOP, Forest
from engine.filesystems.btrfs.reader_room import Room, between, joined
from engine.filesystems.btrfs.reader_superblock import AT, COPIES, MAGIC, MAGIC_AT, SIZE, Superblock
from engine.filesystems.btrfs.reader_tree import Item, Key
from engine.filesystems.crc32c import crc32c
from engine.image.reading import BadFilesystem, Node, Numbered, Window, walk
from engine.units import in_bytes

_XATTR, _DIR_ITEM, _DIR_INDEX = 24, 84, 96
_ROOT_BACKREF, _ROOT_REF = 144, 156
_ROOTS, _FIRST, _LAST = 6, 256, (1 << 64) - 256
"""Ids: the directory of roots, those between which subvolumes have theirs."""
_NO_SUBVOLUME = 2
"""What the kernel numbers a directory that stands for a subvolume of another tree."""
_ENTRY = struct.Struct("<QBQQHHB")
_RESERVED = 1 << 20
"""Bytes at the beginning that are left to boot loaders (BTRFS_DEVICE_RANGE_RESERVED)."""
_MAX_TARGET = 4096
_MAX_SUBVOLUMES = 1 << 16
_DEEPEST_NAME = 64
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
        """See `Described.unused`: of several devices it is not known."""
        return iter(())


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
        self._forest = Forest(window, superblock)
        self._files = FileData(window, superblock, self._forest)
        self._room = Room(superblock, self._forest)
        self.stale = "its log has not been replayed" if superblock.log else ""
        self.root = self._forest.tree(TOP).directory
        self._names: dict[int, bytes] | None = None

    # ------------------------------------------------------------------ subvolumes

    def _subvolume_ids(self) -> dict[int, tuple[int, int, bytes]]:
        """Returns parent, directory there and name of each subvolume, by its id."""
        said = self.superblock
        found: dict[int, tuple[int, int, bytes]] = {}
        first, last = Key(_FIRST, 0, 0), Key(_LAST, 0, 0)
        for item in self._forest.nodes.items(said.root, said.root_level, first, last):
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
                while at != TOP:
                    if at not in ids or len(parts) > _DEEPEST_NAME:
                        raise BadFilesystem(f"Btrfs subvolume {tree}: nothing there holds it")
                    at, directory, name = ids[at]
                    parts.append(name)
                    parts += self._above(at, directory)
                self._names[tree] = b"/".join(reversed(parts))
        return self._names

    def _above(self, tree: int, directory: int) -> Iterator[bytes]:
        """Yields the names from a directory up to the top of its subvolume."""
        top = self._forest.tree(tree).directory
        for _ in range(_DEEPEST_NAME):
            if directory == top:
                return
            ref = next(self._forest.items(self._forest.number(tree, directory), 12, 12), None)
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
        first, last = Key(_ROOTS, _DIR_ITEM, 0), Key(_ROOTS, _DIR_ITEM, END)
        for item in self._forest.nodes.items(said.root, said.root_level, first, last):
            for name, number, _, _ in _entries(item):
                if name == b"default" and number.object != TOP:
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
        tree, inode = self._forest.split(number)
        if inode == _NO_SUBVOLUME:
            return Node(path=path, mode=stat.S_IFDIR | 0o755, inode=number)
        raw = b""
        xattrs: list[tuple[bytes, bytes]] = []
        for item in self._forest.items(number, INODE_ITEM, _XATTR):
            if item.key.type == INODE_ITEM:
                raw = item.data
            elif item.key.type == _XATTR:
                xattrs += ((name, value) for name, _, _, value in _entries(item))
        if len(raw) < INODE:
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
                raise BadFilesystem(f"Btrfs inode {inode}: a link target of {in_bytes(size)}")
            target = b"".join(self._files.piece(each) for each in self._files.extents(number, size))
        elif stat.S_ISREG(mode):
            extents = tuple(self._files.placed(number, size))
        special = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
        device = os.makedev(rdev >> _MINOR_BITS, rdev & (1 << _MINOR_BITS) - 1) if special else 0
        return Node(
            path=path, mode=mode, uid=uid, gid=gid, size=size, links=links, inode=number,
            mtime_ns=seconds * _SECOND_NS + rest, target=target, rdev=device,
            xattrs=tuple(sorted(xattrs)), extents=extents,
        )  # fmt: skip

    def names(self, node: Node) -> Iterator[tuple[bytes, int]]:
        if not stat.S_ISDIR(node.mode) or self._forest.split(node.inode)[1] == _NO_SUBVOLUME:
            return
        for item in self._forest.items(node.inode, _DIR_INDEX, _DIR_INDEX):
            for name, key, _, _ in _entries(item):
                self._window.disk.spend(_ENTRY_COST)
                yield _checked(name, node), self._led(node.inode, key)

    def _led(self, number: int, key: Key) -> int:
        """Returns the number of what a directory's entry leads to."""
        tree, _ = self._forest.split(number)
        if key.type == INODE_ITEM:
            return self._forest.number(tree, key.object)
        if key.type != ROOT_ITEM:
            raise BadFilesystem(f"Btrfs tree {tree}: an entry that leads to a key of {key.type}")
        said = self.superblock
        ref = Key(tree, _ROOT_REF, key.object)
        there = self._forest.find(key.object)
        if there is None or self._forest.nodes.item(said.root, said.root_level, ref) is None:
            # A snapshot has the names of the subvolumes in it, but not the subvolumes.
            return self._forest.number(tree, _NO_SUBVOLUME)
        return self._forest.number(key.object, there.directory)

    def lookup(self, path: bytes) -> Node | None:
        node = self.node(self.root, b"")
        at = b""
        for part in (part for part in path.split(b"/") if part):
            if not stat.S_ISDIR(node.mode) or self._forest.split(node.inode)[1] == _NO_SUBVOLUME:
                return None
            digest = crc32c()(_HASH, part) & 0xFFFFFFFF
            items = self._forest.items(node.inode, _DIR_ITEM, _DIR_ITEM, digest)
            first = next(items, None)
            found = _entries(first) if first is not None and first.key.offset == digest else ()
            key = next((key for name, key, _, _ in found if name == part), None)
            if key is None:
                return None
            at = at + b"/" + part if at else part
            node = self.node(self._led(node.inode, key), at)
        return node

    def data(self, node: Node) -> Iterator[tuple[int, bytes]]:
        return self._files.data(node)

    # ------------------------------------------------------------------ what it tells of itself

    def figures(self) -> Mapping[str, int | str]:
        shown = ("/" + self.default.decode("utf-8", "backslashreplace")) if self.default else "/"
        return {
            **super().figures(), **self._room.figures(),
            "subvolumes": len(self.subvolumes()), "default_subvolume": shown,
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
        yield 0, AT, "room for a boot loader"
        named: set[int] = set()
        pieces: list[tuple[int, int]] = []
        root = self.lookup(b"")
        assert root is not None
        for node in walk(self, root):
            if node.inode in named or not stat.S_ISREG(node.mode):
                continue
            named.add(node.inode)
            path = "/" + node.path.decode("utf-8", "backslashreplace")
            for one in self._files.extents(node.inode, node.size):
                if one.inline is None:
                    pieces.append(self._files.lies(one))
                    yield *pieces[-1], f"data of {path}"
        pieces = list(joined(pieces))
        for taken in self._room.taken():
            for place in self._room.places(taken):
                if taken.what:
                    yield place, taken.length, taken.what
                    continue
                # Part of an extent may belong to no file: kept ready, or written anew elsewhere.
                for start, length in between(pieces, place, place + taken.length):
                    yield start, length, "room of files without data of theirs"

    def unused(self) -> Iterator[tuple[int, int]]:
        """See `Described.unused`: what no extent takes, of chunks and behind them.

        With a log that is not replayed it is not known, for what that holds has no extents yet.
        """
        if self.stale:
            return
        taken = [(0, _RESERVED)]
        taken += ((at, SIZE) for at in COPIES if at + SIZE <= self.room)
        for one in self._room.taken():
            taken += ((place, one.length) for place in self._room.places(one))
        yield from between(list(joined(taken)), 0, self.room)


def _entries(item: Item) -> Iterator[tuple[bytes, Key, int, bytes]]:
    """Yields the names of an item: name, what it leads to, type, value."""
    raw, at = item.data, 0
    while at < len(raw):
        if at + _ENTRY.size > len(raw):
            raise BadFilesystem(f"Btrfs: names of {item.key.object} that end early")
        *key, _, more, length, kind = _ENTRY.unpack_from(raw, at)
        at += _ENTRY.size
        if not length or at + length + more > len(raw):
            raise BadFilesystem(f"Btrfs: a name of {in_bytes(length)} in {item.key.object}")
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
