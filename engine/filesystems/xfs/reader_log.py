"""The log of an XFS: whether it holds what is not in its place yet. It is not replayed.

A kernel that unmounts a file system ends its log with a record that says so; where another record
is the last one, files on the disk may be older than what a mount shows.

Source: fs/xfs/libxfs/xfs_log_format.h and fs/xfs/xfs_log_recover.c of the Linux kernel.
"""

from __future__ import annotations

import struct

from engine.filesystems.xfs.reader_blocks import Blocks
from engine.image.container import BadImage
from engine.image.reading import BadFilesystem, Window

_UNIT = 512
"""Bytes of a basic block, each of which begins with the number of the round it was written in."""
_MAGIC = 0xFEEDBABE
_BACK = 1024
"""Units before the end in which the last record begins: one of an unmount is short."""
_HEADER_HOLDS = 32 << 10
"""Bytes of a record that one unit of its header is for."""
_UNMOUNT = 0x20


def state(blocks: Blocks) -> tuple[bool, str]:
    """Returns whether the log has changes, as far as it is known, and what that means for files.

    The second is why they may be older than what a mount shows, or "".
    """
    superblock = blocks.superblock
    if not superblock.log_start:
        return False, "its log is on another device, which is not read here"
    count = superblock.log_blocks * superblock.block_size // _UNIT
    try:
        start = blocks.place(superblock.log_start, superblock.log_blocks)
        if Log(blocks.window, start, count).unmounted():
            return False, ""
    except (BadImage, struct.error) as error:
        return False, f"its log cannot be read: {error}"
    return True, "its log holds changes that are not in their places, and is not replayed here"


class Log:
    """A log of so many units; it is written round and round."""

    def __init__(self, window: Window, start: int, count: int) -> None:
        if count < 2:
            raise BadFilesystem(f"a log of {count} units")
        self._window = window
        self._start = start
        self._count = count

    def _read(self, unit: int, count: int) -> bytes:
        return self._window.read(self._start + unit * _UNIT, count * _UNIT)

    def _round(self, unit: int) -> int:
        """Returns the number of the round in which a unit was written."""
        magic, cycle = struct.unpack_from(">II", self._read(unit, 1))
        return int(cycle if magic == _MAGIC else magic)

    def _end(self) -> int:
        """Returns the unit behind the last one written: where the round before goes on."""
        first, last = self._round(0), self._round(self._count - 1)
        if first == last:
            return self._count
        low, high = 0, self._count - 1
        while high - low > 1:
            middle = (low + high) // 2
            if self._round(middle) == first:
                low = middle
            else:
                high = middle
        return high

    def unmounted(self) -> bool:
        """Whether the last record is that of an unmount, whole, with nothing behind it."""
        end = self._end()
        if end == self._count and self._round(0) == 0:
            return True  # never written
        back = min(_BACK, end)
        around = min(_BACK - back, self._count - end)  # a record may go on at the beginning
        raw = self._read(self._count - around, around) + self._read(end - back, back)
        for unit in range(back + around - 1, -1, -1):
            at = unit * _UNIT
            if struct.unpack_from(">I", raw, at)[0] == _MAGIC:
                return self._says_so(raw[at:], back + around - unit)
        return False

    @staticmethod
    def _says_so(record: bytes, units: int) -> bool:
        version, length = struct.unpack_from(">II", record, 8)
        (operations,) = struct.unpack_from(">I", record, 40)
        (size,) = struct.unpack_from(">I", record, 320)
        headers = -(-size // _HEADER_HOLDS) if version & 2 and size > _HEADER_HOLDS else 1
        if operations != 1 or headers + -(-length // _UNIT) != units or headers >= units:
            return False
        return bool(record[headers * _UNIT + 9] & _UNMOUNT)
