"""Writes the hash tree of a volume: reads its data once, in threads, and needs no tool."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from engine.filesystems.populate import Cancelled, Progress
from engine.filesystems.verity.tree import (
    BLOCK_SIZE,
    PER_BLOCK,
    levels,
    superblock,
)
from engine.image.whole import read_whole, write_whole

_PIECE = PER_BLOCK * BLOCK_SIZE * 8
"""Bytes read at once: 8 blocks of digests."""
_MOST_THREADS = 4
"""hashlib lets go of the interpreter while it hashes a block, but not between two of them: more
threads only wait for each other."""
_ZEROS = bytes(_PIECE)


def write_tree(
    image: Path,
    data_offset: int,
    data_bytes: int,
    tree_offset: int,
    salt: bytes,
    uuid: str,
    progress: Progress = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> str:
    """Writes the tree of what lies in an image; returns the root hash, in hexadecimal.

    Nothing is synchronised to the storage device.

    Args:
        image: A regular file that reaches to the end of data and tree.
        data_offset: Byte where the data begins; it must be complete.
        data_bytes: Bytes of data, a multiple of `BLOCK_SIZE`.
        tree_offset: Byte where the tree goes, `hash_tree_size` bytes; not within the data.
        salt: At most 256 bytes.
        uuid: Of the tree.
        progress: Called now and then with bytes of data hashed and in all.
        cancelled: Asked several times a second.

    Raises:
        ValueError: The size is not one of whole blocks, the salt is too long, the UUID is none,
            or the image ends within the data; nothing is written.
        engine.filesystems.populate.Cancelled: `cancelled` said so.
        OSError: Reading or writing the image failed.
    """
    tree = levels(data_bytes)
    header = superblock(data_bytes, salt, uuid)
    salted = hashlib.sha256(salt)
    descriptor = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        length = os.fstat(descriptor).st_size
        if data_offset + data_bytes > length:
            raise ValueError(f"data to byte {data_offset + data_bytes} of an image of {length}")
        digests = _of_data(descriptor, data_offset, data_bytes, salted, progress, cancelled)
        for level in tree:
            at = tree_offset + level.at
            above: list[bytes] = []
            for piece in digests:
                padded = piece + bytes(-len(piece) % BLOCK_SIZE)
                write_whole(descriptor, padded, at)
                at += len(padded)
                above.append(_digests(padded, salted))
            digests = _regrouped(above)
        write_whole(descriptor, header.ljust(BLOCK_SIZE, b"\0"), tree_offset)
        return b"".join(digests).hex()
    finally:
        os.close(descriptor)


def _of_data(
    descriptor: int,
    offset: int,
    size: int,
    salted: hashlib._Hash,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> Iterator[bytes]:
    """Yields the digests of all blocks of data in order, those of a piece together."""
    empty = _digests(_ZEROS[:BLOCK_SIZE], salted)

    def hashed(at: int) -> bytes:
        length = min(_PIECE, size - at)
        data = read_whole(descriptor, length, offset + at)
        if data == _ZEROS[:length]:  # as most of an image is
            return empty * (length // BLOCK_SIZE)
        return _digests(data, salted)

    threads = min(os.cpu_count() or 1, _MOST_THREADS)
    with ThreadPoolExecutor(threads, thread_name_prefix="hash tree") as pool:
        waiting: deque[Future[bytes]] = deque()
        done = 0
        try:
            for at in range(0, size, _PIECE):
                waiting.append(pool.submit(hashed, at))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
                    done += _PIECE
                    progress(done, size)
                if cancelled():
                    raise Cancelled
            while waiting:
                yield waiting.popleft().result()
        finally:
            for each in waiting:
                each.cancel()
    progress(size, size)


def _regrouped(digests: list[bytes]) -> Iterator[bytes]:
    """Yields digests in pieces that fill blocks, the last one perhaps not."""
    joined = b"".join(digests)
    unit = _PIECE // PER_BLOCK
    return (joined[at : at + unit] for at in range(0, len(joined), unit))


def _digests(data: bytes, salted: hashlib._Hash) -> bytes:
    """Returns the digests of the blocks of some data."""
    view = memoryview(data)
    found = []
    for at in range(0, len(data), BLOCK_SIZE):
        digest = salted.copy()
        digest.update(view[at : at + BLOCK_SIZE])
        found.append(digest.digest())
    return b"".join(found)
