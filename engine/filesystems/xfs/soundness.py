"""Looks for damage in an XFS that its reader does not meet: what `xfs_repair -n` would find.

Nothing is repaired and nothing is run. Copies of the superblock, headers, trees and counts of the
groups are held against each other; every inode and directory while there are not too many. What was
not looked at is told, so that nothing is called sound that was not seen to be.

Source: xfs_repair(8), its phases 1 to 7; "XFS Algorithms & Data Structures", 3rd edition.
"""

from __future__ import annotations

import struct

from engine.filesystems.xfs.reader import Xfs
from engine.filesystems.xfs.reader_groups import (
    BY_PLACE,
    BY_SIZE,
    CHUNK,
    FREE_INODES,
    INODES,
    SHARED,
    Group,
    Root,
    root_of,
)
from engine.filesystems.xfs.reader_superblock import MAGIC, valid
from engine.filesystems.xfs.soundness_inodes import Look
from engine.filesystems.xfs.soundness_runs import Run
from engine.image.container import BadImage
from engine.image.reading import Examination, Findings

_MOST_GROUPS = 1 << 12
_MOST_INODES = 50_000
_GEOMETRY = (slice(4, 16), slice(84, 92), slice(102, 106), slice(120, 125))
"""Sizes of blocks, sectors and inodes, and the groups; other fields of a copy may be older."""
_QUOTA = 0x40
_ALL = (1 << CHUNK) - 1
_STAGED = 1 << 31
"""Marks blocks that are written before they take the place of shared ones."""


def examine(xfs: Xfs) -> Examination:
    """Returns what is wrong with a file system, and what was not looked at."""
    found = Findings()
    superblock = xfs.superblock
    if superblock.in_progress:
        found.add("superblock", "mkfs.xfs was stopped before it was done; no kernel mounts it")
    if superblock.needs_repair:
        found.add("superblock", "xfs_repair was stopped before it was done; no kernel mounts it")
    if superblock.groups > _MOST_GROUPS:
        return found.with_unchecked(f"its {superblock.groups} groups and what is in them")
    groups = _Groups(xfs, found)
    groups.look()
    in_use = superblock.inodes - superblock.free_inodes
    if in_use > _MOST_INODES:
        return found.with_unchecked(
            f"its {in_use} inodes and directories (`xfs_repair -n` checks them)"
        )
    inodes = Look(xfs, found, groups.in_use if groups.whole else set(), groups.runs, groups.shared)
    inodes.look(whole=groups.whole)
    unchecked = list(inodes.unchecked)
    if superblock.realtime:
        unchecked.append("what is on its realtime device")
    if struct.unpack_from(">H", superblock.raw, 100)[0] & _QUOTA:
        unchecked.append("quotas")
    if superblock.owners:
        unchecked.append("whom its trees of owners name")
    return found.with_unchecked(*unchecked)


class _Groups:
    """A look at the groups.

    Attributes:
        whole: Whether all could be read.
        in_use: The inodes that are not free.
        runs: What lies where, in blocks of the file system.
        shared: Where blocks of files may lie that have several.
    """

    def __init__(self, xfs: Xfs, found: Findings) -> None:
        self._xfs = xfs
        self._add = found.add
        self.whole = True
        self.in_use: set[int] = set()
        self.runs: list[Run] = []
        self.shared: list[Run] = []

    def look(self) -> None:
        """Checks all groups, and what the superblock has of all."""
        superblock = self._xfs.superblock
        groups = []
        for number in range(superblock.groups):
            self._copy(number)
            group = self._group(number)
            if group is not None:
                groups.append(group)
        if superblock.log_start:
            self.runs.append(Run(superblock.log_start, superblock.log_blocks, "the log"))
        if not self.whole or not self._xfs.settled:
            return
        free = sum(group.free_blocks + len(group.listed) + group.tree_blocks for group in groups)
        for what, said, counted in (
            ("free blocks", superblock.free_blocks, free),
            ("inodes", superblock.inodes, sum(group.inodes for group in groups)),
            ("free inodes", superblock.free_inodes, sum(each.free_inodes for each in groups)),
        ):  # fmt: skip
            self._compare("the superblock", what, said, counted)

    def _compare(self, who: str, what: str, said: int, counted: int) -> None:
        if said != counted:
            self._add("counts", f"{who} says {said} {what}, there are {counted}")

    def _copy(self, number: int) -> None:
        """Looks at the copy of the superblock that a group begins with."""
        superblock = self._xfs.superblock
        try:
            raw = self._xfs.groups.sector(number, 0)
        except BadImage as error:
            self._fail(number, error)
            return
        where = f"group {number}: its copy of the superblock"
        if raw[:4] != MAGIC:
            self._add("copy", f"{where} begins with {raw[:4]!r}")
        elif superblock.checksums and not valid(raw):
            self._add("copy", f"{where} does not match its checksum")
        elif any(raw[part] != superblock.raw[part] for part in _GEOMETRY):
            self._add("copy", f"{where} is of another file system")

    def _fail(self, number: int, error: Exception) -> None:
        self.whole = False
        where = f"group {number}"
        self._add("group", str(error) if where in str(error) else f"{where}: {error}")

    def _group(self, number: int) -> Group | None:
        try:
            group = self._xfs.groups.group(number)
        except (BadImage, struct.error) as error:
            self._fail(number, error)
            return None
        superblock = self._xfs.superblock
        headers = -(-4 * superblock.sector_size // superblock.block_size)
        self._run(group, 0, headers, "its headers")
        for block in group.listed:
            self._run(group, block, 1, "the list of free blocks")
        for root in group.roots:
            try:
                self._tree(group, root)
            except (BadImage, struct.error) as error:
                self._fail(number, error)
        if group.unlinked and self._xfs.settled:
            self._add(
                "unlinked",
                f"group {number}: {group.unlinked} lists of inodes that are to be removed",
            )
        return group

    def _run(self, group: Group, start: int, count: int, what: str) -> None:
        block = self._xfs.blocks.number(group.number, start)
        self.runs.append(Run(block, count, f"{what} of group {group.number}"))

    def _tree(self, group: Group, root: Root) -> None:
        groups, met = self._xfs.groups, set[int]()
        if root.layout is BY_PLACE:
            self._free(group, list(groups.free(group, root, met)))
        elif root.layout is BY_SIZE:
            by_place = sorted(groups.free(group, root_of(group, BY_PLACE)))
            by_size = list(groups.free(group, root, met))
            if sorted(by_size) != by_place:
                self._add("free", f"group {group.number}: its trees of free space differ")
            if by_size != sorted(by_size, key=lambda each: (each[1], each[0])):
                self._add("free", f"group {group.number}: free space is not sorted by size")
        elif root.layout in {INODES, FREE_INODES}:
            self._inodes(group, root, met)
        else:
            for records in groups.records(group, root, met):
                if root.layout is SHARED:
                    self._share(group, records)
        for block in met:
            self.runs.append(Run(block, 1, f"the {root.layout.what} of group {group.number}"))

    def _free(self, group: Group, free: list[tuple[int, int]]) -> None:
        where = f"group {group.number}"
        end = 0
        for start, count in free:
            if start < end:
                self._add("free", f"{where}: free blocks from {start} on, behind {end}")
            end = start + count
            self._run(group, start, count, "free space")
        counts = [count for _, count in free]
        self._compare(where, "free blocks", group.free_blocks, sum(counts))
        self._compare(where, "blocks in its longest run", group.longest, max(counts, default=0))

    def _inodes(self, group: Group, root: Root, met: set[int]) -> None:
        superblock = self._xfs.superblock
        there = free = 0
        first = -1
        per_block = 1 << superblock.inode_bits
        for chunk in self._xfs.groups.chunks(group, root, met):
            if chunk.first <= first:
                self._add("inodes", f"group {group.number}: inodes from {chunk.first} on twice")
            first = chunk.first
            there += chunk.there.bit_count()
            free += chunk.free.bit_count()
            if root.layout is FREE_INODES:
                continue
            used = chunk.there & ~chunk.free & _ALL
            self.in_use.update(chunk.first + index for index in range(CHUNK) if used >> index & 1)
            for index in range(0, CHUNK, per_block):
                if chunk.there >> index & 1:
                    block = chunk.first + index >> superblock.inode_bits
                    self.runs.append(Run(block, 1, f"inodes of group {group.number}"))
        if root.layout is INODES:
            self._compare(f"group {group.number}", "inodes", group.inodes, there)
        self._compare(
            f"group {group.number}", f"free inodes ({root.layout.what})", group.free_inodes, free
        )

    def _share(self, group: Group, records: bytes) -> None:
        for start, count, times in struct.iter_unpack(">III", records):
            if start & _STAGED:
                self._run(group, start & ~_STAGED, count, "blocks that wait for their place")
            elif times > 1:
                block = self._xfs.blocks.number(group.number, start)
                self.shared.append(Run(block, count, ""))
