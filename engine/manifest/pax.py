"""Writes the headers of pax archives; names are bytes of any encoding.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"; GNU tar manual,
"Storing Sparse Files", PAX format version 1.0; star(5) for SCHILY.xattr.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.manifest.tar import BLOCK, Ranges

RECORD = 20 * BLOCK
"""An archive's length is a multiple of this, as tapes wanted it and readers expect it."""

Records = Sequence[tuple[bytes, bytes]]

_NAME, _OWNER, _LONG = 100, 8, 12
"""Bytes of a name, of a short number and of a long one in a ustar header."""
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """One member.

    Attributes:
        kind: The type flag.
        size: Bytes that follow.
        link: Target of a symbolic link, or the member that a hard link is another name of.
    """

    name: bytes
    kind: bytes
    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    link: bytes = b""
    major: int = 0
    minor: int = 0


def blocks(header: Header, records: Records = ()) -> bytes:
    """Returns the blocks that stand before a member's data.

    Args:
        header: The member. What a ustar header cannot hold goes into records.
        records: More records, which win over those.
    """
    body = extended(header, records)
    if not body:
        return _ustar(header)
    name = b"PaxHeaders/" + header.name.rstrip(b"/").rpartition(b"/")[2]
    ahead = Header(name=name, kind=b"x", mode=0o644, size=len(body))
    return _ustar(ahead) + body + bytes(-len(body) % BLOCK) + _ustar(header)


def extended(header: Header, records: Records = ()) -> bytes:
    """Returns a member's records: those given, before them what its ustar header cannot hold."""
    seconds, nanoseconds = divmod(header.mtime_ns, _SECOND_NS)
    needed = [
        (b"path", header.name, len(header.name) <= _NAME),
        (b"linkpath", header.link, len(header.link) <= _NAME),
        (b"uid", b"%d" % header.uid, _fits(header.uid, _OWNER)),
        (b"gid", b"%d" % header.gid, _fits(header.gid, _OWNER)),
        (b"size", b"%d" % header.size, _fits(header.size, _LONG)),
        (b"mtime", _decimal(header.mtime_ns), _fits(seconds, _LONG) and not nanoseconds),
    ]
    found = [(key, value) for key, value, fits in needed if not fits] + list(records)
    return b"".join(_record(key, value) for key, value in found)


def sparse_records(name: bytes, size: int) -> Records:
    """Returns the records of a file with holes; its map stands before its data."""
    return (
        (b"GNU.sparse.major", b"1"),
        (b"GNU.sparse.minor", b"0"),
        (b"GNU.sparse.name", name),
        (b"GNU.sparse.realsize", b"%d" % size),
    )


def sparse_map(ranges: Ranges, size: int) -> bytes:
    """Returns the map of a file with holes, filled up to a block.

    A last range without bytes marks the end, which GNU tar needs where the file ends in a hole.
    """
    numbers = [number for pair in (*ranges, (size, 0)) for number in pair]
    table = b"".join(b"%d\n" % number for number in (len(numbers) // 2, *numbers))
    return table + bytes(-len(table) % BLOCK)


def _ustar(header: Header) -> bytes:
    seconds = header.mtime_ns // _SECOND_NS
    before = b"".join(
        (
            header.name[:_NAME].ljust(_NAME, b"\0"),
            _octal(header.mode, _OWNER),
            _octal(header.uid, _OWNER),
            _octal(header.gid, _OWNER),
            _octal(header.size, _LONG),
            _octal(seconds, _LONG),
        )
    )
    after = b"".join(
        (
            header.kind,
            header.link[:_NAME].ljust(_NAME, b"\0"),
            b"ustar\0",
            b"00",
            bytes(64),  # names of owners: numbers count
            _octal(header.major, 8),
            _octal(header.minor, 8),
        )
    ).ljust(BLOCK - len(before) - 8, b"\0")
    total = sum(before) + 8 * ord(" ") + sum(after)
    return before + b"%06o\0 " % total + after


def _record(key: bytes, value: bytes) -> bytes:
    """Returns a line "LENGTH KEY=VALUE", LENGTH counting all of it, itself included."""
    rest = len(key) + len(value) + 3
    length = rest
    while length != rest + len(str(length)):
        length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _fits(number: int, width: int) -> bool:
    return 0 <= number < 1 << 3 * (width - 1)


def _octal(number: int, width: int) -> bytes:
    """Returns a number as a field; 0 where a record has it instead."""
    return b"%0*o\0" % (width - 1, number if _fits(number, width) else 0)


def _decimal(nanoseconds: int) -> bytes:
    seconds, rest = divmod(abs(nanoseconds), _SECOND_NS)
    return b"%s%d.%09d" % (b"-" if nanoseconds < 0 else b"", seconds, rest)
