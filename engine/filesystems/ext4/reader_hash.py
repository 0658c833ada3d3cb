"""The hashes of names by which an index finds the block of a directory that has a name.

Source: Documentation/filesystems/ext4/directory.rst and fs/ext4/hash.c of the Linux kernel: a
shortened MD4 and TEA, each over characters with or without a sign.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_MASK = 0xFFFFFFFF
_SEED = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
_DELTA = 0x9E3779B9
_ROUNDS = (
    (0, (0, 1, 2, 3, 4, 5, 6, 7), (3, 7, 11, 19)),
    (0x5A827999, (1, 3, 5, 7, 0, 2, 4, 6), (3, 5, 9, 13)),
    (0x6ED9EBA1, (3, 7, 2, 6, 1, 5, 0, 4), (3, 9, 11, 15)),
)
"""Of MD4: a constant, the order of the words, and by how many bits is turned."""
HALF_MD4, TEA = 1, 2
_END = 0x7FFFFFFF << 1
"""Not a hash: it stands for the end of a directory."""


def name_hash(name: bytes, version: int, *, signed: bool, seed: bytes) -> int:
    """Returns the hash of a name; its lowest bit is never set.

    Args:
        name: Of an entry.
        version: `HALF_MD4` or `TEA`.
        signed: Whether characters from 128 on count as negative numbers.
        seed: 16 bytes of the superblock; zeros for none.
    """
    state = list(struct.unpack("<4I", seed)) if any(seed) else list(_SEED)
    if version == HALF_MD4:
        for words in _words(name, 8, signed=signed):
            _half_md4(state, words)
        found = state[1]
    else:
        for words in _words(name, 4, signed=signed):
            _tea(state, words)
        found = state[0]
    found &= ~1
    return found if found != _END else (0x7FFFFFFF - 1) << 1


def _words(name: bytes, count: int, *, signed: bool) -> Iterator[list[int]]:
    """Yields a name as groups of words, filled up by its length."""
    for at in range(0, len(name), count * 4):
        rest = len(name) - at
        pad = rest & 0xFF | rest << 8 & 0xFFFF
        pad |= pad << 16
        words, value = [], pad
        piece = name[at : at + count * 4]
        for index, byte in enumerate(piece):
            value = (byte - 256 if signed and byte > 127 else byte) + (value << 8) & _MASK
            if index % 4 == 3:
                words.append(value)
                value = pad
        if len(words) < count:
            words.append(value)
        yield words + [pad] * (count - len(words))


def _half_md4(state: list[int], words: list[int]) -> None:
    a, b, c, d = state
    for number, (constant, order, turns) in enumerate(_ROUNDS):
        for step, index in enumerate(order):
            if number == 0:
                mixed = d ^ b & (c ^ d)
            elif number == 1:
                mixed = (b & c) + ((b ^ c) & d)
            else:
                mixed = b ^ c ^ d
            value = a + mixed + words[index] + constant & _MASK
            turn = turns[step % 4]
            a, b, c, d = d, (value << turn | value >> 32 - turn) & _MASK, b, c
    for place, value in enumerate((a, b, c, d)):
        state[place] = state[place] + value & _MASK


def _tea(state: list[int], words: list[int]) -> None:
    one, two = state[:2]
    a, b, c, d = words
    total = 0
    for _ in range(16):
        total = total + _DELTA & _MASK
        one = one + ((two << 4) + a ^ two + total ^ (two >> 5) + b) & _MASK
        two = two + ((one << 4) + c ^ one + total ^ (one >> 5) + d) & _MASK
    state[0] = state[0] + one & _MASK
    state[1] = state[1] + two & _MASK
