"""Unpacks what a Btrfs has compressed, each piece at most as large as it may be.

Sources: fs/btrfs/compression.h and lzo.c of the Linux kernel (how LZO is framed, 128 KiB at most);
Documentation/staging/lzo.rst there (the codes of LZO1X).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import zstandard

from engine.image.reading import BadFilesystem
from engine.units import in_bytes

NAMES = {1: "zlib", 2: "lzo", 3: "zstd"}
LARGEST = 1 << 17
"""Bytes of a compressed piece, unpacked (BTRFS_MAX_UNCOMPRESSED)."""
_WORD = 4


def unpack(kind: int, data: bytes, limit: int, block_size: int) -> bytes:
    """Returns a piece unpacked; what lies behind it in its blocks is passed over.

    Args:
        kind: Number of the compression.
        data: As it is stored.
        limit: Bytes that it has unpacked.
        block_size: Of the file system.

    Raises:
        BadFilesystem: It is damaged, or of a compression that is not known.
    """
    call = _UNPACK.get(kind)
    if call is None:
        raise BadFilesystem(f"Btrfs: data of compression {kind}, which is not known here")
    if limit > LARGEST:
        raise BadFilesystem(f"Btrfs: {in_bytes(limit)} of compressed data in one piece")
    try:
        return call(data, limit, block_size)
    except (zlib.error, zstandard.ZstdError, IndexError, struct.error) as error:
        raise BadFilesystem(f"Btrfs: a piece of {NAMES[kind]} is damaged: {error}") from error


def _zlib(data: bytes, limit: int, block_size: int) -> bytes:
    return zlib.decompressobj().decompress(data, limit)


def _zstd(data: bytes, limit: int, block_size: int) -> bytes:
    context = zstandard.ZstdDecompressor(max_window_size=LARGEST)
    with context.stream_reader(data) as stream:
        return stream.read(limit)


def _lzo(data: bytes, limit: int, block_size: int) -> bytes:
    (total,) = struct.unpack_from("<I", data)
    end = min(total, len(data))
    out = bytearray()
    at = _WORD
    while at + _WORD <= end and len(out) < limit:
        left = block_size - at % block_size
        if left < _WORD:  # no length crosses the end of a block
            at += left
        (length,) = struct.unpack_from("<I", data, at)
        at += _WORD
        if at + length > end:
            raise BadFilesystem(f"Btrfs: a piece of LZO of {in_bytes(length)} goes past its end")
        out += lzo1x(data[at : at + length], block_size)
        at += length
    return bytes(out[:limit])


def lzo1x(data: bytes, limit: int) -> bytes:
    """Returns what an LZO1X stream holds, at most so many bytes.

    Raises:
        BadFilesystem: It is damaged.
        IndexError: It ends early.
    """
    out = bytearray()
    at = state = 0
    if data[0] > 17:
        count = data[0] - 17
        out += _literals(data, 1, count)
        at, state = 1 + count, min(count, 4)
    while True:
        code = data[at]
        at += 1
        if code < 16:
            if state == 0:
                count = code + 3
                if not code:
                    count, at = _long(data, at, 18)
                out += _literals(data, at, count)
                at, state = at + count, 4
                continue
            distance = (data[at] << 2) + (code >> 2) + 1
            length = 2
            if state == 4:
                distance, length = distance + 2048, 3
            at += 1
            state = code & 3
        elif code < 64:
            mask, base = (31, 33) if code >= 32 else (7, 9)
            length = (code & mask) + 2
            if not code & mask:
                length, at = _long(data, at, base)
            low = data[at] | data[at + 1] << 8
            at += 2
            distance = (low >> 2) + 1
            if code < 32:
                distance += 16384 - 1 + ((code & 8) << 11)
                if distance == 16384:
                    return bytes(out)
            state = low & 3
        else:
            length = (code >> 5) + 1
            distance = (data[at] << 3) + (code >> 2 & 7) + 1
            at += 1
            state = code & 3
        if distance > len(out):
            raise BadFilesystem(f"Btrfs: LZO copies from {in_bytes(distance)} before the beginning")
        if len(out) + length > limit:
            raise BadFilesystem(f"Btrfs: LZO holds more than {in_bytes(limit)}")
        for _ in range(length):
            out.append(out[-distance])
        out += _literals(data, at, state)
        at += state


def _long(data: bytes, at: int, base: int) -> tuple[int, int]:
    """Returns a length that zeros make longer, and where it ends."""
    zeros = 0
    while not data[at]:
        zeros += 1
        at += 1
    return base + zeros * 255 + data[at], at + 1


def _literals(data: bytes, at: int, count: int) -> bytes:
    if at + count > len(data):
        raise BadFilesystem("Btrfs: LZO ends early")
    return data[at : at + count]


_UNPACK: dict[int, Callable[[bytes, int, int], bytes]] = {1: _zlib, 2: _lzo, 3: _zstd}
