"""The checksums of a Btrfs: of its nodes, and of its files' data.

Source: enum btrfs_csum_type in include/uapi/linux/btrfs_tree.h of the Linux kernel.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from engine.filesystems.crc32c import crc32c
from engine.image.reading import BadFilesystem

_ROOM = 32
"""Bytes that a node's checksum has room in."""


def _crc(data: bytes) -> bytes:
    return ((crc32c()(0xFFFFFFFF, data) & 0xFFFFFFFF) ^ 0xFFFFFFFF).to_bytes(4, "little")


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _blake2b(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()


_KINDS: tuple[tuple[str, int, Callable[[bytes], bytes] | None], ...] = (
    ("CRC-32C", 4, _crc), ("xxHash64", 8, None), ("SHA-256", 32, _sha256),
    ("BLAKE2b", 32, _blake2b),
)  # fmt: skip
"""By number: name, bytes, and what computes them where that is known here."""


class Checksums:
    """Checksums of one kind.

    Attributes:
        name: Of the kind.
        size: Bytes of one.
        known: Whether they are verified here.
    """

    def __init__(self, kind: int) -> None:
        if kind >= len(_KINDS):
            raise BadFilesystem(f"Btrfs superblock: checksums of kind {kind}")
        self.name, self.size, self._compute = _KINDS[kind]
        self.known = self._compute is not None

    def verify(self, block: bytes, what: str) -> None:
        """Holds a node or superblock against the checksum that it begins with.

        Raises:
            BadFilesystem: It does not agree.
        """
        if not self.holds(block[_ROOM:], block[: self.size]):
            assert self._compute is not None
            computed = self._compute(block[_ROOM:])
            raise BadFilesystem(
                f"Btrfs {what}: checksum {_shown(block[: self.size])}, computed {_shown(computed)}"
            )

    def holds(self, data: bytes, stored: bytes) -> bool:
        """Whether data has a checksum; so has all where the kind is not known here."""
        return self._compute is None or self._compute(data) == stored


def _shown(value: bytes) -> str:
    return f"0x{value[::-1].hex()}"
