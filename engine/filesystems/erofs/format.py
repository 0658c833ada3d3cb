"""EROFS on disk: the structures that the writer makes, packed.

Source: fs/erofs/erofs_fs.h of the Linux kernel and its Documentation/filesystems/erofs.rst.
"""

from __future__ import annotations

import os
import stat
import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from engine.image.crc32c import crc32c
from engine.units import in_bytes

BLOCK_SIZE = 4096
BLOCK_BITS = 12
SUPERBLOCK_AT = 1024
SLOT = 32
"""Inodes begin at multiples of it, and are numbered in it (nid)."""
INODE_SIZE = 64
FIRST_INODE_AT = SUPERBLOCK_AT + 128
MAX_NAME = 255
MAX_TARGET = 4095
"""Longer ones do not fit the page that a path is read into."""
MAX_BLOCKS = (1 << 32) - 1
HOLE = 0xFFFFFFFF
MAX_CHUNK_BITS = 19
"""Logarithm of the blocks of the largest chunk that is made: 2 GiB, whose sums fit 32 bits."""

PLAIN, INLINE, CHUNKED = 0, 2, 4
"""Layouts: in blocks; the last part behind the inode; by chunks, which may be holes."""

_MAGIC = 0xE0F5E1E2
_WITH_CHECKSUM, _WITH_MTIME = 1, 2
_WITH_CHUNKS = 4
_SUPERBLOCK = struct.Struct("<IIIBBHQQIIII16s16sI")
_CHECKSUM_AT = 4
_EXTENDED = 1
_INODE = struct.Struct("<HHHHQIIIIqII16x")
_XATTR_HEADER = 12
_XATTR_ENTRY = struct.Struct("<BBH")
_PREFIXES = (
    (b"user.", 1), (b"trusted.", 4), (b"security.", 6),
)  # fmt: skip
_WHOLE = {b"system.posix_acl_access": 2, b"system.posix_acl_default": 3}
_DIRENT = struct.Struct("<QHBB")
DIRENT_SIZE = _DIRENT.size
_KINDS = {
    stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3, stat.S_IFBLK: 4, stat.S_IFIFO: 5,
    stat.S_IFSOCK: 6, stat.S_IFLNK: 7,
}  # fmt: skip
_MOST_XATTRS = (0xFFFF - 1) * 4 + _XATTR_HEADER

Attributes = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Superblock:
    """What the superblock says."""

    root: int
    inodes: int
    epoch: int
    blocks: int
    uuid: str
    label: str
    chunked: bool

    def pack(self) -> bytes:
        """Returns it without its checksum (`sealed`).

        Raises:
            ValueError: The label or the UUID cannot be one.
        """
        label = self.label.encode()
        if len(label) > 16 or b"\0" in label:
            raise ValueError(f"{self.label!r} is not a label of at most 16 bytes")
        slots = meta_block = xattr_block = 0
        return _SUPERBLOCK.pack(
            _MAGIC, 0, _WITH_CHECKSUM | _WITH_MTIME, BLOCK_BITS, slots, self.root // SLOT,
            self.inodes, self.epoch, 0, self.blocks, meta_block, xattr_block,
            uuid.UUID(self.uuid).bytes, label, _WITH_CHUNKS if self.chunked else 0,
        )  # fmt: skip


def checksum(first_block: bytes) -> bytes:
    """Returns the superblock's checksum, which is of all that follows in the first block, too."""
    covered = bytearray(first_block[SUPERBLOCK_AT:BLOCK_SIZE])
    covered[_CHECKSUM_AT : _CHECKSUM_AT + 4] = bytes(4)
    return struct.pack("<I", crc32c(covered))


CHECKSUM_AT = SUPERBLOCK_AT + _CHECKSUM_AT


def inode(
    mode: int, uid: int, gid: int, mtime_ns: int, *,
    layout: int, size: int, where: int, number: int, links: int, xattr_bytes: int,
) -> bytes:  # fmt: skip
    """Returns an inode in its extended form, `INODE_SIZE` bytes.

    Args:
        mode, uid, gid, mtime_ns: As an entry has them.
        layout: Of its data.
        size: Bytes of its data.
        where: First block, device number or chunk size, as the layout and the kind say.
        number: What stat calls its inode number on 32 bits.
        links: Its names.
        xattr_bytes: From `xattr_bytes`.
    """
    seconds, rest = divmod(mtime_ns, 1_000_000_000)
    attributes = (xattr_bytes - _XATTR_HEADER) // 4 + 1 if xattr_bytes else 0
    return _INODE.pack(
        _EXTENDED | layout << 1, attributes, mode, 0, size, where, number, uid, gid, seconds, rest,
        links,
    )  # fmt: skip


def device(rdev: int) -> int:
    """Returns a device number as the kernel stores it in 32 bits."""
    major, minor = os.major(rdev), os.minor(rdev)
    return minor & 0xFF | major << 8 | (minor & ~0xFF) << 12


def split_name(name: bytes) -> tuple[int, bytes] | None:
    """Returns the number of an attribute's prefix and the rest; None: the format has no such."""
    if name in _WHOLE:
        return _WHOLE[name], b""
    for prefix, index in _PREFIXES:
        if name.startswith(prefix):
            return index, name[len(prefix) :]
    return None


def xattr_trouble(xattrs: Attributes) -> str:
    """Returns why the format cannot hold some attributes, or ""."""
    for name, value in xattrs:
        split = split_name(name)
        if split is None:
            return f"the extended attribute {name.decode(errors='replace')} is of an unknown kind"
        if len(split[1]) > 255 or len(value) > 0xFFFF:
            return (
                f"an extended attribute with a name of {in_bytes(len(name))} and a value of "
                f"{len(value)}; 255 and 65535 at most"
            )
    total = xattr_bytes(xattrs)
    if total > _MOST_XATTRS:
        return f"{in_bytes(total)} of extended attributes, {_MOST_XATTRS:,} at most"
    return ""


def xattr_bytes(xattrs: Attributes) -> int:
    """Returns the bytes that attributes take behind their inode."""
    if not xattrs:
        return 0
    parts = (split_name(name) or (0, name) for name, _ in xattrs)
    sizes = (
        4 + len(rest) + len(value) for (_, rest), (_, value) in zip(parts, xattrs, strict=True)
    )
    return _XATTR_HEADER + sum(size + 3 & ~3 for size in sizes)


def pack_xattrs(xattrs: Attributes) -> bytes:
    """Returns attributes as they stand behind their inode; an ACL's value is getxattr's."""
    if not xattrs:
        return b""
    packed = [bytes(_XATTR_HEADER)]
    for name, value in xattrs:
        index, rest = split_name(name) or (0, name)
        entry = _XATTR_ENTRY.pack(len(rest), index, len(value)) + rest + value
        packed.append(entry + bytes(-len(entry) % 4))
    return b"".join(packed)


Names = Sequence[tuple[bytes, int, int]]
"""Of a directory, sorted by byte, `.` and `..` among them: name, inode's position, mode."""


def directory_bytes(lengths: Sequence[int]) -> int:
    """Returns the size of a directory whose names, in order, have these lengths."""
    full = used = 0
    for length in lengths:
        used += DIRENT_SIZE + length
        if used > BLOCK_SIZE:
            full += 1
            used = DIRENT_SIZE + length
    return full * BLOCK_SIZE + used


def pack_directory(names: Names) -> bytes:
    """Returns a directory: in each block the entries, then their names."""
    blocks: list[bytes] = []
    start = used = 0
    for at, (name, _, _) in enumerate(names):
        used += DIRENT_SIZE + len(name)
        if used > BLOCK_SIZE:
            blocks.append(_directory_block(names[start:at]).ljust(BLOCK_SIZE, b"\0"))
            start, used = at, DIRENT_SIZE + len(name)
    blocks.append(_directory_block(names[start:]))
    return b"".join(blocks)


def _directory_block(names: Names) -> bytes:
    at = DIRENT_SIZE * len(names)
    entries = []
    for name, position, mode in names:
        entries.append(_DIRENT.pack(position // SLOT, at, _KINDS[stat.S_IFMT(mode)], 0))
        at += len(name)
    return b"".join((*entries, *(name for name, _, _ in names)))
