"""CRC-32C (Castagnoli), for structures of a few blocks."""

from __future__ import annotations

from functools import cache

_POLYNOMIAL = 0x82F63B78
"""Reversed, as RFC 3720 has it."""


def crc32c(data: bytes | bytearray, value: int = 0xFFFFFFFF) -> int:
    """Returns the register after some bytes, not inverted.

    Args:
        data: The bytes; some 10 MB take a second.
        value: The register before.
    """
    table = _table()
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ value >> 8
    return value


@cache
def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)  # noqa: PLW2901 - a register
        table.append(value)
    return tuple(table)
