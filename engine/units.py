"""Sizes as text: the one grammar of specs, command line and wizard, and the reference's own.

Everything is an integer number of bytes; decimals are computed with fractions, never floats.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

from engine.problem import quote

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40

MAX_SIZE = (1 << 63) - 1
"""Largest size in bytes: what a signed file offset can express."""

GRAMMAR = "a number with K, M, G, T, KiB, MiB, GiB, TiB (powers of 1024) or KB, MB, GB, TB (1000)"

_SIZE = re.compile(r"(?P<number>[0-9]{1,40}(?:\.[0-9]{1,40})?|\.[0-9]{1,40})\s*(?P<unit>[A-Za-z]*)")
_NUMFMT = re.compile(r"(?P<number>[0-9]{0,40}\.[0-9]{1,40}|[0-9]{1,40})(?P<unit>[KMGTPE]?)")
_PREFIXES = "KMGTPE"


def _units() -> dict[str, int]:
    units = {"b": 1}
    for power, prefix in enumerate(_PREFIXES.lower(), start=1):
        units[prefix] = units[f"{prefix}i"] = units[f"{prefix}ib"] = 1024**power
        units[f"{prefix}b"] = 1000**power
    return units


_UNITS = _units()


def _whole(number: str, factor: int) -> int:
    size = math.ceil(Fraction(number) * factor)
    if size > MAX_SIZE:
        raise ValueError(
            f"{number} x {in_bytes(factor)} is more than a file can hold ({in_bytes(MAX_SIZE)})"
        )
    return size


def parse_size(text: int | str, *, bare: int = 1) -> int:
    """Returns a size in bytes.

    Decimals are exact; what is left of a byte is rounded up. Units are matched without regard to
    case, and blanks around the unit are allowed ("1.5 GiB").

    Args:
        text: An integer, or text as `GRAMMAR` has it (also P, E, and B for bytes).
        bare: Bytes that a number without a unit counts (1, or `MIB` for `size.disk`).

    Raises:
        ValueError: No size, negative, or beyond `MAX_SIZE`; the message says which.
    """
    if isinstance(text, int):
        if text < 0:
            raise ValueError(f"{text} is negative; a size is 0 or more")
        return _whole(str(text), bare)
    stripped = text.strip()
    match = _SIZE.fullmatch(stripped)
    if match is None:
        if stripped.startswith("-"):
            raise ValueError(f"{quote(text)} is negative; a size is 0 or more")
        if stripped.startswith("+"):
            raise ValueError(f"{quote(text)} is not a size but an addition; write the whole size")
        raise ValueError(f"{quote(text)} is not a size; write {GRAMMAR}")
    unit = match["unit"].lower()
    if unit and unit not in _UNITS:
        raise ValueError(f"{quote(match['unit'])} in {quote(text)} is not a unit; write {GRAMMAR}")
    return _whole(match["number"], _UNITS[unit] if unit else bare)


def numfmt_iec(text: str) -> int:
    """Returns what `numfmt --from=iec` (coreutils) makes of a text, in bytes.

    Digits, an optional fraction and one upper-case suffix; the result is rounded away from zero.
    The reference puts the result into shell arithmetic, so a fraction without suffix, which
    numfmt passes through, is refused too.

    Raises:
        ValueError: The reference's script would fail on it.
    """
    match = _NUMFMT.fullmatch(text.strip(" "))
    if match is None or (not match["unit"] and "." in match["number"]):
        raise ValueError(
            f"numfmt --from=iec refuses {quote(text)}; it takes digits and one of K M G T P E"
        )
    unit = match["unit"]
    return _whole(match["number"], 1024 ** (_PREFIXES.index(unit) + 1) if unit else 1)


def format_exact(size: int) -> str:
    """Returns the shortest exact text: "512MiB", "4GiB", "1000001B"; `parse_size` gives it back.

    Args:
        size: Bytes, 0 or more.
    """
    for unit, factor in (("TiB", TIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"


def human(size: int) -> str:
    """Returns a rounded text for display only ("1.5 GiB"); `format_exact` is the exact one."""
    import humanize

    text = humanize.naturalsize(size, binary=True)
    return text.replace(" Bytes", " B").replace(" Byte", " B")


def in_bytes(size: int) -> str:
    """Returns an exact number of bytes for a person: "1,048,576 bytes", "1 byte"."""
    return f"{size:,} byte{'' if size == 1 else 's'}"


def sized(size: int) -> str:
    """Returns a size for a sentence, rounded and exact: "1.0 MiB (1,048,576 bytes)"."""
    return f"{human(size)} ({in_bytes(size)})" if size >= KIB else in_bytes(size)


def counted(number: int, noun: str, plural: str = "") -> str:
    """Returns a number with its noun, in the plural where there is not exactly one.

    Args:
        number: How many.
        noun: For one.
        plural: For others, if it is not the noun with an s.
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def ceil_to(size: int, unit: int) -> int:
    """Returns the smallest multiple of `unit` that is not below `size`."""
    return -(-size // unit) * unit
