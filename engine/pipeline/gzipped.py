"""gzip (RFC 1952) whose bytes depend on the contents and the version of zlib alone.

Each mebibyte is deflated separately and ends on a byte, so pieces can be made side by side, the
bytes are the same on any number of processors, and one of zeros is deflated once for all.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

_LEVEL = 6
_PIECE = 1 << 20
_ZEROS = bytes(_PIECE)
# No flags, no time, no extra flags, an unknown system: nothing of this machine or moment.
_HEADER = struct.pack("<BBBBLBB", 0x1F, 0x8B, 8, 0, 0, 0, 255)
_LAST_BLOCK = b"\x03\x00"
"""An empty block that says that it is the last one (RFC 1951, 3.2.6)."""


def _deflate(piece: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)


_DEFLATED_ZEROS = _deflate(_ZEROS)


class Gzip:
    """Compresses what it is given; call `close` in any case, as it keeps threads."""

    def __init__(self) -> None:
        workers = min(os.cpu_count() or 1, 8)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="gzip")
        self._ahead = 2 * workers
        self._made: deque[Future[bytes] | bytes] = deque((_HEADER,))
        self._rest = bytearray()
        self._sum = 0
        self._size = 0

    def compress(self, data: bytes | memoryview, /) -> bytes:
        """Takes more, and returns what is ready of the compressed stream."""
        view = memoryview(data)
        while view:
            taken = _PIECE - len(self._rest)
            if not self._rest and len(view) >= _PIECE:
                self._add(bytes(view[:_PIECE]))
            else:
                self._rest += view[:taken]
                if len(self._rest) == _PIECE:
                    self._add(bytes(self._rest))
                    self._rest.clear()
            view = view[taken:]
        return self._take(self._ahead)

    def flush(self) -> bytes:
        """Returns the rest of the compressed stream."""
        if self._rest:
            self._add(bytes(self._rest))
            self._rest.clear()
        return self._take(0) + _LAST_BLOCK + struct.pack("<LL", self._sum, self._size & 0xFFFFFFFF)

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _add(self, piece: bytes) -> None:
        self._sum = zlib.crc32(piece, self._sum)
        self._size += len(piece)
        zero = piece == _ZEROS
        self._made.append(_DEFLATED_ZEROS if zero else self._pool.submit(_deflate, piece))

    def _take(self, left: int) -> bytes:
        """Returns pieces in order, waiting for the oldest until so few are left."""
        ready = []
        while len(self._made) > left:
            made = self._made.popleft()
            ready.append(made if isinstance(made, bytes) else made.result())
        return b"".join(ready)
