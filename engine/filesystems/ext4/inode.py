"""Inodes as bytes.

Source: Documentation/filesystems/ext4/inodes.rst of the Linux kernel.
"""

from __future__ import annotations

import os
import struct

from engine.filesystems.ext4.attributes import INODE_AREA
from engine.filesystems.ext4.format import EXTRA_INODE_SIZE, INODE_SIZE
from engine.filesystems.ext4.native import checksum_of

EXTENTS_FLAG = 0x80000
INDEX_FLAG = 0x1000
BLOCK_MAP_OFFSET = 40

_NS = 1_000_000_000
_FIRST_SECOND = -(2**31)
_LAST_SECOND = 2**33 + 2**31 - 1
"""2310-04-04. The format reaches on to 2446, but e2fsck takes the two bits of what follows for
the mark of a time before 1970 that an old kernel wrote wrongly."""

_PREFIX = struct.Struct("<II")
"""Number and generation: what the checksum covers before the inode."""

_INODE = struct.Struct(f"<IIHHIIIIIHHIII60sIIIIHHHHHHHHIIIIIII{INODE_AREA}s")
"""The prefix and the inode."""

_FILE = struct.Struct("<I4xHHIIII4xHHII4x60s")
"""The prefix and the inode up to the end of its map: all that most files differ in, but `_MORE`."""

_MORE = struct.Struct("<HHHHII")
"""What `_SEAL` has, and the extra bits of the times of change and modification."""

_SEAL = struct.Struct("<HHHH")
"""The checksum's halves, and between them a reserved field and the size of the extra fields."""

_SEAL_OFFSET = 124
_TIMES = ((8, 140), (12, 132), (16, 136), (144, 148))
"""Offsets of seconds and extra bits of access, change, modification and creation."""


def encode_time(time_ns: int) -> tuple[int, int]:
    """Returns a time as its two fields: low 32 bits of the seconds; nanoseconds and two more bits.

    Times that the format cannot hold become the nearest that it can.

    Args:
        time_ns: Nanoseconds since 1970.
    """
    seconds, nanoseconds = time_ns // _NS, time_ns % _NS
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        seconds = max(_FIRST_SECOND, min(seconds, _LAST_SECOND))
        nanoseconds = 0
    return seconds & 0xFFFFFFFF, nanoseconds << 2 | (seconds + 2**31) >> 32


def device_map(rdev: int) -> bytes:
    """Returns `i_block` of a device: 16 bits in the first word, or 32 in the second."""
    major, minor = os.major(rdev), os.minor(rdev)
    if major < 256 and minor < 256:
        return struct.pack("<II52x", major << 8 | minor, 0)
    return struct.pack("<II52x", 0, minor & 0xFF | major << 8 | (minor & ~0xFF) << 12)


class InodePacker:
    """Packs inodes of one file system; every inode has the same access, change and birth time."""

    def __init__(self, seed: int, epoch: int, *, checksums: bool) -> None:
        """Takes what is common to all inodes.

        Args:
            seed: Of the file system's checksums.
            epoch: Seconds since 1970.
            checksums: Whether the format has them.
        """
        self._checksums = checksums
        self._stamp = encode_time(epoch * _NS)
        self._buffer = bytearray(_PREFIX.size + INODE_SIZE)
        self._view = memoryview(self._buffer)[_PREFIX.size :]
        self._checksum = checksum_of(seed, self._buffer)
        # What files have in common stays in a buffer of their own.
        self.pack(0, 0, 0, 0, 0, 0, 0, 0, 0, b"")
        self._files = bytearray(self._buffer)
        self._file = memoryview(self._files)[_PREFIX.size :]
        self._file_checksum = checksum_of(seed, self._files)

    def file(
        self, number: int, mode: int, uid: int, gid: int, size: int, mtime_ns: int, sectors: int,
        block_map: bytes,
    ) -> memoryview:  # fmt: skip
        """Returns what `pack` does of a file with one name, extents and no attributes; quicker."""
        seconds, nanoseconds = divmod(mtime_ns, _NS)
        if (
            (uid | gid) >> 16
            or (size | sectors) >> 32
            or not _FIRST_SECOND <= seconds <= _LAST_SECOND
        ):
            return self.pack(
                number, mode, uid, gid, size, mtime_ns, 1, sectors, EXTENTS_FLAG, block_map
            )
        buffer, (stamp, stamp_extra) = self._files, self._stamp
        _FILE.pack_into(
            buffer, 0, number, mode, uid, size, stamp, stamp, seconds & 0xFFFFFFFF, gid, 1,
            sectors, EXTENTS_FLAG, block_map,
        )  # fmt: skip
        _MORE.pack_into(
            buffer, _PREFIX.size + _SEAL_OFFSET, 0, 0, EXTRA_INODE_SIZE, 0,
            stamp_extra, nanoseconds << 2 | (seconds + 2**31) >> 32,
        )  # fmt: skip
        if self._checksums:
            checksum = self._file_checksum()
            _SEAL.pack_into(
                self._file, _SEAL_OFFSET, checksum & 0xFFFF, 0, EXTRA_INODE_SIZE, checksum >> 16
            )
        return self._file

    def pack(
        self,
        number: int,
        mode: int,
        uid: int,
        gid: int,
        size: int,
        mtime_ns: int,
        links: int,
        sectors: int,
        flags: int,
        block_map: bytes,
        attribute_block: int = 0,
        attribute_area: bytes = b"",
    ) -> memoryview:
        """Returns the inode, in a buffer that the next call overwrites.

        Args:
            number: Its number.
            mode: Type and permissions.
            uid: Owner, 32 bits.
            gid: Group, 32 bits.
            size: Bytes.
            mtime_ns: Modification time.
            links: Names.
            sectors: 512-byte units in use, maps and attributes included.
            flags: `EXTENTS_FLAG`, `INDEX_FLAG`.
            block_map: The 60 bytes of `i_block`.
            attribute_block: Where the extended attributes are that do not fit, or 0.
            attribute_area: Those that do (`engine.filesystems.ext4.attributes.inode_area`).
        """
        stamp, stamp_extra = self._stamp
        mtime, mtime_extra = encode_time(mtime_ns)
        _INODE.pack_into(
            self._buffer, 0, number, 0,
            mode, uid & 0xFFFF, size & 0xFFFFFFFF, stamp, stamp, mtime, 0, gid & 0xFFFF, links,
            sectors & 0xFFFFFFFF, flags, 0, block_map, 0, attribute_block & 0xFFFFFFFF,
            size >> 32, 0, sectors >> 32, attribute_block >> 32, uid >> 16, gid >> 16, 0, 0,
            EXTRA_INODE_SIZE, 0, stamp_extra, mtime_extra, stamp_extra, stamp, stamp_extra, 0, 0,
            attribute_area,
        )  # fmt: skip
        return self._sealed()

    def restamped(self, number: int, inode: bytes) -> memoryview:
        """Returns an inode that mke2fs made, with all its times at the epoch."""
        seconds, extra = self._stamp
        generation = struct.unpack_from("<I", inode, 100)[0]
        _PREFIX.pack_into(self._buffer, 0, number, generation)
        self._view[:] = inode
        for low, high in _TIMES:
            struct.pack_into("<I", self._view, low, seconds)
            struct.pack_into("<I", self._view, high, extra)
        _SEAL.pack_into(self._view, _SEAL_OFFSET, 0, 0, EXTRA_INODE_SIZE, 0)
        return self._sealed()

    def _sealed(self) -> memoryview:
        if self._checksums:
            checksum = self._checksum()
            _SEAL.pack_into(
                self._view, _SEAL_OFFSET, checksum & 0xFFFF, 0, EXTRA_INODE_SIZE, checksum >> 16
            )
        return self._view
