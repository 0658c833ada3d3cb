"""On-disk structures field by field: what differs between two copies of one, by its name."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from engine.problem import text

Show = Callable[[bytes], str]
Field = tuple[str, int, int, Show | None]
"""Name, offset, length, how its value is shown; None: something else shows it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Record:
    """A structure as it stands on the disk.

    Attributes:
        kind: "superblock", "descriptor", "boot-sector" or "path".
        where: What it is called; "" where its file is named instead.
        raw: Its bytes.
        fields: What they mean.
        values: What is put together from several fields.
    """

    kind: str
    where: str
    raw: bytes = field(repr=False)
    fields: Sequence[Field] = field(repr=False)
    values: Mapping[str, str] = field(default_factory=dict, repr=False)


def moment(nanoseconds: int) -> str:
    """Returns a time in UTC with all its digits."""
    whole, rest = divmod(nanoseconds, 1_000_000_000)
    try:
        day = (_EPOCH + timedelta(seconds=whole)).strftime("%Y-%m-%d %H:%M:%S")
    except OverflowError:
        day = f"{whole} s"
    return f"{day}.{rest:09d}"


def differences(
    left: bytes, right: bytes, fields: Sequence[Field]
) -> Iterator[tuple[str, str, str]]:
    """Yields name and both values of each field that differs, then the bytes that have no name.

    Copies of different lengths are compared over the length that both have.
    """
    common = min(len(left), len(right))
    ours, theirs = bytearray(left[:common]), bytearray(right[:common])
    for name, offset, length, show in fields:
        end = min(offset + length, common)
        one, other = bytes(ours[offset:end]), bytes(theirs[offset:end])
        if one != other:
            if show is not None:
                yield name, show(one), show(other)
            theirs[offset:end] = one
    start = 0
    while ours != theirs:
        start = next(at for at in range(start, common) if ours[at] != theirs[at])
        end = next((at for at in range(start, common) if ours[at] == theirs[at]), common)
        yield f"bytes from {start:#x}", ours[start:end].hex(), theirs[start:end].hex()
        theirs[start:end] = ours[start:end]


def number(raw: bytes) -> str:
    """Shows a little-endian number."""
    return str(int.from_bytes(raw, "little"))


def big_number(raw: bytes) -> str:
    """Shows a big-endian number."""
    return str(int.from_bytes(raw, "big"))


def big_flags(raw: bytes) -> str:
    """Shows a big-endian set of bits."""
    return f"{int.from_bytes(raw, 'big'):#x}"


def flags(raw: bytes) -> str:
    """Shows a little-endian set of bits."""
    return f"{int.from_bytes(raw, 'little'):#x}"


def string(raw: bytes) -> str:
    """Shows a text that NUL or space fills up."""
    return text(raw.rstrip(b"\0 "))


def seconds(raw: bytes) -> str:
    """Shows little-endian seconds since 1970."""
    return moment(int.from_bytes(raw, "little") * 1_000_000_000)


def identifier(raw: bytes) -> str:
    """Shows a UUID."""
    return str(uuid.UUID(bytes=raw)) if len(raw) == 16 else raw.hex()
