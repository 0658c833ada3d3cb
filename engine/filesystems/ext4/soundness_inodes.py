"""Goes through every inode, every name and every block of an ext file system, as e2fsck does.

Source: e2fsck's passes 1 to 5 (e2fsck(8)); Documentation/filesystems/ext4 of the Linux kernel.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from engine.filesystems.ext4.reader import ExtFilesystem
from engine.filesystems.ext4.reader_blocks import INLINE_FLAG
from engine.filesystems.ext4.reader_inodes import attribute_block
from engine.filesystems.ext4.soundness_index import BadIndex, Index
from engine.image.container import BadImage
from engine.image.reading import Findings, Node
from engine.units import in_bytes

_ROOT = 2
_FIRST_AT, _RESERVED = 0x54, 11
_HIDDEN_AT = (0x240, 0x244, 0x26C, 0x280)
"""Inodes that the superblock names: quota of users, groups and projects, the orphan file."""
_ATTRIBUTE_FLAG, _HUGE_FLAG = 0x200000, 0x40000
_ATTRIBUTE_INODES, _HUGE_FILES = 0x400, 0x8
_INDEX_FLAG, _OTHER_HASHES = 0x1000, 0x800 | 0x40000000
"""Of a directory: indexed; encrypted or casefolded, so that other hashes are taken."""
_INDEXES, _LARGE_DIRECTORIES = 0x20, 0x4000
_SEED, _FLAGS_AT, _UNSIGNED = slice(0xEC, 0xFC), 0x160, 2
_DIRECTORY = 0o040000
_KINDS = (0, 0o100000, 0o040000, 0o020000, 0o060000, 0o010000, 0o140000, 0o120000)
"""What the type in a directory entry is as a mode."""
_MANY_LINKS = 1
"""Links of a directory with more subdirectories than can be counted (dir_nlink)."""
_MOST_RUNS = 1 << 20
_ATTRIBUTES = -1
"""Owner of the blocks with attributes, which inodes share by design."""


Run = tuple[int, int, int]
"""First block, count, and the inode that has them: 0 for the file system itself."""


@dataclass(frozen=True, slots=True)
class Group:
    """A block group.

    Attributes:
        first: Its first block.
        end: The block behind its last.
        blocks: Its block bitmap, b"" where that was never written.
        inodes: Its inode bitmap, likewise.
    """

    first: int
    end: int
    blocks: bytes
    inodes: bytes


@dataclass(slots=True)
class _Use:
    """An inode in use, and how often it was named."""

    node: Node
    path: bytes = b""
    names: int = 0
    attribute: bool = False
    inline: bool = False


class Inodes:
    """One look at the inodes."""

    def __init__(
        self, ext: ExtFilesystem, found: Findings, groups: Sequence[Group], runs: list[Run]
    ) -> None:
        self._ext = ext
        self._add = found.add
        self._groups = groups
        self._runs = runs
        self._shared: set[int] = set()
        """Blocks with attributes."""
        self._uses: dict[int, _Use] = {}
        self.unknown_hashes = False
        """Whether a directory has an index by hashes that are not known here."""
        self.whole = True
        """Whether every directory could be read, so that names can be counted."""

    def look(self) -> None:
        """Checks them all.

        Raises:
            BadImage: The root cannot be read.
        """
        self._gather()
        self._names()
        if self.whole:
            self._links()
        if self._ext.layout.ratio == 1 and len(self._runs) <= _MOST_RUNS:
            self._runs += [(block, 1, _ATTRIBUTES) for block in self._shared]
            self._blocks()

    def _gather(self) -> None:
        """Reads the inodes that the bitmaps call used."""
        ext = self._ext
        for index, group in enumerate(self._groups):
            for bit in _bits(group.inodes, ext.inodes_per_group):
                number = index * ext.inodes_per_group + bit + 1
                raw = ext.raw_inode(number)
                mode, links, flags = struct.unpack_from("<H24xH4xI", raw)
                if not mode:
                    if any(raw) and not ext.sums.inode(number, raw):
                        self._add("inode", f"inode {number} does not match its checksum")
                    continue
                try:
                    node = ext.node(number, b"inode %d" % number)
                    self._take(number, raw, node)
                except (BadImage, struct.error) as error:
                    text = str(error)
                    self._add(
                        "inode", text if f"inode {number}" in text else f"inode {number}: {text}"
                    )
                    node = Node(path=b"", mode=mode, links=links, inode=number)
                if links:
                    self._uses[number] = _Use(
                        node,
                        attribute=bool(flags & _ATTRIBUTE_FLAG),
                        inline=bool(flags & INLINE_FLAG),
                    )

    def _take(self, number: int, raw: bytes, node: Node) -> None:
        """Notes the blocks of an inode, and checks their number."""
        ext = self._ext
        data = list(ext.map.allocated(number, raw))
        outside = list(ext.map.blocks(number, raw))
        shared = attribute_block(raw)
        if shared:
            self._shared.add(shared)
        lowest = max(ext.first_block, 1)
        for _, place, count in data:
            if place < lowest or place + count > ext.blocks:
                self._add("inode", f"inode {number} has blocks {place} to {place + count - 1}")
        self._runs += [(place, count, number) for _, place, count in data]
        self._runs += [(place, 1, number) for place in outside]
        if node.mode & 0o170000 == _DIRECTORY and not _flags(raw) & INLINE_FLAG:
            covered = sum(length for _, _, length in node.extents)
            if node.size % ext.block_size or covered < node.size:
                self._add("directory", f"inode {number}: a directory with a hole")
        self._check_count(number, raw, sum(n for _, _, n in data) + len(outside) + bool(shared))

    def _check_count(self, number: int, raw: bytes, blocks: int) -> None:
        ext = self._ext
        if ext.layout.ratio > 1 or ext.features[1] & _ATTRIBUTE_INODES:
            return
        (said,) = struct.unpack_from("<I", raw, 0x1C)
        unit = 512
        if ext.features[2] & _HUGE_FILES:
            said |= struct.unpack_from("<H", raw, 0x74)[0] << 32
            unit = ext.block_size if _flags(raw) & _HUGE_FLAG else 512
        if said * unit != blocks * ext.block_size:
            self._add(
                "blocks",
                f"inode {number} says that it has {in_bytes(said * unit)} of blocks, and has "
                f"{blocks * ext.block_size}",
            )

    def _names(self) -> None:
        """Follows every name from the root."""
        ext = self._ext
        root = ext.node(_ROOT, b"")
        self._uses.setdefault(_ROOT, _Use(root))
        if root.mode & 0o170000 != _DIRECTORY:
            self._add("directory", "the root is not a directory")
            return
        pending = [(_ROOT, _ROOT)]
        seen = {_ROOT}
        while pending:
            number, parent = pending.pop()
            folder = self._uses[number]
            if folder.inline:  # neither . nor .. stands in it
                folder.names += 1
                self._uses[parent].names += 1
            try:
                self._index(folder)
                for child in self._folder(folder, parent):
                    if child in seen:
                        path = _shown(self._uses[child].path)
                        self._add("directory", f"{path} is a directory with two names")
                        continue
                    seen.add(child)
                    pending.append((child, number))
            except (BadImage, struct.error) as error:
                self._add("directory", str(error))
                self.whole = False

    def _index(self, folder: _Use) -> None:
        """Checks the index of a directory that has one."""
        ext, node = self._ext, folder.node
        flags = _flags(ext.raw_inode(node.inode))
        if not flags & _INDEX_FLAG or folder.inline:
            return
        if flags & _OTHER_HASHES:
            self.unknown_hashes = True
            return
        if not ext.features[0] & _INDEXES:
            self._add("index", f"{_shown(folder.path)} has an index, and the file system none")
            return
        raw = ext.superblock
        index = Index(
            dict(ext.directory_blocks(node)), ext.names_in, seed=raw[_SEED],
            signed=not struct.unpack_from("<I", raw, _FLAGS_AT)[0] & _UNSIGNED,
            sums=ext.sums.everywhere, large=bool(ext.features[1] & _LARGE_DIRECTORIES),
        )  # fmt: skip
        try:
            self.unknown_hashes |= not index.look()
        except BadIndex as error:
            self._add("index", f"{_shown(folder.path)}: {error}")

    def _folder(self, folder: _Use, parent: int) -> Iterator[int]:
        """Checks the entries of a directory; yields the directories among them."""
        names: set[bytes] = set()
        node = replace(folder.node, path=folder.path[1:])
        for name, number, kind in self._ext.entries(node):
            path = folder.path + b"/" + name
            if name in {b".", b".."}:
                right = node.inode if name == b"." else parent
                if number != right:
                    self._add("directory", f"{_shown(path)} is inode {number}, not {right}")
                if right in self._uses:
                    self._uses[right].names += 1
                continue
            if name in names:
                self._add("directory", f"{_shown(path)} is there twice")
            names.add(name)
            use = self._uses.get(number)
            if use is None:
                self._add("directory", f"{_shown(path)} is inode {number}, which is not in use")
                continue
            mode = use.node.mode & 0o170000
            if kind and (kind >= len(_KINDS) or _KINDS[kind] != mode):
                self._add(
                    "directory", f"{_shown(path)}: its entry says another type than its inode"
                )
            use.names += 1
            use.path = use.path or path
            if mode == _DIRECTORY:
                yield number

    def _links(self) -> None:
        raw = self._ext.superblock
        first = max(struct.unpack_from("<I", raw, _FIRST_AT)[0], _RESERVED)
        hidden = {struct.unpack_from("<I", raw, at)[0] for at in _HIDDEN_AT}
        for number, use in self._uses.items():
            if (number < first and number != _ROOT) or number in hidden or use.attribute:
                continue
            if not use.names:
                self._add("unattached", f"inode {number} is in no directory")
                continue
            folder = use.node.mode & 0o170000 == _DIRECTORY
            if use.names != use.node.links and not (folder and use.node.links == _MANY_LINKS):
                self._add(
                    "links",
                    f"{_shown(use.path)} has {use.names} names, and says {use.node.links}",
                )

    def _blocks(self) -> None:
        """Holds the blocks of all owners against each other, and against the bitmaps."""
        taken: list[list[int]] = []
        last = 0
        for start, count, owner in sorted(self._runs):
            end = start + count
            if taken and start < taken[-1][1]:
                if not self._ext.shares_blocks:
                    self._add(
                        "shared", f"block {start} belongs to {_who(last)} and to {_who(owner)}"
                    )
                if end > taken[-1][1]:
                    taken[-1][1], last = end, owner
                continue
            if taken and start == taken[-1][1]:
                taken[-1][1] = end
            else:
                taken.append([start, end])
            last = owner
        free = used = at = 0
        for group in self._groups:
            width = group.end - group.first
            ours = 0
            while at < len(taken) and taken[at][0] < group.end:
                low, high = max(taken[at][0], group.first), min(taken[at][1], group.end)
                if low < high:
                    ours |= (1 << high - group.first) - (1 << low - group.first)
                if taken[at][1] > group.end:
                    break
                at += 1
            if group.blocks:
                theirs = int.from_bytes(group.blocks, "little") & (1 << width) - 1
                free += (ours & ~theirs).bit_count()
                used += (theirs & ~ours).bit_count()
        if free:
            self._add("bitmap", f"blocks in use that the bitmaps call free: {free}")
        if used:
            self._add("bitmap", f"blocks that the bitmaps call used and nothing uses: {used}")


def _who(owner: int) -> str:
    if owner == _ATTRIBUTES:
        return "an attribute block"
    return f"inode {owner}" if owner else "the file system itself"


def _flags(raw: bytes) -> int:
    return int(struct.unpack_from("<I", raw, 32)[0])


def _bits(bitmap: bytes, count: int) -> Iterator[int]:
    for at, byte in enumerate(bitmap[: -(-count // 8)]):
        for bit in range(8 if byte else 0):
            if byte >> bit & 1 and at * 8 + bit < count:
                yield at * 8 + bit


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace") or "/"
