"""Where everything of a manifest goes in an EROFS: pure arithmetic, before the first byte.

The order on disk: superblock; inodes, each with its attributes, its index of chunks and the last
part of its data behind it; the other blocks of directories and symlinks; those of files.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from engine.filesystems.erofs import format as erofs
from engine.filesystems.erofs.chunks import Chunks, block_runs, chunks
from engine.filesystems.erofs.format import BLOCK_SIZE, INODE_SIZE, SLOT
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from engine.units import in_bytes

_SLOTS = BLOCK_SIZE // SLOT
_ROOT = Entry(b"", stat.S_IFDIR | 0o755)
"""The root directory of contents that have none."""
_MAX_MAJOR, _MAX_MINOR = 0xFFF, 0xFFFFF


@dataclass(slots=True)
class Inode:
    """One inode and the places of its data.

    Attributes:
        entry: Its first name.
        number: Counted from 1.
        at: Byte where it begins.
        links: Its names.
        xattr_bytes: Of its attributes, behind it.
        size: Bytes of its data.
        block: First block of its data, or 0.
        tail: Byte where the last part of its data lies, behind the inode, or 0.
        chunks: How its data is cut, if it has holes.
        names: Of a directory: what is in it.
    """

    entry: Entry
    number: int
    at: int = 0
    links: int = 1
    xattr_bytes: int = 0
    size: int = 0
    block: int = 0
    tail: int = 0
    chunks: Chunks | None = None
    names: list[tuple[bytes, Inode]] = field(default_factory=list)

    @property
    def head(self) -> int:
        """Bytes of inode, attributes and index."""
        index = self.chunks.index_bytes if self.chunks else 0
        return INODE_SIZE + self.xattr_bytes + index

    @property
    def blocks(self) -> int:
        """Blocks of data outside the inode's own."""
        if self.chunks is not None:
            return self.chunks.stored
        return self.size // BLOCK_SIZE if self.tail else -(-self.size // BLOCK_SIZE)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything goes.

    Attributes:
        inodes: The root's first; the others in manifest order.
        blocks: Blocks of the file system.
        data_bytes: Bytes of the regular files, holes left out.
        refused: Entries that the format cannot hold, and why.
    """

    inodes: list[Inode]
    blocks: int
    data_bytes: int
    refused: tuple[tuple[Entry, str], ...]

    @property
    def size(self) -> int:
        """Bytes of the file system."""
        return self.blocks * BLOCK_SIZE

    @property
    def chunked(self) -> bool:
        """Whether a file has holes."""
        return any(inode.chunks for inode in self.inodes)


_known: WeakKeyDictionary[Manifest, Layout] = WeakKeyDictionary()


def layout(manifest: Manifest) -> Layout:
    """Returns the layout of a manifest; computed once for each."""
    if manifest not in _known:
        _known[manifest] = _lay_out(manifest)
    return _known[manifest]


def names_of(inode: Inode, parent: Inode) -> list[tuple[bytes, Inode]]:
    """Returns the names of a directory by byte, `.` and `..` among them."""
    return sorted([(b".", inode), (b"..", parent), *inode.names], key=lambda pair: pair[0])


def _lay_out(manifest: Manifest) -> Layout:
    inodes = _inodes(manifest)
    refused = tuple(
        (inode.entry, reason) for inode in inodes if (reason := _trouble(inode.entry))
    ) + tuple(
        (entry, _too_long(entry.name)) for entry in manifest if len(entry.name) > erofs.MAX_NAME
    )  # fmt: skip
    room = _Room(erofs.FIRST_INODE_AT)
    data = 0
    for inode in inodes:
        data += _measure(inode)
        _place(inode, room)
    block = -(-room.end // BLOCK_SIZE)
    for regular in (False, True):
        for inode in inodes:
            if inode.entry.is_regular == regular and (count := inode.blocks):
                inode.block = block
                block += count
    return Layout(inodes, block, data, refused)


def _inodes(manifest: Manifest) -> list[Inode]:
    """Returns the inodes with their numbers, names and links."""
    inodes: list[Inode] = []
    folders: dict[bytes, Inode] = {}
    others: dict[int, Inode] = {}
    for entry in manifest.entries or (_ROOT,):
        if entry.link_to is not None:
            inode = others[id(entry.link_to)]
            inode.links += 1
        else:
            inode = Inode(entry, len(inodes) + 1)
            inodes.append(inode)
            others[id(entry)] = inode
            if entry.is_directory:
                inode.links = 2
                folders[entry.path] = inode
        if entry.path:
            parent = folders[entry.parent]
            parent.names.append((entry.name, inode))
            parent.links += entry.is_directory
    return inodes


def _measure(inode: Inode) -> int:
    """Sets an inode's sizes; returns the bytes of file data that it has."""
    entry = inode.entry
    inode.xattr_bytes = erofs.xattr_bytes(entry.xattrs)
    if entry.is_directory:
        inode.size = erofs.directory_bytes([len(name) for name, _ in names_of(inode, inode)])
        return 0
    inode.size = len(entry.target) if entry.is_symlink else entry.size
    if not entry.is_regular:
        return 0
    if entry.extents is None:
        return entry.size
    stored = sum(count for _, count in block_runs(entry.extents))
    if stored < -(-entry.size // BLOCK_SIZE):
        inode.chunks = chunks(entry.size, entry.extents)
    return sum(length for _, length in entry.extents)


def _place(inode: Inode, room: _Room) -> None:
    """Gives an inode its place, with the last part of its data where that fits the block."""
    tail = 0 if inode.chunks is not None else inode.size % BLOCK_SIZE
    if tail and inode.head + tail <= BLOCK_SIZE:
        inode.at = room.take(inode.head + tail)
        inode.tail = inode.at + inode.head
    else:
        inode.at = room.take(inode.head)


class _Room:
    """The area of inodes: what fits a block lies within one, gaps are filled later."""

    def __init__(self, start: int) -> None:
        self.end = start
        self._gaps: list[list[int]] = [[] for _ in range(_SLOTS + 1)]
        self._there = 0
        """Bit n: there is a gap of n slots."""

    def take(self, size: int) -> int:
        """Returns the first byte of a place: the smallest gap that is large enough, or the end."""
        slots = -(-size // SLOT)
        if slots <= _SLOTS and (larger := self._there >> slots):
            found = slots + (larger & -larger).bit_length() - 1
            at = self._gaps[found].pop()
            if not self._gaps[found]:
                self._there ^= 1 << found
            self._give(at + slots * SLOT, found - slots)
            return at
        left = -self.end % BLOCK_SIZE // SLOT
        if left < slots:
            self._give(self.end, left)
            self.end += left * SLOT
        at = self.end
        self.end += slots * SLOT
        return at

    def _give(self, at: int, slots: int) -> None:
        if slots:
            self._gaps[slots].append(at)
            self._there |= 1 << slots


def _trouble(entry: Entry) -> str:
    """Returns why the format cannot hold an inode, or ""."""
    if entry.is_symlink and len(entry.target) > erofs.MAX_TARGET:
        return f"a link target of {in_bytes(len(entry.target))}, {erofs.MAX_TARGET:,} at most"
    if stat.S_ISCHR(entry.mode) or stat.S_ISBLK(entry.mode):
        major, minor = os.major(entry.rdev), os.minor(entry.rdev)
        if major > _MAX_MAJOR or minor > _MAX_MINOR:
            return f"the device {major}:{minor}, {_MAX_MAJOR}:{_MAX_MINOR} at most"
    return erofs.xattr_trouble(entry.xattrs) if entry.xattrs else ""


def _too_long(name: bytes) -> str:
    return f"a name of {in_bytes(len(name))}, {erofs.MAX_NAME:,} at most"


def directories(plan: Layout) -> Iterator[tuple[Inode, Inode]]:
    """Yields every directory and its parent; the root is its own."""
    root = plan.inodes[0]
    yield root, root
    for inode in plan.inodes:
        for _, child in inode.names:
            if child.entry.is_directory:
                yield child, inode
