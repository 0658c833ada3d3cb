"""Reads an ext file system through its journal, as mounting would: what is not yet in its place.

Nothing is written. The blocks that the journal has newer copies of are read from there.

Source: Documentation/filesystems/ext4/journal.rst of the Linux kernel; include/linux/jbd2.h and
fs/jbd2/recovery.c for tags, sums and the order of the passes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from engine.filesystems.crc32c import crc32c
from engine.image.reading import BadFilesystem, Window

_MAGIC = 0xC03B3998
_HEADER = struct.Struct(">III")
_DESCRIPTOR, _COMMIT, _SUPERBLOCK_1, _SUPERBLOCK_2, _REVOKE = 1, 2, 3, 4, 5
_WIDE, _SUMS_2, _SUMS_3, _FAST = 0x2, 0x8, 0x10, 0x20
_KNOWN = 0x1 | _WIDE | 0x4 | _SUMS_2 | _SUMS_3 | _FAST
_ESCAPED, _SAME_UUID, _LAST = 1, 2, 8
_UUID = 16
_SUM_AT, _SUM_END = 0xFC, 0x400
_COMMIT_SUM_AT = 16
_START = 0xFFFFFFFF
_FAST_BLOCKS = 256
"""Where the superblock does not say (JBD2_DEFAULT_FAST_COMMIT_BLOCKS)."""
_FAST_HEAD = 9
_MOST = 1 << 20
"""Blocks of a journal: 4 GiB, four times what mke2fs makes at most."""

ReadBlock = Callable[[int], bytes]
"""Returns a block of the journal."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A newer copy of a block.

    Attributes:
        block: Of the journal.
        escaped: Whether its first four bytes are the journal's magic number, and zero there.
    """

    block: int
    escaped: bool


@dataclass(frozen=True, slots=True)
class Pending:
    """What a journal holds that is not in its place yet.

    Attributes:
        copies: By the block of the file system.
        fast: Whether there are fast commits, which are not read here.
    """

    copies: Mapping[int, Copy]
    fast: bool


class _Journal:
    """A journal's superblock, and the blocks that it goes round in."""

    def __init__(self, read: ReadBlock, blocks: int) -> None:
        self._read = read
        raw = read(0)
        magic, kind, _ = _HEADER.unpack_from(raw)
        if magic != _MAGIC or kind not in {_SUPERBLOCK_1, _SUPERBLOCK_2}:
            raise BadFilesystem("the journal's inode holds no journal")
        self.block_size, self.end, self.first, self.sequence, self.start = struct.unpack_from(
            ">IIIII", raw, 12
        )
        features = struct.unpack_from(">I", raw, 40)[0] if kind == _SUPERBLOCK_2 else 0
        if features & ~_KNOWN:
            raise BadFilesystem(f"the journal has features {features:#x} that are not known here")
        if self.block_size != len(raw) or not 0 < self.first < self.end <= min(blocks, _MOST):
            raise BadFilesystem(f"the journal's superblock: {self.end} blocks from {self.first}")
        self.wide = bool(features & _WIDE)
        self.sums = 3 if features & _SUMS_3 else 2 if features & _SUMS_2 else 0
        self.seed = crc32c()(_START, raw[0x30:0x40]) if self.sums else 0
        if self.sums:
            (stored,) = struct.unpack_from(">I", raw, _SUM_AT)
            covered = raw[:_SUM_AT] + bytes(4) + raw[_SUM_AT + 4 : _SUM_END]
            if crc32c()(_START, covered) != stored:
                raise BadFilesystem("the journal's superblock does not match its checksum")
        self.fast_at = 0
        if features & _FAST:
            count = struct.unpack_from(">I", raw, 0x54)[0] or _FAST_BLOCKS
            if count >= self.end - self.first:
                raise BadFilesystem(f"the journal has {count} blocks for fast commits")
            self.end -= count
            self.fast_at = self.end

    def block(self, number: int) -> bytes:
        return self._read(number)

    def after(self, number: int, count: int = 1) -> int:
        """Returns the block that comes so many later, round the end."""
        return int(self.first + (number - self.first + count) % (self.end - self.first))

    def tags(self, raw: bytes) -> Iterator[tuple[int, int, int]]:
        """Yields block, flags and sum of each copy that a descriptor announces."""
        size = 16 if self.sums == 3 else (12 if self.wide else 8) + (2 if self.sums == 2 else 0)
        room = len(raw) - (4 if self.sums else 0)
        at = _HEADER.size
        while at + size <= room:
            if self.sums == 3:
                low, flags, high, total = struct.unpack_from(">IIII", raw, at)
            else:
                low, total, flags = struct.unpack_from(">IHH", raw, at)
                high = struct.unpack_from(">I", raw, at + 8)[0] if self.wide else 0
            yield low | (high << 32 if self.wide else 0), flags, total
            at += size + (0 if flags & _SAME_UUID else _UUID)
            if flags & _LAST:
                return

    def revoked(self, raw: bytes) -> Iterator[int]:
        """Yields the blocks whose older copies a revoke block makes void."""
        (used,) = struct.unpack_from(">I", raw, _HEADER.size)
        size, form = (8, ">Q") if self.wide else (4, ">I")
        for at in range(16, min(used, len(raw)) - size + 1, size):
            yield struct.unpack_from(form, raw, at)[0]

    def matches(self, raw: bytes, kind: int) -> bool:
        """Whether a block that is not a copy matches its sum: at its end, or in a commit's head."""
        if not self.sums:
            return True
        if kind == _COMMIT:
            (stored,) = struct.unpack_from(">I", raw, _COMMIT_SUM_AT)
            covered = raw[:_COMMIT_SUM_AT] + bytes(4) + raw[_COMMIT_SUM_AT + 4 :]
            return bool(crc32c()(self.seed, covered) == stored)
        (stored,) = struct.unpack_from(">I", raw, len(raw) - 4)
        return bool(crc32c()(self.seed, raw[:-4] + bytes(4)) == stored)

    def copy_matches(self, data: bytes, sequence: int, stored: int) -> bool:
        """Whether a copy matches the sum in its tag."""
        if not self.sums:
            return True
        total = crc32c()(self.seed, struct.pack(">I", sequence) + data)
        return bool((total if self.sums == 3 else total & 0xFFFF) == stored)


def pending(read: ReadBlock, blocks: int) -> Pending:
    """Returns what a journal holds that is not in its place.

    Args:
        read: Reads a block of it.
        blocks: How many it has.

    Raises:
        BadFilesystem: It is damaged.
    """
    journal = _Journal(read, blocks)
    if not journal.start:
        return Pending({}, fast=_has_fast_commits(journal, journal.sequence))
    found: list[tuple[int, int, int, int, int]] = []
    revoked: dict[int, int] = {}
    commits = 0
    for sequence, number, raw, kind in _transactions(journal):
        if not journal.matches(raw, kind):
            raise BadFilesystem(f"block {number} of the journal does not match its checksum")
        if kind == _COMMIT:
            commits += 1
            continue
        if kind == _REVOKE:
            revoked |= dict.fromkeys(journal.revoked(raw), sequence)
        else:
            for index, (block, flags, total) in enumerate(journal.tags(raw), 1):
                found.append((sequence, journal.after(number, index), block, flags, total))
    end = journal.sequence + commits
    copies: dict[int, Copy] = {}
    for sequence, place, block, flags, total in found:
        if sequence >= end or revoked.get(block, -1) >= sequence:
            continue
        if not journal.copy_matches(journal.block(place), sequence, total):
            raise BadFilesystem(f"block {place} of the journal does not match its checksum")
        copies[block] = Copy(place, bool(flags & _ESCAPED))
    return Pending(copies, fast=_has_fast_commits(journal, end))


def _transactions(journal: _Journal) -> Iterator[tuple[int, int, bytes, int]]:
    """Yields the blocks of finished transactions that are not copies: sequence, place, bytes, kind.

    What belongs to a transaction that was never committed comes last, and has no commit.
    """
    sequence, number = journal.sequence, journal.start
    left = journal.end - journal.first
    while left > 0:
        raw = journal.block(number)
        magic, kind, own = _HEADER.unpack_from(raw)
        if magic != _MAGIC or own != sequence or kind not in {_DESCRIPTOR, _COMMIT, _REVOKE}:
            return
        yield sequence, number, raw, kind
        step = 1 + (sum(1 for _ in journal.tags(raw)) if kind == _DESCRIPTOR else 0)
        sequence += kind == _COMMIT
        number = journal.after(number, step)
        left -= step


def _has_fast_commits(journal: _Journal, sequence: int) -> bool:
    if not journal.fast_at:
        return False
    for place in (journal.fast_at, journal.fast_at + 1):  # the kernel leaves one block free
        tag, length, _, transaction = struct.unpack_from("<HHII", journal.block(place))
        if tag == _FAST_HEAD and length >= 8 and transaction == sequence:
            return True
    return False


@dataclass(frozen=True, slots=True)
class Through(Window):
    """A window whose blocks are read from the journal where that has newer ones.

    Attributes:
        block_size: Bytes.
        copies: By block.
        journal: Reads a block of the journal.
    """

    block_size: int
    copies: Mapping[int, Copy]
    journal: ReadBlock

    def read(self, offset: int, length: int) -> bytes:
        data = Window.read(self, offset, length)
        size = self.block_size
        newer = [
            block
            for block in range(offset // size, -(-(offset + length) // size))
            if block in self.copies
        ]
        if not newer:
            return data
        changed = bytearray(data)
        for block in newer:
            copy = self.copies[block]
            raw = self.journal(copy.block)
            raw = struct.pack(">I", _MAGIC) + raw[4:] if copy.escaped else raw
            start = block * size - offset
            first, last = max(start, 0), min(start + size, length)
            changed[first:last] = raw[first - start : last - start]
        return bytes(changed)
