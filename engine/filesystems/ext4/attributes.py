"""Extended attributes as bytes: the space behind an inode, and the block of what does not fit.

Source: Documentation/filesystems/ext4/attributes.rst of the Linux kernel.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from engine.filesystems.ext4.format import BLOCK_SIZE, EXTRA_INODE_SIZE, INODE_SIZE
from engine.filesystems.ext4.xattr import DiskAttribute

_MAGIC = 0xEA020000
_ENTRY = struct.Struct("<BBHIII")
_HEADER = struct.Struct("<IIIII12x")
_CHECKSUM_OFFSET = 16
_MASK = 0xFFFFFFFF

INODE_AREA = INODE_SIZE - 128 - EXTRA_INODE_SIZE
"""Bytes behind the fixed part of an inode."""


def inode_area(attributes: Sequence[DiskAttribute]) -> bytes:
    """Returns what stands behind an inode's fixed part; empty without attributes."""
    if not attributes:
        return b""
    # Here the values' offsets count from the first entry, behind the magic; hashes are not used.
    return struct.pack("<I", _MAGIC) + _packed(attributes, 0, INODE_AREA - 4, hashed=False)


def block(attributes: Sequence[DiskAttribute]) -> bytearray:
    """Returns the block that holds these attributes, its checksum still 0."""
    order = sorted(attributes, key=lambda a: (a.index, len(a.name), a.name))
    hashes = [_hash(attribute) for attribute in order]
    whole = 0
    for value in hashes:
        whole = (whole << 16 ^ whole >> 16 ^ value) & _MASK
    if 0 in hashes:  # marks a block that is not to be shared
        whole = 0
    return bytearray(
        _HEADER.pack(_MAGIC, 1, 1, whole, 0) + _packed(order, _HEADER.size, BLOCK_SIZE, hashed=True)
    )


def set_checksum(block: bytearray, checksum: int) -> None:
    """Puts the checksum (over the block's number as 64 bits and the block) into its place."""
    struct.pack_into("<I", block, _CHECKSUM_OFFSET, checksum)


def _packed(
    attributes: Sequence[DiskAttribute], first: int, end: int, *, hashed: bool
) -> bytearray:
    """Returns entries growing up from offset `first` and their values growing down from `end`."""
    area = bytearray(end - first)
    at, values = 0, end
    for attribute in attributes:
        name, value = attribute.name, attribute.value
        values -= len(value) + 3 & ~3
        code = _hash(attribute) if hashed else 0
        offset = values if value else 0
        _ENTRY.pack_into(area, at, len(name), attribute.index, offset, 0, len(value), code)
        at += _ENTRY.size
        area[at : at + len(name)] = name
        at += len(name) + 3 & ~3
        area[values - first : values - first + len(value)] = value
    return area


def _hash(attribute: DiskAttribute) -> int:
    """Returns `e_hash`: over the bytes of the name, then the little-endian words of the value."""
    code = 0
    for byte in attribute.name:
        code = (code << 5 ^ code >> 27 ^ byte) & _MASK
    padded = attribute.value + bytes(-len(attribute.value) % 4)
    for (word,) in struct.iter_unpack("<I", padded):
        code = (code << 16 ^ code >> 16 ^ word) & _MASK
    return code
