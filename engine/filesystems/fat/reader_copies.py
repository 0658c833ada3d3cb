"""Finds a FAT32 whose boot sector is gone, by the copy that it has in its sector 6.

Source: Microsoft, "FAT32 File System Specification" 1.03, BPB_BkBootSec: "no value other than 6 is
recommended".
"""

from __future__ import annotations

import struct

from engine.filesystems.fat.reader import probe
from engine.image.container import BadImage
from engine.image.copied import Copied, with_copy
from engine.image.reading import Window
from engine.units import in_bytes

_SECTOR, _COPY_AT = 6, 50
_SIZE = 512


def copied(window: Window) -> Copied | None:
    """Returns what the copy says if it fits, or None."""
    for sector in (512, 1024, 2048, 4096):
        at = _SECTOR * sector
        if at + _SIZE > window.size:
            break
        raw = window.read(at, _SIZE)
        try:
            found = probe(with_copy(window, 0, raw))
        except (BadImage, struct.error):
            continue
        if found is None or found.bits != 32 or found.sector != sector:
            continue
        if struct.unpack_from("<H", raw, _COPY_AT)[0] == _SECTOR and found.size <= window.size:
            repair = f"copy {in_bytes(sector)} from there to the first byte of the file system"
            return Copied(found, "boot sector", at, repair)
    return None
