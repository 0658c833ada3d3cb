"""Extended attributes in their on-disk form: sizes, and what lies in the inode or in a block.

The attributes of an inode are taken in the order of the manifest (by full name) and put into the
space behind the inode while they fit; the others go to one block of the inode's own (blocks are
not shared between inodes, so that counts do not depend on other files).

Source: Documentation/filesystems/ext4/attributes.rst and fs/ext4/acl.h of the Linux kernel.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

from engine.filesystems.ext4.format import BLOCK_SIZE, EXTRA_INODE_SIZE, INODE_SIZE

Attributes = tuple[tuple[bytes, bytes], ...]

INODE_ROOM = INODE_SIZE - 128 - EXTRA_INODE_SIZE - 8
"""Bytes for entries and values in an inode: behind the magic, before the end mark."""

BLOCK_ROOM = BLOCK_SIZE - 32 - 4
"""Bytes for entries and values in a block: behind the header, before the end mark."""

_WHOLE_NAMES = {b"system.posix_acl_access": 2, b"system.posix_acl_default": 3}
_PREFIXES = {b"user.": 1, b"trusted.": 4, b"security.": 6, b"system.": 7}

_ACL_NAMED_TAGS = (0x02, 0x08)  # ACL_USER and ACL_GROUP: the only ones with an id on disk


@dataclass(frozen=True, slots=True)
class DiskAttribute:
    """One attribute as ext stores it.

    Attributes:
        index: The name's prefix as a number (e_name_index), 0 for none.
        name: The rest of the name.
        value: The value in its on-disk form.
    """

    index: int
    name: bytes
    value: bytes

    @property
    def room(self) -> int:
        """Bytes taken by entry and value, each rounded up to 4."""
        return 16 + (len(self.name) + 3 & ~3) + (len(self.value) + 3 & ~3)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the attributes of one inode lie."""

    inode: tuple[DiskAttribute, ...]
    block: tuple[DiskAttribute, ...]

    @property
    def fits(self) -> bool:
        """Whether the block holds what was put into it."""
        return sum(attribute.room for attribute in self.block) <= BLOCK_ROOM


def disk_attribute(name: bytes, value: bytes) -> DiskAttribute:
    """Returns the on-disk form of an attribute given by full name and value as in `getxattr`."""
    if name in _WHOLE_NAMES:
        return DiskAttribute(_WHOLE_NAMES[name], b"", _disk_acl(value))
    for prefix, index in _PREFIXES.items():
        if name.startswith(prefix):
            return DiskAttribute(index, name[len(prefix) :], value)
    return DiskAttribute(0, name, value)


@lru_cache(maxsize=256)  # labels and ACLs repeat from file to file
def place(xattrs: Attributes) -> Placement:
    """Returns where the attributes of an inode go (`Entry.xattrs`)."""
    inode: list[DiskAttribute] = []
    block: list[DiskAttribute] = []
    left = INODE_ROOM
    for name, value in xattrs:
        attribute = disk_attribute(name, value)
        if attribute.room <= left:
            left -= attribute.room
            inode.append(attribute)
        else:
            block.append(attribute)
    return Placement(tuple(inode), tuple(block))


def _disk_acl(value: bytes) -> bytes:
    """Converts an ACL from the kernel's interface form (linux/posix_acl_xattr.h) to ext's."""
    entries = [struct.pack("<I", 1)]
    for tag, permissions, identity in struct.iter_unpack(
        "<HHI", value[4 : len(value) // 8 * 8 + 4]
    ):
        entries.append(struct.pack("<HH", tag, permissions))
        if tag in _ACL_NAMED_TAGS:
            entries.append(struct.pack("<I", identity))
    return b"".join(entries)
