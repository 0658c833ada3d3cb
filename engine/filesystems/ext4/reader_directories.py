"""The records in a block of a directory of ext2, ext3 and ext4.

Source: Documentation/filesystems/ext4/directory.rst of the Linux kernel.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from engine.image.reading import BadFilesystem
from engine.units import in_bytes

DOTS = frozenset({b".", b".."})


def records(
    block: bytes, directory: bytes, *, typed: bool, encrypted: bool = False
) -> Iterator[tuple[bytes, int, int]]:
    """Yields name, inode and type (0: unknown) of the records in a block.

    Blocks of an index look like blocks without names.

    Args:
        block: The block.
        directory: Its path, for messages.
        typed: Whether records have the type of what they name.
        encrypted: Whether names take a key to read.

    Raises:
        BadFilesystem: It is damaged, or its names are encrypted.
    """
    at = 0
    while at + 8 <= len(block):
        inode, span, length, kind = struct.unpack_from("<IHBB", block, at)
        span = span or 65536
        if span < 8 or at + span > len(block):
            raise BadFilesystem(f"directory {directory!r}: record of {in_bytes(span)}")
        name = block[at + 8 : at + 8 + length]
        if inode and name:
            if encrypted and name not in DOTS:
                raise BadFilesystem(
                    f"directory {directory!r}: its names are encrypted; it takes the key to read "
                    "them"
                )
            if b"/" in name or b"\0" in name:
                raise BadFilesystem(f"directory {directory!r}: name {name!r}")
            yield name, inode, kind if typed else 0
        at += span
