"""Looks for damage in an ext file system that its readers do not meet: what e2fsck would find.

Nothing is repaired and nothing is run. Superblock, journal, descriptors, bitmaps and counts are
held against each other; every inode and every directory while there are not too many. What was not
looked at is told, so that nothing is called sound that was not seen to be.

Source: e2fsck's passes 0, 1 and 5 (e2fsck(8)); Documentation/filesystems/ext4 of the Linux kernel.
"""

from __future__ import annotations

import struct

from engine.filesystems.ext4 import reader_journal as journal
from engine.filesystems.ext4.reader import ExtFilesystem
from engine.filesystems.ext4.soundness_inodes import Group, Inodes, Run
from engine.image.container import BadImage
from engine.image.reading import Examination, Findings

_MOST_INODES = 20_000
_MOST_GROUPS = 1 << 14
_ORPHANS_AT, _ORPHANS_IN_FILE = 0xE8, 0x10000
_INODE_BITMAP_UNUSED, _BLOCK_BITMAP_UNUSED = 0x1, 0x2
_FLEXIBLE, _MULTI_MOUNT = 0x200, 0x100
_MULTI_MOUNT_AT = 0x168
_JOURNAL_ELSEWHERE = slice(0xD0, 0xE0)
_QUOTA = 0x100


def examine(ext: ExtFilesystem) -> Examination:
    """Returns what is wrong with a file system, and what was not looked at."""
    found = Findings()
    _superblock(ext, found)
    _journal(ext, found)
    if ext.groups > _MOST_GROUPS:
        return found.with_unchecked(f"its {ext.groups} block groups and what is in them")
    groups = _Groups(ext, found)
    if not groups.look():
        return found.with_unchecked("its inodes and directories")
    in_use = ext.inodes - groups.free_inodes
    if in_use > _MOST_INODES:
        return found.with_unchecked(
            f"its {in_use} inodes and directories (`e2fsck -fn` checks them)"
        )
    try:
        inodes = Inodes(ext, found, groups.found, groups.runs)
        inodes.look()
    except (BadImage, struct.error) as error:
        found.add("structure", str(error))
        return found.with_unchecked("what comes behind that")
    unchecked = [] if inodes.whole else ["how many names each inode has"]
    if inodes.unknown_hashes:
        unchecked.append("indexes of directories by other hashes than half MD4 and TEA")
    if ext.layout.ratio > 1:
        unchecked.append("which clusters are in use")
    if ext.features[2] & _QUOTA:
        unchecked.append("quotas")
    return found.with_unchecked(*unchecked)


def _superblock(ext: ExtFilesystem, found: Findings) -> None:
    if not ext.sums.superblock():
        found.add("checksum", "the superblock does not match its checksum; no kernel mounts it")
    if ext.needs_journal:
        return
    (orphan,) = struct.unpack_from("<I", ext.superblock, _ORPHANS_AT)
    if orphan:
        found.add("orphans", f"inode {orphan} is on the list of those that are to be removed")
    if ext.features[2] & _ORPHANS_IN_FILE:
        found.add("orphans", "its orphan file lists inodes that are to be removed")


def _journal(ext: ExtFilesystem, found: Findings) -> None:
    (number,) = struct.unpack_from("<I", ext.superblock, 0xE0)
    if not ext.has_journal:
        if ext.needs_journal:
            found.add("journal", "it is to be read through a journal, and has none")
        return
    if not number:
        if not any(ext.superblock[_JOURNAL_ELSEWHERE]):
            found.add("journal", "its journal is nowhere")
        return
    try:
        read, blocks = ext.journal()
        journal.pending(read, blocks)
    except (BadImage, struct.error) as error:
        found.add("journal", f"no kernel mounts it, as its journal is damaged: {error}")


class _Groups:
    """A look at the descriptors and bitmaps."""

    def __init__(self, ext: ExtFilesystem, found: Findings) -> None:
        self._ext = ext
        self._add = found.add
        self.found: list[Group] = []
        self.runs: list[Run] = []
        self.free_inodes = 0

    def look(self) -> bool:
        """Checks all groups; whether the inodes can be found by them."""
        ext = self._ext
        expected = ext.groups * ext.inodes_per_group
        if expected != ext.inodes:
            self._add(
                "superblock",
                f"the superblock has {ext.inodes} inodes, its {ext.groups} groups have {expected}",
            )
            return False
        sound = [self._places(group) for group in range(ext.groups)]
        if ext.features[1] & _MULTI_MOUNT:
            self.runs.append((*struct.unpack_from("<Q", ext.superblock, _MULTI_MOUNT_AT), 1, 0))
        if not all(sound) or not self._apart():
            return False
        for group in range(ext.groups):
            self._bitmaps(group)
        return True  # kernels leave the counts of the superblock as they are while it is mounted

    def _compare(self, who: str, what: str, said: int, counted: int) -> None:
        """Notes a count that is wrong, unless the journal would set it right."""
        if said != counted and not self._ext.needs_journal:
            self._add("counts", f"{who} says {said} {what}, the bitmaps have {counted}")

    def _places(self, group: int) -> bool:
        """Whether a group's structures are where they can be."""
        ext = self._ext
        sound = True
        if not ext.sums.descriptor(group, ext.descriptor(group)):
            self._add("checksum", f"group {group}: its descriptor does not match its checksum")
        first, end = self._span(group)
        if ext.features[1] & _FLEXIBLE:
            first, end = ext.first_block, ext.blocks
        table = -(-ext.inodes_per_group * ext.inode_size // ext.block_size)
        names = ("block bitmap", "inode bitmap", "inode table")
        for what, at, count in zip(names, ext.tables(group), (1, 1, table), strict=True):
            if not first <= at <= end - count:
                self._add(
                    "descriptor",
                    f"group {group}: its {what} at block {at} is outside of blocks {first} to "
                    f"{end - 1}; no kernel mounts it",
                )
                sound = False
            self.runs.append((at, count, 0))
        layout = ext.layout
        if layout.has_superblock(group):
            self.runs.append((layout.start(group), 1, 0))
        copies = layout.descriptors(group)
        if copies:
            self.runs.append((copies.start, len(copies), 0))
        return sound

    def _span(self, group: int) -> tuple[int, int]:
        ext = self._ext
        first = ext.first_block + group * ext.blocks_per_group
        return first, min(first + ext.blocks_per_group, ext.blocks)

    def _apart(self) -> bool:
        """Whether the structures of all groups lie apart from each other."""
        end = 0
        for start, count, _ in sorted(self.runs):
            if start < end:
                self._add(
                    "descriptor",
                    f"block {start} is in two structures of the groups; no kernel mounts it",
                )
                return False
            end = start + count
        return True

    def _bitmaps(self, group: int) -> None:
        """Reads a group's bitmaps, and holds them against its descriptor."""
        ext = self._ext
        descriptor = ext.descriptor(group)
        at_blocks, at_inodes, _ = ext.tables(group)
        unused = struct.unpack_from("<H", descriptor, 0x12)[0] if ext.sums.of_descriptors else 0
        first, end = self._span(group)
        clusters = -(-(end - first) // ext.layout.ratio)
        blocks = inodes = b""
        free = _wide(descriptor, 0x0C, 0x2C)
        if not unused & _BLOCK_BITMAP_UNUSED:
            blocks = ext.block(at_blocks)
            covered = blocks[: ext.blocks_per_group // ext.layout.ratio // 8]
            if not ext.sums.bitmap(covered, descriptor, 0x18, 0x38):
                self._add("checksum", f"group {group}: its block bitmap does not match its sum")
            self._compare(f"group {group}", "free blocks", free, clusters - _ones(blocks, clusters))
            self._padding(group, "block", blocks, clusters)
        free_inodes = ext.inodes_per_group
        if not unused & _INODE_BITMAP_UNUSED:
            inodes = ext.block(at_inodes)
            if not ext.sums.bitmap(inodes[: ext.inodes_per_group // 8], descriptor, 0x1A, 0x3A):
                self._add("checksum", f"group {group}: its inode bitmap does not match its sum")
            free_inodes -= _ones(inodes, ext.inodes_per_group)
            self._padding(group, "inode", inodes, ext.inodes_per_group)
        self._compare(f"group {group}", "free inodes", _wide(descriptor, 0x0E, 0x2E), free_inodes)
        self.free_inodes += free_inodes
        self.found.append(Group(first, end, blocks, inodes))

    def _padding(self, group: int, what: str, bitmap: bytes, count: int) -> None:
        """Checks that a bitmap calls used what lies behind its last bit that means something."""
        bits = len(bitmap) * 8
        if _ones(bitmap, bits) - _ones(bitmap, count) != bits - count:
            self._add("padding", f"group {group}: its {what} bitmap has no padding at its end")


def _wide(descriptor: bytes, low: int, high: int) -> int:
    """Returns a count of 16 bits, or 32 where descriptors have 64 bytes."""
    (value,) = struct.unpack_from("<H", descriptor, low)
    if len(descriptor) >= high + 2:
        value |= struct.unpack_from("<H", descriptor, high)[0] << 16
    return int(value)


def _ones(bitmap: bytes, count: int) -> int:
    return (int.from_bytes(bitmap, "little") & (1 << count) - 1).bit_count()
