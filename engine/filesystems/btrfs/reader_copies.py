"""Finds a Btrfs whose first superblock is gone, by one of its copies, which have fixed places.

Source: btrfs(5), "FILESYSTEM LIMITS"; struct btrfs_super_block, `bytenr`, of the Linux kernel.
"""

from __future__ import annotations

import struct

from engine.filesystems.btrfs.reader import Btrfs
from engine.filesystems.btrfs.reader_superblock import AT, COPIES, MAGIC, MAGIC_AT, SIZE, Superblock
from engine.image.container import BadImage
from engine.image.copied import Copied, with_copy
from engine.image.reading import Window

_PLACE_AT = 0x30


def copied(window: Window) -> Copied | None:
    """Returns what the first copy that fits says, or None if there is none."""
    for at in COPIES:
        if at + SIZE > window.size or window.read(at + MAGIC_AT, len(MAGIC)) != MAGIC:
            continue
        raw = window.read(at, SIZE)
        whole = with_copy(window, AT, raw)
        try:
            found = Btrfs(whole, Superblock(whole))
        except (BadImage, struct.error):
            continue
        fits = struct.unpack_from("<Q", raw, _PLACE_AT)[0] == at
        if fits and (found.size <= window.size or found.superblock.devices > 1):
            return Copied(found, "first superblock", at, "run btrfs rescue super-recover")
    return None
