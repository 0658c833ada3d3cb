"""Extended attributes of ext2, ext3 and ext4: entries behind an inode's fields or in a block.

Source: Documentation/filesystems/ext4/attributes.rst and inlinedata.rst of the Linux kernel.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from engine.image.reading import BadFilesystem
from engine.units import in_bytes

MAGIC = 0xEA020000
BLOCK_HEADER = 32
INLINE_DATA = b"system.data"
"""Not an attribute to anybody but the file system: the rest of a small file's data."""
MAX_VALUE = 1 << 16
"""Bytes of a value (linux/limits.h, XATTR_SIZE_MAX)."""

_ENTRY = struct.Struct("<BBHIII")
_MAP_AT, _MAP = 40, 60
_PREFIXES = {0: b"", 1: b"user.", 4: b"trusted.", 6: b"security.", 7: b"system."}
_ACLS = {2: b"system.posix_acl_access", 3: b"system.posix_acl_default"}


@dataclass(frozen=True, slots=True)
class Attribute:
    """Where an attribute's value is.

    Attributes:
        name: With its prefix.
        place: Of the value in the area, unless it has an inode of its own.
        size: Bytes of the value.
        inode: That holds the value, or 0.
    """

    name: bytes
    place: int
    size: int
    inode: int

    def value(self, stored: bytes) -> bytes:
        """Returns the value as getxattr(2) has it."""
        return _acl(stored) if self.name in _ACLS.values() else stored


def attributes(area: bytes, at: int) -> Iterator[Attribute]:
    """Yields the attributes of an area.

    Args:
        area: What the places of values are counted in.
        at: Of the first entry.

    Raises:
        BadFilesystem: A value does not lie in the area, or is longer than any may be.
    """
    while at + _ENTRY.size <= len(area) and area[at : at + 4] != b"\0\0\0\0":
        length, index, place, inode, size, _ = _ENTRY.unpack_from(area, at)
        stored = area[at + _ENTRY.size : at + _ENTRY.size + length]
        if size > MAX_VALUE or (not inode and place + size > len(area)):
            raise BadFilesystem(f"attribute {stored!r}: {in_bytes(size)} at {place}")
        name = _ACLS.get(index) or _PREFIXES.get(index, b"?%d." % index) + stored
        yield Attribute(name, place, size, inode)
        at += _ENTRY.size + (length + 3 & ~3)


def in_inode(raw: bytes, start: int) -> Iterator[Attribute]:
    """Yields the attributes of an inode, by their places in it.

    Args:
        raw: The inode.
        start: Where its fields end.

    Raises:
        BadFilesystem: An attribute is damaged.
    """
    if len(raw) > start + 4 and struct.unpack_from("<I", raw, start)[0] == MAGIC:
        for each in attributes(raw[start + 4 :], 0):
            yield replace(each, place=start + 4 + each.place)


def inline_data(
    found: Sequence[Attribute], size: int, *, folder: bool
) -> Iterator[tuple[int, int, int]]:
    """Yields the pieces of data that stand in an inode: offset, place in the inode, length.

    They are where other inodes have their map, then in an attribute. A directory's begin with the
    number of its parent, which is not an entry.
    """
    skip = 4 if folder else 0
    yield skip, _MAP_AT + skip, max(min(size, _MAP) - skip, 0)
    for each in found:
        if each.name == INLINE_DATA and not each.inode and each.size:
            yield _MAP, each.place, each.size


def _acl(value: bytes) -> bytes:
    """Converts an ACL from ext's form to the one of getxattr(2) (linux/posix_acl_xattr.h)."""
    entries = [struct.pack("<I", 2)]
    at = 4
    while at + 4 <= len(value):
        tag, permissions = struct.unpack_from("<HH", value, at)
        at += 4
        identity = 0xFFFFFFFF
        if tag in {0x02, 0x08}:
            identity = struct.unpack_from("<I", value.ljust(at + 4, b"\0"), at)[0]
            at += 4
        entries.append(struct.pack("<HHI", tag, permissions, identity))
    return b"".join(entries)
