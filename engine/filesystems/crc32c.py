"""CRC-32C as fast as it is to be had, for readers: libext2fs' where it is installed.

The polynomial is no format's own, so that here a reader and a writer may share code.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from engine.filesystems.ext4.native import LibraryError
from engine.filesystems.ext4.native import crc32c as library
from engine.image import crc32c as slow


@cache
def crc32c() -> Callable[[int, bytes], int]:
    """Returns what computes a CRC-32C, not inverted, of a register and further bytes."""
    try:
        library(0, b"")
    except LibraryError:
        return lambda value, data: slow.crc32c(data, value)
    return library
