"""Extended attributes of an XFS: in the inode, in blocks, or with values in blocks of their own.

ACLs have names and a form of their own on the disk; they are shown as getxattr(2) shows them.

Source: fs/xfs/libxfs/xfs_da_format.h and xfs_attr_remote.c, fs/xfs/xfs_acl.c of the Linux kernel.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from engine.filesystems.xfs.reader_blocks import INDEX, REMOTE, Blocks
from engine.filesystems.xfs.reader_inode import BTREE, EXTENTS, LOCAL, Fork, Inode, Inodes
from engine.image.reading import BadFilesystem
from engine.units import in_bytes

_LOCAL, _TRUSTED, _SECURITY, _PARENT, _INCOMPLETE = 0x1, 0x2, 0x4, 0x8, 0x80
_PREFIXES = {0: b"user.", _TRUSTED: b"trusted.", _SECURITY: b"security."}
_ACLS = {
    b"trusted.SGI_ACL_FILE": b"system.posix_acl_access",
    b"trusted.SGI_ACL_DEFAULT": b"system.posix_acl_default",
}  # fmt: skip
_ACL_ENTRY = struct.Struct(">IIHxx")
_ACL_VERSION, _NAMED, _NOBODY = 2, (2, 8), 0xFFFFFFFF
"""Of entries for one user or one group, which alone have an id (posix_acl_xattr.h)."""
_NODE, _NODE_V4 = 0x3EBE, 0xFEBE
_LEAF, _LEAF_V4 = 0x3BEE, 0xFBEE
_REMOTE = b"XARM"
_REMOTE_HEADER = 56
_MAX_VALUE = 1 << 16
_MAX_BYTES = 1 << 23
"""Of all attributes of one inode."""
_COST = 16
"""Bytes that an attribute counts for besides its name and value."""
_MAX_BLOCKS = 1 << 16
_MAX_LEVELS = 5

Attribute = tuple[bytes, bytes]


class Attributes:
    """Reads attributes."""

    def __init__(self, blocks: Blocks, inodes: Inodes) -> None:
        self._blocks = blocks
        self._inodes = inodes
        self._checksums = blocks.superblock.checksums

    def of(self, inode: Inode) -> Iterator[Attribute]:
        """Yields the attributes of an inode, as Linux names them, in no order.

        Raises:
            BadFilesystem: They are damaged.
        """
        fork = inode.attributes
        if fork is None or (fork.form == EXTENTS and not fork.count):
            return
        left = _MAX_BYTES
        for flags, name, value in self._stored(inode, fork):
            left -= _COST + len(name) + len(value)
            if left < 0:
                raise BadFilesystem(
                    f"inode {inode.number}: over {in_bytes(_MAX_BYTES)} of attributes"
                )
            if flags & (_INCOMPLETE | _PARENT):
                continue
            prefix = _PREFIXES.get(flags & ~_LOCAL)
            if prefix is None:
                raise BadFilesystem(f"inode {inode.number}: an attribute of kind {flags:#x}")
            full = prefix + name
            acl = _ACLS.get(full)
            yield (full, value) if acl is None else (acl, _acl(inode.number, value))

    def _stored(self, inode: Inode, fork: Fork) -> Iterator[tuple[int, bytes, bytes]]:
        if fork.form == LOCAL:
            yield from _in_inode(inode.number, fork.raw)
            return
        if fork.form not in {EXTENTS, BTREE}:
            raise BadFilesystem(f"inode {inode.number}: attributes of form {fork.form}")
        map_: dict[int, int] = {}
        for extent in self._inodes.extents(inode, fork):
            if len(map_) + extent.blocks > _MAX_BLOCKS:
                raise BadFilesystem(
                    f"inode {inode.number}: over {_MAX_BLOCKS} blocks of attributes"
                )
            for at in range(extent.blocks):
                map_[extent.logical + at] = extent.block + at
        for raw in self._leaves(inode, map_):
            yield from self._in_leaf(inode, raw, map_)

    def _leaves(self, inode: Inode, map_: dict[int, int]) -> Iterator[bytes]:
        """Yields the leaves in the order of their chain."""
        node = _NODE if self._checksums else _NODE_V4
        leaf = _LEAF if self._checksums else _LEAF_V4
        logical, seen = 0, set[int]()
        raw, magic = self._block(inode, map_, logical, seen)
        while magic == node:
            count, level = struct.unpack_from(">HH", raw, 56 if self._checksums else 12)
            if not count or not 0 < level <= _MAX_LEVELS:
                raise BadFilesystem(f"inode {inode.number}: an index of level {level}")
            (logical,) = struct.unpack_from(">I", raw, (64 if self._checksums else 16) + 4)
            raw, magic = self._block(inode, map_, logical, seen)
        while True:
            if magic != leaf:
                raise BadFilesystem(f"inode {inode.number}: attributes in a block of {magic:#x}")
            yield raw
            (logical,) = struct.unpack_from(">I", raw)
            if not logical:
                return
            raw, magic = self._block(inode, map_, logical, seen)

    def _block(
        self, inode: Inode, map_: dict[int, int], logical: int, seen: set[int]
    ) -> tuple[bytes, int]:
        if logical not in map_ or logical in seen:
            raise BadFilesystem(
                f"inode {inode.number}: no block {logical} of its attributes, or met twice"
            )
        seen.add(logical)
        block = map_[logical]
        raw = self._blocks.read(block)
        self._blocks.sealed(raw, INDEX, block, inode.number, f"attributes of inode {inode.number}")
        return raw, struct.unpack_from(">H", raw, 8)[0]

    def _in_leaf(
        self, inode: Inode, raw: bytes, map_: dict[int, int]
    ) -> Iterator[tuple[int, bytes, bytes]]:
        (count,) = struct.unpack_from(">H", raw, 56 if self._checksums else 12)
        first = 80 if self._checksums else 32
        where = f"inode {inode.number}: an attribute"
        if first + count * 8 > len(raw):
            raise BadFilesystem(f"inode {inode.number}: {count} attributes in {in_bytes(len(raw))}")
        for index in range(count):
            at, flags = struct.unpack_from(">HB", raw, first + index * 8 + 4)
            if at + 9 > len(raw):
                raise BadFilesystem(f"{where} at byte {at} of {len(raw)}")
            if flags & _LOCAL:
                size, length = struct.unpack_from(">HB", raw, at)
                start = at + 3
                value = raw[start + length : start + length + size]
            else:
                logical, size, length = struct.unpack_from(">IIB", raw, at)
                start = at + 9
                skipped = flags & (_INCOMPLETE | _PARENT)
                value = b"" if skipped else self._value(inode, map_, logical, size)
                size = len(value)
            if start + length + (size if flags & _LOCAL else 0) > len(raw) or len(value) != size:
                raise BadFilesystem(f"{where} of {length:,} and {in_bytes(size)} at byte {at}")
            yield flags, raw[start : start + length], value

    def _value(self, inode: Inode, map_: dict[int, int], logical: int, size: int) -> bytes:
        """Returns a value that has blocks of its own."""
        if size > _MAX_VALUE:
            raise BadFilesystem(f"inode {inode.number}: an attribute of {in_bytes(size)}")
        value = bytearray()
        while len(value) < size:
            block = map_.get(logical)
            if block is None:
                raise BadFilesystem(f"inode {inode.number}: no block {logical} of its attributes")
            raw = self._blocks.read(block)
            if self._checksums:
                what = f"an attribute of inode {inode.number}"
                raw = unwrapped(self._blocks, raw, _REMOTE, block, inode.number, len(value), what)
            value += raw
            logical += 1
        return bytes(value[:size])


def unwrapped(
    blocks: Blocks, raw: bytes, magic: bytes, block: int, owner: int, offset: int, what: str
) -> bytes:
    """Returns what blocks hold behind a header of their own, of version 5.

    Args:
        blocks: The blocks of the file system.
        raw: The bytes.
        magic: What they begin with.
        block: The first of them.
        owner: The inode they belong to.
        offset: Of the first byte in the whole.
        what: They are, for the message.

    Raises:
        BadFilesystem: They are damaged.
    """
    _, at, size = struct.unpack_from(">4sII", raw)
    if raw[:4] != magic or at != offset or not 0 < size <= len(raw) - _REMOTE_HEADER:
        raise BadFilesystem(
            f"{what} at {blocks.named(block)} begins with {raw[:4]!r}, {in_bytes(size)} at {at}"
        )
    blocks.sealed(raw, REMOTE, block, owner, what)
    return raw[_REMOTE_HEADER : _REMOTE_HEADER + size]


def _in_inode(number: int, raw: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    if len(raw) < 4:
        raise BadFilesystem(f"inode {number}: attributes in {in_bytes(len(raw))}")
    total, count = struct.unpack_from(">HB", raw)
    if not 4 <= total <= len(raw):
        raise BadFilesystem(f"inode {number}: {in_bytes(total)} of attributes in {len(raw):,}")
    at = 4
    for _ in range(count):
        if at + 3 > total:
            raise BadFilesystem(f"inode {number}: its attributes go behind their end")
        length, size, flags = struct.unpack_from("BBB", raw, at)
        start = at + 3
        at = start + length + size
        if at > total:
            raise BadFilesystem(f"inode {number}: its attributes go behind their end")
        yield flags, raw[start : start + length], raw[start + length : at]


def _acl(number: int, value: bytes) -> bytes:
    """Returns an ACL as getxattr(2) does."""
    if len(value) < 4 or len(value) != 4 + int.from_bytes(value[:4], "big") * _ACL_ENTRY.size:
        raise BadFilesystem(f"inode {number}: an ACL of {in_bytes(len(value))}")
    entries = (
        struct.pack("<HHI", tag & 0xFFFF, rights, who if tag in _NAMED else _NOBODY)
        for tag, who, rights in _ACL_ENTRY.iter_unpack(value[4:])
    )
    return struct.pack("<I", _ACL_VERSION) + b"".join(entries)
