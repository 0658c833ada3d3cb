"""The boot sector of a FAT file system by the names of its fields.

Source: Microsoft, "FAT32 File System Specification" 1.03.
"""

from __future__ import annotations

from engine.image.fields import Field, flags, number, string
from engine.units import in_bytes

_BOOT_SECTOR: tuple[Field, ...] = (
    ("jump", 0, 3, bytes.hex), ("OEM name", 3, 8, string), ("sector size", 11, 2, number),
    ("sectors per cluster", 13, 1, number), ("reserved sectors", 14, 2, number),
    ("tables", 16, 1, number), ("root entries", 17, 2, number),
    ("sectors (16 bits)", 19, 2, number), ("media", 21, 1, flags),
    ("sectors per table (16 bits)", 22, 2, number), ("sectors per track", 24, 2, number),
    ("heads", 26, 2, number), ("hidden sectors", 28, 4, number),
    ("sectors (32 bits)", 32, 4, number),
)  # fmt: skip
_BOOT_SECTOR_32: tuple[Field, ...] = (
    ("sectors per table (32 bits)", 36, 4, number),
    ("table flags", 40, 2, flags),
    ("version", 42, 2, number),
    ("root cluster", 44, 4, number),
    ("information sector", 48, 2, number),
    ("backup boot sector", 50, 2, number),
)


def _code(raw: bytes) -> str:
    return f"{in_bytes(len(raw))} of code"


def boot_sector(bits: int) -> tuple[Field, ...]:
    """Returns the fields of the boot sector of a FAT with entries of so many bits."""
    at = 64 if bits == 32 else 36
    return (
        *_BOOT_SECTOR, *(_BOOT_SECTOR_32 if bits == 32 else ()),
        ("drive", at, 1, flags), ("dirty flags", at + 1, 1, flags),
        ("extended signature", at + 2, 1, flags), ("volume id", at + 3, 4, flags),
        ("label of the boot sector", at + 7, 11, string), ("type", at + 18, 8, string),
        ("boot code", at + 26, 510 - at - 26, _code),
        ("signature", 510, 2, flags),
    )  # fmt: skip
