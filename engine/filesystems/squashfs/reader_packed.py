"""Unpacks the blocks of a squashfs, each at most as large as it may be.

Source: fs/squashfs/squashfs_fs.h of the Linux kernel (numbers of the compressions).
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable

import zstandard

from engine.image.reading import BadFilesystem
from engine.units import in_bytes

_XZ_MEMORY = 64 << 20
_ZSTD_WINDOW = 8 << 20

NAMES = {1: "gzip", 2: "lzma", 3: "lzo", 4: "xz", 5: "lz4", 6: "zstd"}
"""By the number in the superblock."""


def _gzip(data: bytes, limit: int) -> bytes:
    return zlib.decompressobj().decompress(data, limit)


def _lzma(data: bytes, limit: int) -> bytes:
    return lzma.LZMADecompressor(memlimit=_XZ_MEMORY).decompress(data, limit)


def _zstd(data: bytes, limit: int) -> bytes:
    size = zstandard.frame_content_size(data)
    if size > limit:  # a frame that gives its size is unpacked whole, whatever the limit
        raise zstandard.ZstdError(in_bytes(size))
    context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    return context.decompress(data, max_output_size=limit)


_UNPACK: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip, "lzma": _lzma, "xz": _lzma, "zstd": _zstd,
}  # fmt: skip


def unpack(compression: str, data: bytes, limit: int) -> bytes:
    """Returns the bytes of a compressed block.

    Args:
        compression: One of `NAMES`.
        data: The block as it is stored.
        limit: Bytes that it can be at most.

    Raises:
        BadFilesystem: It is damaged, or of a compression that is not read here.
    """
    call = _UNPACK.get(compression)
    if call is None:
        raise BadFilesystem(f"compressed with {compression}, which is not read here")
    try:
        return call(data, limit)
    except (zlib.error, lzma.LZMAError, EOFError, zstandard.ZstdError) as error:
        raise BadFilesystem(f"a block of {compression} is damaged: {error}") from error
