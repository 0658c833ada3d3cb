"""Counts the blocks and inodes that a manifest takes, as the writer allocates them.

Every figure comes from the same functions that the writer lays things out with
(`directory`, `extents`, `xattr`). Files are written one after the other, each at the
next free blocks; only a file that meets the file system's own metadata on its way is broken in
two, which may deepen its extent tree. `Need.breakable_blocks` bounds that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from weakref import WeakKeyDictionary

from engine.filesystems.ext4.directory import DirectoryTooLarge, record_length, shape
from engine.filesystems.ext4.extents import extent_count, indirect_blocks, runs, tree_blocks
from engine.filesystems.ext4.format import (
    BLOCK_SIZE,
    EXT4,
    FAST_SYMLINK,
    LOST_FOUND,
    LOST_FOUND_BLOCKS,
    MAX_NAME,
    ExtFormat,
)
from engine.filesystems.ext4.xattr import place
from engine.filesystems.patching import Changes
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from engine.units import in_bytes

_UNBROKEN_BLOCKS = 24_576
"""A run of this many blocks or fewer meets metadata at most three times: where a group with a
backup starts, where a run of bitmaps and inode tables starts, and at the journal."""

_SMALL = BLOCK_SIZE * 12
"""Bytes of a file whose blocks need no map outside the inode in any format."""

_TYPE, _REGULAR, _DIRECTORY, _SYMLINK = 0o170000, 0o100000, 0o040000, 0o120000


@dataclass(frozen=True, slots=True)
class Unwritable:
    """An entry that the format cannot hold, and why (a sentence with the numbers)."""

    entry: Entry
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a manifest takes from an empty file system. Blocks are of `BLOCK_SIZE` bytes.

    The root directory's inode and first block, and lost+found, belong to the geometry.

    Attributes:
        inodes: Inodes beside those that mke2fs uses.
        data_blocks: Data of regular files; holes take none.
        directory_blocks: Blocks of names and htree indexes.
        extent_blocks: Extent trees (ext2, ext3: indirect blocks).
        breakable_blocks: Upper bound of what extent trees grow by when files meet metadata.
        xattr_blocks: Blocks of extended attributes that do not fit their inodes.
        symlink_blocks: Targets of `FAST_SYMLINK` bytes and more.
        data_bytes: Bytes of the regular files, holes left out.
        unwritable: What the writer will refuse.
    """

    inodes: int = 0
    data_blocks: int = 0
    directory_blocks: int = 0
    extent_blocks: int = 0
    breakable_blocks: int = 0
    xattr_blocks: int = 0
    symlink_blocks: int = 0
    data_bytes: int = 0
    unwritable: tuple[Unwritable, ...] = ()

    @property
    def blocks(self) -> int:
        """Blocks that are taken whatever the geometry (without `breakable_blocks`)."""
        return (
            self.data_blocks
            + self.directory_blocks
            + self.extent_blocks
            + self.xattr_blocks
            + self.symlink_blocks
        )


FIGURES = tuple(one.name for one in fields(Need) if one.name != "unwritable")
"""Names of all that is counted."""

_measured: WeakKeyDictionary[Manifest, dict[str, Need]] = WeakKeyDictionary()


def measure(manifest: Manifest, ext: ExtFormat = EXT4) -> Need:
    """Returns what a manifest takes; computed once for each manifest and format."""
    by_format = _measured.setdefault(manifest, {})
    if ext.name not in by_format:
        by_format[ext.name] = _Tally(ext).of(manifest.entries)
    return by_format[ext.name]


def measured(manifest: Manifest) -> dict[str, Need]:
    """Returns what was measured of a manifest so far, by format; more may be put in."""
    return _measured.setdefault(manifest, {})


def adjusted(need: Need, ext: ExtFormat, manifest: Manifest, changes: Changes) -> Need:
    """Returns what a manifest takes once some of its entries are others.

    What others take is counted on both sides where it is needed for the names in a directory.

    Args:
        need: Before, when nothing was unwritable.
        ext: The format.
        manifest: The entries as they are.
        changes: What is not as it was.
    """
    come = {one.path: one for one in changes.come}
    gone = {one.path: one for one in changes.gone}
    after = {new.path: new for _, new in changes.changed} | come
    for path in {one.parent for one in (*come.values(), *gone.values()) if one.path}:
        there = manifest.get(path)
        if there is not None:
            after |= {path: there} | {one.path: one for one in manifest.within(path)}
    before = {path: one for path, one in after.items() if path not in come}
    before |= {old.path: old for old, _ in changes.changed} | gone
    was, now = _Tally(ext).of(before.values()), _Tally(ext).of(after.values())
    sums = {one: getattr(need, one) + getattr(now, one) - getattr(was, one) for one in FIGURES}
    return Need(**sums, unwritable=now.unwritable)


class _Tally:
    """The sums while a manifest is walked."""

    def __init__(self, ext: ExtFormat) -> None:
        self.ext = ext
        self.inodes = self.data = self.mapping = self.breakable = self.bytes = 0
        self.symlinks = self.xattrs = 0
        self.directories: dict[bytes, Entry] = {}
        # By path of the directory: the sum of its records' lengths, and the greatest.
        self.records: dict[bytes, list[int]] = {b"": [record_length(len(LOST_FOUND))] * 2}
        self.links: dict[int, int] = {}
        self.unwritable: list[Unwritable] = []

    def of(self, entries: Iterable[Entry]) -> Need:
        """Counts entries, a directory with what is in it or without."""
        above, records = b"", self.records[b""]
        inodes = blocks = size_of_all = 0
        for entry in entries:
            path = entry.path
            parent, _, name = path.rpartition(b"/")
            if parent != above:
                above, records = parent, self.records.setdefault(parent, [0, 0])
            if path and path != LOST_FOUND:
                length = len(name) + 11 & ~3  # `record_length`
                records[0] += length
                if length > records[1]:
                    records[1] = length
                if len(name) > MAX_NAME:
                    self._refuse(entry, f"a name of {in_bytes(len(name))}, {MAX_NAME:,} at most")
            elif path and not entry.is_directory:
                self._refuse(entry, "e2fsck needs a directory of this name")
            size = entry.size
            if entry.link_to is not None:
                self._link(entry, entry.link_to)
            elif (
                entry.mode & _TYPE == _REGULAR
                and size <= _SMALL
                and entry.extents is None
                and not entry.xattrs
                and path != LOST_FOUND
            ):  # most files: no map outside the inode
                inodes += 1
                blocks += -(-size // BLOCK_SIZE)
                size_of_all += size
            else:
                self._inode(entry)
        self.inodes += inodes
        self.data += blocks
        self.bytes += size_of_all
        return Need(
            inodes=self.inodes,
            data_blocks=self.data,
            directory_blocks=self._directory_blocks(),
            extent_blocks=self.mapping,
            breakable_blocks=self.breakable,
            xattr_blocks=self.xattrs,
            symlink_blocks=self.symlinks,
            data_bytes=self.bytes,
            unwritable=tuple(self.unwritable),
        )

    def _inode(self, entry: Entry) -> None:
        if entry.path and entry.path != LOST_FOUND:
            self.inodes += 1
        if entry.xattrs:
            self._attributes(entry)
        kind = entry.mode & _TYPE
        if kind == _REGULAR:
            self._file(entry)
        elif kind == _DIRECTORY:
            self.directories[entry.path] = entry
        elif kind == _SYMLINK and len(entry.target) >= FAST_SYMLINK:
            self.symlinks += 1
            if len(entry.target) >= BLOCK_SIZE:
                self._refuse(entry, f"a link target of {in_bytes(len(entry.target))}, "
                             f"{BLOCK_SIZE - 1:,} at most")  # fmt: skip

    def _link(self, entry: Entry, first: Entry) -> None:
        links = self.links.get(id(first), 1) + 1
        self.links[id(first)] = links
        if links == self.ext.max_links + 1:
            self._refuse(entry, f"more than {self.ext.max_links} names of one file")

    def _attributes(self, entry: Entry) -> None:
        placement = place(entry.xattrs)
        if placement.block:
            self.xattrs += 1
            if not placement.fits:
                self._refuse(entry, "extended attributes larger than a block")

    def _file(self, entry: Entry) -> None:
        size, ranges = entry.size, entry.extents
        if ranges is None and size <= _SMALL:
            self.data += -(-size // BLOCK_SIZE)
            self.bytes += size
            return
        pieces = runs(size, ranges)
        blocks = sum(count for _, count in pieces)
        self.data += blocks
        self.bytes += size if ranges is None else sum(length for _, length in ranges)
        if size > self.ext.max_file_bytes:
            self._refuse(entry, f"{in_bytes(size)}, {self.ext.max_file_bytes:,} at most")
        if not self.ext.extents:
            self.mapping += indirect_blocks(pieces)
            return
        extents = extent_count(pieces)
        tree = tree_blocks(extents)
        breaks = min(blocks - len(pieces), 3 + blocks // _UNBROKEN_BLOCKS)
        self.mapping += tree
        self.breakable += tree_blocks(extents + breaks) - tree

    def _directory_blocks(self) -> int:
        blocks = 0
        for path, entry in self.directories.items():
            # mke2fs has made these two, with one block and four.
            there = {b"": 1, LOST_FOUND: LOST_FOUND_BLOCKS}.get(path, 0)
            total, longest = self.records.get(path, (0, 0))
            try:
                packed = shape(total, longest, self.ext, minimum=there or 1)
            except DirectoryTooLarge as error:
                self._refuse(entry, f"too many names: {error}")
            else:
                blocks += packed.blocks - there
                if not self.ext.extents:
                    self.mapping += indirect_blocks(((0, packed.blocks),))
        return blocks

    def _refuse(self, entry: Entry, reason: str) -> None:
        self.unwritable.append(Unwritable(entry, reason))
