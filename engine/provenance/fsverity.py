"""The fs-verity digest of a file, by which zeros cost nothing.

A Merkle tree of SHA-256 over blocks of 4096 bytes: the digests of 128 blocks make a block of the
level above, up to one digest, the root hash. A subtree of zeros always has the same digest, so a
hole of any size takes a few steps a level. The kernel computes the same for `FS_IOC_ENABLE_VERITY`,
`fsverity digest` prints it.

Source: Documentation/filesystems/fsverity.rst of the Linux kernel, "Merkle tree" and "fs-verity
descriptor".
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable

BLOCK = 4096
DIGEST = 32
"""Bytes of a digest."""
_PER_BLOCK = BLOCK // DIGEST
GROUP = BLOCK * _PER_BLOCK
"""Bytes of a file whose digests make one block: what is hashed again where one of them changed."""
_DESCRIPTOR = struct.Struct("<BBBBIQ64s32s144x")
"""Version, hash algorithm, binary logarithm of the block size, salt size, reserved, file size, root
hash, salt."""
_VERSION, _SHA256, _LOG_BLOCK = 1, 1, 12


class FsVerity:
    """The digest of all that is taken, from the first byte to the last.

    Attributes:
        groups: Digests of whole groups (`GROUP`) by number, in order, but for those of zeros.

    Args:
        keep: Called for each of `groups` with the digests of its blocks, or as many zeros where
            they are not known.
    """

    def __init__(self, keep: Callable[[bytes], object] | None = None) -> None:
        self.groups: dict[int, bytes] = {}
        self._keep = keep
        self._size = 0
        self._part = bytearray()
        self._levels: list[bytearray] = []
        self._counts: list[int] = []
        self._zeros: list[bytes] = []

    def data(self, piece: memoryview) -> None:
        """Takes the next bytes."""
        self._size += len(piece)
        if self._part:
            wanted = BLOCK - len(self._part)
            self._part += piece[:wanted]
            piece = piece[wanted:]
            self._flush()
        whole = len(piece) - len(piece) % BLOCK
        blocks = (piece[at : at + BLOCK] for at in range(0, whole, BLOCK))
        self._leaves(b"".join([hashlib.sha256(block).digest() for block in blocks]))
        self._part += piece[whole:]

    def hole(self, length: int) -> None:
        """Takes that many zeros."""
        self._size += length
        if self._part:
            filled = min(length, BLOCK - len(self._part))
            self._part += bytes(filled)
            length -= filled
            self._flush()
        self._add_zeros(length // BLOCK, 0)
        self._part += bytes(length % BLOCK)

    def group(self, digest: bytes, leaves: bytes = bytes(BLOCK)) -> None:
        """Takes a whole group by its digest, as `groups` of an equal file has it.

        What was taken before must be whole groups.

        Args:
            digest: Of the group.
            leaves: The digests of its blocks, for `keep`.
        """
        assert not self._size % GROUP
        self._size += GROUP
        self._reach(0)
        self._counts[0] += _PER_BLOCK
        self._grouped(digest, leaves)
        self._add(digest, 1)

    def leaves(self, digests: bytes) -> None:
        """Takes whole blocks by their digests; what was taken before must be whole blocks."""
        assert not self._size % BLOCK
        self._size += len(digests) // DIGEST * BLOCK
        self._leaves(digests)

    def digest(self) -> str:
        """Returns the digest as `fsverity digest` prints it, without the algorithm: 64 digits."""
        if self._part:
            self._part += bytes(BLOCK - len(self._part))
            self._flush()
        descriptor = _DESCRIPTOR.pack(
            _VERSION, _SHA256, _LOG_BLOCK, 0, 0, self._size, self._root(), b""
        )
        return hashlib.sha256(descriptor).hexdigest()

    def _root(self) -> bytes:
        """Pads every level and returns the only digest of the topmost; zeros for an empty file."""
        level = 0
        while level < len(self._levels):
            if self._counts[level] == 1:
                return bytes(self._levels[level])
            if pending := self._levels[level]:
                pending += bytes(BLOCK - len(pending))
                self._close(level)
            level += 1
        return b""

    def _flush(self) -> None:
        if len(self._part) == BLOCK:
            self._add(hashlib.sha256(self._part).digest())
            self._part.clear()

    def _add(self, digest: bytes, level: int = 0) -> None:
        self._reach(level)
        self._counts[level] += 1
        self._levels[level] += digest
        if len(self._levels[level]) == BLOCK:
            self._close(level)

    def _leaves(self, digests: bytes) -> None:
        self._reach(0)
        at = 0
        while at < len(digests):
            piece = digests[at : at + BLOCK - len(self._levels[0])]
            self._levels[0] += piece
            self._counts[0] += len(piece) // DIGEST
            at += len(piece)
            if len(self._levels[0]) == BLOCK:
                self._close(0)

    def _close(self, level: int) -> None:
        """Hands the digest of a full block to the level above; a lone one stays for `_root`."""
        block = self._levels[level]
        digest = hashlib.sha256(block).digest()
        if not level:
            self._grouped(digest, bytes(block))
        block.clear()
        self._add(digest, level + 1)

    def _grouped(self, digest: bytes, leaves: bytes) -> None:
        number, rest = divmod(self._counts[0], _PER_BLOCK)
        if not rest and digest != self._zero(1):
            self.groups[number - 1] = digest
            if self._keep is not None:
                self._keep(leaves)

    def _add_zeros(self, count: int, level: int) -> None:
        """Adds so many subtrees of zeros whose roots are at a level."""
        if not count:
            return
        self._reach(level)
        digest = self._zero(level)
        while count and self._levels[level]:
            self._add(digest, level)
            count -= 1
        above, rest = divmod(count, _PER_BLOCK)
        self._counts[level] += above * _PER_BLOCK
        self._add_zeros(above, level + 1)
        for _ in range(rest):
            self._add(digest, level)

    def _reach(self, level: int) -> None:
        while len(self._levels) <= level:
            self._levels.append(bytearray())
            self._counts.append(0)

    def _zero(self, level: int) -> bytes:
        while len(self._zeros) <= level:
            below = self._zeros[-1] * _PER_BLOCK if self._zeros else bytes(BLOCK)
            self._zeros.append(hashlib.sha256(below).digest())
        return self._zeros[level]
