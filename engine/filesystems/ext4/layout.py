"""Decides where everything of a manifest lies in a file system, and writes all but the data.

One pass in manifest order. Inode numbers rise with it. Blocks of directories, long symlinks and
extended attributes come first, as many as `measure` counts; behind them the files follow one
another, each with the blocks of its own map after it.
"""

from __future__ import annotations

import stat
import struct
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from engine.filesystems.ext4 import attributes
from engine.filesystems.ext4.allocator import Allocator, OutOfBlocks
from engine.filesystems.ext4.blockmap import (
    EMPTY_TREE,
    extent_tree,
    indirect_map,
    single_extent,
)
from engine.filesystems.ext4.dirblock import FILE_TYPES, DirectoryWriter, name_of, record
from engine.filesystems.ext4.directory import shape
from engine.filesystems.ext4.extents import MAX_EXTENT, runs
from engine.filesystems.ext4.format import (
    BLOCK_SIZE,
    FAST_SYMLINK,
    FIRST_INODE,
    LOST_FOUND,
    MAX_LINKS,
    ROOT_INODE,
)
from engine.filesystems.ext4.inode import EXTENTS_FLAG, INDEX_FLAG, InodePacker, device_map
from engine.filesystems.ext4.inodetable import InodeTable
from engine.filesystems.ext4.measure import Need
from engine.filesystems.ext4.native import Bookkeeping, Range, crc32c, name_hash
from engine.filesystems.ext4.superblock import Superblock
from engine.filesystems.ext4.xattr import DiskAttribute, place
from engine.filesystems.placed import Piece, Place
from engine.filesystems.populate import Cancelled, PopulateFailed, refuse
from engine.filesystems.sink import Sink
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest

Placed = Callable[[Entry, Place | None], None]
"""Called with a regular file, and with its place where it has data."""

_Mapped = tuple[bytes, int, int]
"""`i_block`, blocks in use and inode flags."""

_SECTORS = BLOCK_SIZE // 512
_CHECK_EVERY = 1024
_TYPE = 0o170000
_NO_MAP = bytes(60)


class _Directory:
    """A directory whose names are still coming."""

    __slots__ = ("directories", "entry", "existing", "number", "parent", "path", "records")

    def __init__(self, entry: Entry, number: int, parent: int) -> None:
        self.entry = entry
        self.path = entry.path
        self.number = number
        self.parent = parent
        self.existing: list[Piece] = []
        self.records: list[bytes] = []
        self.directories = 0


class Layout:
    """Fills the metadata of one empty file system.

    Attributes:
        map_blocks: Blocks that maps took outside the inodes.
    """

    def __init__(
        self,
        manifest: Manifest,
        need: Need,
        superblock: Superblock,
        books: Bookkeeping,
        sink: Sink,
        table: InodeTable,
        packer: InodePacker,
    ) -> None:
        """Reserves what the manifest needs.

        Raises:
            PopulateFailed: There are too few blocks or inodes.
        """
        self._manifest = manifest
        self._ext = superblock.format
        self._seed = superblock.checksum_seed
        self._books = books
        self._sink = sink
        self._table = table
        self._packer = packer
        self._directories = DirectoryWriter(
            self._ext,
            superblock.stored_hash_version,
            name_hash(superblock.hash_version, superblock.hash_seed),
        )
        self._blocks = Allocator(books.free_blocks(superblock.first_block, superblock.blocks))
        _enough("blocks", need.blocks, self._blocks.left)
        self._early = Allocator(
            self._blocks.take(need.blocks - need.data_blocks - need.extent_blocks)
        )
        free_inodes = list(books.free_inodes(superblock.inodes + 1))
        _enough("inodes", need.inodes, sum(count for _, count in free_inodes))
        numbers = list(_first(free_inodes, need.inodes))
        self._inodes = [range(first, first + count) for first, count in numbers]
        self._numbers = chain.from_iterable(self._inodes)
        kept = [(ROOT_INODE, 1)]
        if manifest.get(LOST_FOUND) is not None:
            kept.append((FIRST_INODE, 1))
        table.expect([*kept, *numbers])
        self._links = Counter(id(entry.link_to) for entry in manifest if entry.link_to is not None)
        self._shared: dict[int, int] = {}
        self._opened: list[int] = []
        self._placed: Placed = lambda entry, place: None
        self.map_blocks = 0

    def write(self, placed: Placed, cancelled: Callable[[], bool]) -> None:
        """Walks the manifest, writes its metadata and marks in the bitmaps what it uses.

        Args:
            placed: Called with each regular file, under its first name, in manifest order.
            cancelled: Asked several times a second.

        Raises:
            PopulateFailed: The file system is too small for the maps of its files.
            Cancelled: `cancelled` said so.
            OSError: Writing the image failed.
        """
        self._placed = placed
        entries = iter(self._manifest)
        entry = next(entries)
        stack = [_Directory(entry, ROOT_INODE, ROOT_INODE)]
        holder = stack[0]
        try:
            for index, entry in enumerate(entries):
                if not index % _CHECK_EVERY and cancelled():
                    raise Cancelled
                parent, _, name = entry.path.rpartition(b"/")
                while holder.path != parent:
                    self._close(stack.pop())
                    holder = stack[-1]
                kind = entry.mode & _TYPE
                if entry.link_to is not None:
                    number = self._shared[id(entry.link_to)]
                elif kind == stat.S_IFDIR:
                    number = self._open(entry, holder, stack)
                else:
                    number = self._file(entry, kind)
                holder.records.append(record(number, name, FILE_TYPES[kind]))
                holder = stack[-1]
            while stack:
                self._close(stack.pop())
        except OutOfBlocks as error:
            raise refuse(entry, f"the file system is full: {error}") from error
        assert not self._early.left, "measure counted other blocks than were laid out"
        for first, count in self._blocks.taken():
            self._books.use_blocks(first, count)
        opened = set(self._opened)
        others = (number for number in chain.from_iterable(self._inodes) if number not in opened)
        self._books.use_inodes(others, directories=False)
        self._books.use_inodes(self._opened, directories=True)

    def _open(self, entry: Entry, holder: _Directory, stack: list[_Directory]) -> int:
        """Begins a directory below another; returns its inode's number."""
        holder.directories += 1
        if entry.path == LOST_FOUND:
            number = FIRST_INODE
        else:
            number = next(self._numbers)
            self._opened.append(number)
        stack.append(_Directory(entry, number, holder.number))
        return number

    def _file(self, entry: Entry, kind: int) -> int:
        """Writes the inode of anything but a directory; returns its number."""
        number = next(self._numbers)
        names = 1
        if id(entry) in self._links:
            self._shared[id(entry)] = number
            names += self._links[id(entry)]
        if kind == stat.S_IFREG:
            block_map, used, flags = self._place(entry, number)
            if names == 1 and flags == EXTENTS_FLAG and not entry.xattrs:  # most files
                self._table.put(
                    number,
                    self._packer.file(
                        number, entry.mode, entry.uid, entry.gid, entry.size, entry.mtime_ns,
                        used * _SECTORS, block_map,
                    ),
                )  # fmt: skip
            else:
                self._put(entry, number, entry.size, names, block_map, used, flags)
        elif kind == stat.S_IFLNK:
            self._put(entry, number, len(entry.target), names, *self._symlink(entry))
        else:
            block_map = device_map(entry.rdev) if entry.rdev else _NO_MAP
            self._put(entry, number, 0, names, block_map, 0, 0)
        return number

    def _place(self, entry: Entry, number: int) -> _Mapped:
        """Places a file's data; returns map, blocks in use and flags."""
        if entry.extents is None and self._ext.extents:
            count = -(-entry.size // BLOCK_SIZE)
            if not count:
                self._placed(entry, None)
                return EMPTY_TREE, 0, EXTENTS_FLAG
            first = self._blocks.take_run(count) if count <= MAX_EXTENT else 0
            if first:
                self._placed(entry, first)
                return single_extent(first, count), count, EXTENTS_FLAG
        pieces: list[Piece] = []
        for logical, count in runs(entry.size, entry.extents):
            pieces += _pieces(logical, self._blocks.take(count))
        self._placed(entry, pieces)
        return self._map(number, pieces)

    def _symlink(self, entry: Entry) -> _Mapped:
        target = entry.target
        if len(target) < FAST_SYMLINK:
            return target, 0, 0
        block = self._early.take_numbers(1)[0]
        self._sink.write_blocks(block, target.ljust(BLOCK_SIZE, b"\0"))
        return self._map(0, [(0, block, 1)])

    def _map(self, number: int, pieces: list[Piece]) -> _Mapped:
        """Writes the map of an inode's blocks; returns it as `_place` does."""
        used = sum(count for _, _, count in pieces)
        if self._ext.extents and len(pieces) == 1 and used <= MAX_EXTENT and not pieces[0][0]:
            return single_extent(pieces[0][1], used), used, EXTENTS_FLAG
        if self._ext.extents:
            checksum = self._checksum(number)
            block_map, outside = extent_tree(pieces, self._blocks.take_numbers, checksum)
        else:
            block_map, outside = indirect_map(pieces, self._blocks.take_numbers)
        for block, data in outside:
            self._sink.write_blocks(block, data)
        self.map_blocks += len(outside)
        return block_map, used + len(outside), EXTENTS_FLAG if self._ext.extents else 0

    def _close(self, directory: _Directory) -> None:
        """Writes a directory whose names have all come."""
        records, entry, number = directory.records, directory.entry, directory.number
        there: list[Piece] = []
        if number in (ROOT_INODE, FIRST_INODE):
            there = self._table.pieces(number)
        if number == ROOT_INODE:
            directory.directories += _with_lost_found(records)
        lengths = [len(each) for each in records]
        existing = sum(count for _, _, count in there)
        packed = shape(sum(lengths), max(lengths, default=0), self._ext, minimum=existing or 1)
        data = self._directories.blocks(
            packed, number, directory.parent, records, self._checksum(number)
        )
        pieces = there + _pieces(existing, self._early.take(packed.blocks - existing))
        view = memoryview(data)
        for logical, block, count in pieces:
            at = logical * BLOCK_SIZE
            self._sink.write_blocks(block, view[at : at + count * BLOCK_SIZE])
        links = 2 + directory.directories
        block_map, used, flags = self._map(number, pieces)
        self._put(
            entry, number, len(data), links if links <= MAX_LINKS else 1,
            block_map, used, flags | (INDEX_FLAG if packed.indexed else 0),
        )  # fmt: skip

    def _put(
        self, entry: Entry, number: int, size: int, links: int,
        block_map: bytes, used: int, flags: int,
    ) -> None:  # fmt: skip
        """Writes an inode and the attributes that do not fit into it."""
        area, outside = b"", 0
        if entry.xattrs:
            placement = place(entry.xattrs)
            area = attributes.inode_area(placement.inode)
            if placement.block:
                outside = self._early.take_numbers(1)[0]
                used += 1
                self._write_attributes(outside, placement.block)
        self._table.put(
            number,
            self._packer.pack(
                number, entry.mode, entry.uid, entry.gid, size, entry.mtime_ns, links,
                used * _SECTORS, flags, block_map, outside, area,
            ),
        )  # fmt: skip

    def _write_attributes(self, number: int, outside: Sequence[DiskAttribute]) -> None:
        block = attributes.block(outside)
        if self._ext.checksums:
            seed = crc32c(self._seed, struct.pack("<Q", number))
            attributes.set_checksum(block, crc32c(seed, bytes(block)))
        self._sink.write_blocks(number, block)

    def _checksum(self, number: int) -> Callable[[bytes], int]:
        """Returns the checksum function of what belongs to an inode."""
        seed = crc32c(self._seed, struct.pack("<II", number, 0)) if self._ext.checksums else 0
        return lambda data: crc32c(seed, data)


def _pieces(logical: int, taken: Sequence[Range]) -> list[Piece]:
    """Returns runs of blocks as the pieces of a file from a logical block on."""
    pieces = []
    for first, count in taken:
        pieces.append((logical, first, count))
        logical += count
    return pieces


def _first(runs: Iterable[Range], wanted: int) -> Iterator[Range]:
    """Yields the beginning of runs of numbers, so many in all."""
    for first, count in runs:
        if not wanted:
            return
        length = min(count, wanted)
        yield first, length
        wanted -= length


def _with_lost_found(records: list[bytes]) -> int:
    """Adds lost+found to the root's records in its place; returns 0 if it was there."""
    at = bisect_left(records, LOST_FOUND, key=name_of)
    if at < len(records) and name_of(records[at]) == LOST_FOUND:
        return 0
    records.insert(at, record(FIRST_INODE, LOST_FOUND, FILE_TYPES[stat.S_IFDIR]))
    return 1


def _enough(what: str, needed: int, available: int) -> None:
    if needed > available:
        raise PopulateFailed(
            f"the file system is too small: {needed} {what} needed, {available} available"
        )
