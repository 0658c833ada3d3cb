"""The shape of a dm-verity hash tree: pure arithmetic.

A tree has a superblock, then its levels, the topmost first. The lowest has the digest of every
block of data, 128 to a block; each other has the digests of the blocks below it; the digest of
the only block of the topmost is the root hash. A single block of data has no levels.

Source: Documentation/admin-guide/device-mapper/verity.rst of the Linux kernel, and cryptsetup's
"DM-Verity" page for the superblock and the order of the levels (version 1).
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass

from engine.units import in_bytes

BLOCK_SIZE = 4096
"""Of data and of hashes."""
DIGEST_SIZE = 32
PER_BLOCK = BLOCK_SIZE // DIGEST_SIZE
MAX_SALT = 256
_SIGNATURE = b"verity\0\0"
_VERSION, _TYPE = 1, 1
_ALGORITHM = b"sha256"
_SUPERBLOCK = struct.Struct("<8sII16s32sIIQH6x256s168x")


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a tree.

    Attributes:
        at: First byte, counted from the superblock.
        blocks: How many it has.
        digests: How many they hold.
    """

    at: int
    blocks: int
    digests: int


def levels(data_bytes: int) -> list[Level]:
    """Returns the levels of the tree over so many bytes, the lowest first.

    Raises:
        ValueError: They are not a whole number of blocks, or none.
    """
    if data_bytes <= 0 or data_bytes % BLOCK_SIZE:
        raise ValueError(
            f"{in_bytes(data_bytes)} are not a whole number of {BLOCK_SIZE}-byte blocks"
        )
    counts: list[tuple[int, int]] = []
    digests = data_bytes // BLOCK_SIZE
    while digests > 1:
        blocks = -(-digests // PER_BLOCK)
        counts.append((blocks, digests))
        digests = blocks
    found: list[Level] = []
    at = BLOCK_SIZE
    for blocks, held in reversed(counts):
        found.append(Level(at, blocks, held))
        at += blocks * BLOCK_SIZE
    return found[::-1]


def hash_tree_size(data_bytes: int) -> int:
    """Returns the bytes of the tree over so many bytes, its superblock included.

    Raises:
        ValueError: They are not a whole number of blocks, or none.
    """
    return BLOCK_SIZE * (1 + sum(level.blocks for level in levels(data_bytes)))


def superblock(data_bytes: int, salt: bytes, identifier: str) -> bytes:
    """Returns the superblock, the 512 bytes that are not padding.

    Args:
        data_bytes: What the tree is of.
        salt: In front of every block when it is hashed; at most `MAX_SALT` bytes.
        identifier: UUID of the tree.

    Raises:
        ValueError: The salt is too long, or the UUID is not one.
    """
    if len(salt) > MAX_SALT:
        raise ValueError(f"a salt of {in_bytes(len(salt))}, {MAX_SALT:,} at most")
    return _SUPERBLOCK.pack(
        _SIGNATURE, _VERSION, _TYPE, uuid.UUID(identifier).bytes, _ALGORITHM, BLOCK_SIZE,
        BLOCK_SIZE, data_bytes // BLOCK_SIZE, len(salt), salt,
    )  # fmt: skip


def partition_guids(root_hash: str) -> tuple[str, str]:
    """Returns the GUIDs of the partitions of data and tree, by which systemd finds them.

    They are the first and the last half of the root hash as it stands (UAPI Group, Discoverable
    Partitions Specification).

    Args:
        root_hash: 64 hexadecimal digits.
    """
    halves = root_hash[:32], root_hash[-32:]
    data, tree = (str(uuid.UUID(hex=half)).upper() for half in halves)
    return data, tree
