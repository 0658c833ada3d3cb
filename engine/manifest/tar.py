"""Reads tar headers: ustar, pax, and GNU's and star's extensions that archives in use have.

Python's `tarfile` ends a damaged archive early without a word, so that an image would silently
lack files, and reads headers of any length into memory. Here damage is an error and every length
is bounded. Names are bytes.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"; GNU tar manual,
"Basic Tar Format" and "Storing Sparse Files"; star(5) for SCHILY.xattr and SCHILY.acl.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote_to_bytes

from engine.manifest.foreign import foreign
from engine.units import in_bytes

BLOCK = 512

_MAX_RECORDS = 16 << 20
"""Bytes of one pax header; attributes are at most 64 KiB each (xattr(7))."""
_MAX_NAME = 64 << 10
"""Bytes of a GNU long name; PATH_MAX is 4096."""
_MAX_RANGES = 1 << 20
"""Data ranges of one sparse file."""

_DEVICES = (b"3", b"4")
_REGULAR = (b"0", b"\0", b"7", b"S")
_WITHOUT_DATA = (b"1", b"2", b"3", b"4", b"5", b"6")
_ZEROS = bytes(BLOCK)
_SECOND_NS = 1_000_000_000

Ranges = tuple[tuple[int, int], ...]
Records = list[tuple[bytes, bytes]]


class BadArchive(Exception):
    """The bytes are not a tar archive, or it is damaged; the message says where and how."""


class ForeignArchive(BadArchive):
    """It is another kind of file.

    Attributes:
        what: What it is, as in "a zip archive".
        remedy: What makes a tar archive of it.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"it is {what}, not a tar archive")
        self.what = what
        self.remedy = remedy


class Input(Protocol):
    """Where an archive's bytes come from.

    Attributes:
        position: Bytes of the archive passed so far.
    """

    position: int

    def read(self, length: int) -> bytes:
        """Returns the next bytes, fewer only at the end."""
        ...

    def skip(self, length: int) -> None:
        """Passes over bytes; raises BadArchive where the archive ends before."""
        ...


@dataclass(slots=True, kw_only=True)
class Member:
    """One member.

    Attributes:
        name: As written, any bytes.
        kind: The type flag; b"0" for every regular file.
        mode: Permission bits.
        size: Bytes of the file, holes included.
        link: Target of a symbolic link, or the name a hard link is another name of.
        data: Offset in the archive of its first byte of data.
        extents: Data ranges of a sparse file; their bytes follow each other at `data`.
    """

    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    link: bytes
    major: int
    minor: int
    data: int = 0
    xattrs: list[tuple[bytes, bytes]] = field(default_factory=list)
    acls: list[tuple[bytes, bytes]] = field(default_factory=list)
    extents: Ranges | None = None


def members(source: Input) -> Iterator[Member]:
    """Yields the members of an archive in its own order.

    Raises:
        ForeignArchive: It is not one.
        BadArchive: It is damaged.
    """
    everywhere: dict[bytes, bytes] = {}
    ahead = _Ahead()
    header = b""
    while True:
        header = header or source.read(BLOCK)
        at = source.position - len(header)
        if not header or header == _ZEROS:
            if ahead.any():
                raise BadArchive(f"it ends at byte {at} in the middle of a member")
            return
        if len(header) < BLOCK or not is_header(header):
            if not at and (other := foreign(header)):
                raise ForeignArchive(*other)
            what = "is cut short" if len(header) < BLOCK else "has a wrong checksum"
            raise BadArchive(f"the header at byte {at} {what}")
        kind = header[156:157]
        length = _number(header[124:136], at)
        if kind in b"xXgLK":
            limit = _MAX_NAME if kind in b"LK" else _MAX_RECORDS
            body = _body(source, length, limit, at)
            if kind == b"g":
                everywhere.update(_records(body, at))
            else:
                ahead.take(kind, body, at)
            header = b""
            continue
        member = _member(header, kind, [*everywhere.items(), *ahead.records], at)
        member.name = ahead.name or member.name
        member.link = ahead.link or member.link
        stored = _stored(kind, length, ahead.records, at)
        if kind == b"S":
            _old_sparse(member, header, source, at)
        end = source.position + stored + -stored % BLOCK
        if kind in _REGULAR and member.kind != b"5":
            member.kind = b"0"
            member.size = member.size if kind == b"S" else stored
            _pax_sparse(member, ahead.records, source, end, at)
        member.data = source.position
        ahead = _Ahead()
        yield member
        source.skip(end - source.position)
        header = _behind_link(source, length) if kind == b"1" and length > 0 else b""


def _behind_link(source: Input, length: int) -> bytes:
    """Returns the block behind a hard link that gives a size, once it is a header.

    The size is that of the file, whose bytes most programs leave out here; those that archive
    them again (pax, cpio) are told by what follows.
    """
    block = source.read(BLOCK)
    if len(block) < BLOCK or block == _ZEROS or is_header(block):
        return block
    source.skip(length + -length % BLOCK - BLOCK)
    return b""


class _Ahead:
    """What extended headers say about the member that comes next."""

    def __init__(self) -> None:
        self.records: Records = []
        self.name = b""
        self.link = b""

    def any(self) -> bool:
        """Whether a member must follow."""
        return bool(self.records or self.name or self.link)

    def take(self, kind: bytes, body: bytes, at: int) -> None:
        """Adds one header's body."""
        if kind == b"L":
            self.name = body.rstrip(b"\0")
        elif kind == b"K":
            self.link = body.rstrip(b"\0")
        else:
            self.records.extend(_records(body, at))


def _member(header: bytes, kind: bytes, records: Records, at: int) -> Member:
    """Returns a member as header and records tell it, sparse maps aside."""
    name, prefix = _text(header[0:100]), _text(header[345:500])
    if prefix and header[257:263] == b"ustar\0":  # GNU's own magic has other fields there
        name = prefix + b"/" + name
    device = kind in _DEVICES  # in other members, programs from before POSIX put other things there
    member = Member(
        name=name, kind=kind, size=0, link=_text(header[157:257]),
        mode=_number(header[100:108], at) & 0o7777,
        uid=_number(header[108:116], at), gid=_number(header[116:124], at),
        mtime_ns=_number(header[136:148], at) * _SECOND_NS,
        major=_number(header[329:337], at) if device else 0,
        minor=_number(header[337:345], at) if device else 0,
    )  # fmt: skip
    if kind in _REGULAR and name.endswith(b"/"):
        member.kind = b"5"  # as archives from before POSIX have directories
    for key, value in records:
        _apply(member, key, value, at)
    member.name = dict(records).get(b"GNU.sparse.name") or member.name
    return member


def _apply(member: Member, key: bytes, value: bytes, at: int) -> None:
    """Applies one pax record; one of an attribute that is empty takes back what was said."""
    if not value and b"xattr" not in key:
        return
    if key == b"path":
        member.name = value
    elif key == b"linkpath":
        member.link = value
    elif key == b"uid":
        member.uid = _integer(value, at)
    elif key == b"gid":
        member.gid = _integer(value, at)
    elif key == b"mtime":
        member.mtime_ns = _nanoseconds(value, at)
    elif key in {b"SCHILY.devmajor", b"SUN.devmajor"}:
        member.major = _integer(value, at)
    elif key in {b"SCHILY.devminor", b"SUN.devminor"}:
        member.minor = _integer(value, at)
    elif key == b"RHT.security.selinux":  # a text, where the attribute ends in NUL
        member.xattrs.insert(0, (b"security.selinux", value + b"\0"))
    elif key.startswith(b"SCHILY.xattr."):
        member.xattrs.append((key.removeprefix(b"SCHILY.xattr."), value))
    elif key.startswith(b"LIBARCHIVE.xattr."):
        try:
            plain = base64.b64decode(value + b"=" * (-len(value) % 4))
        except binascii.Error as error:
            raise BadArchive(f"the header at byte {at} has a bad attribute ({error})") from error
        member.xattrs.append((unquote_to_bytes(key.removeprefix(b"LIBARCHIVE.xattr.")), plain))
    elif key.startswith(b"SCHILY.acl."):
        member.acls.append((key.removeprefix(b"SCHILY.acl."), value))


def _stored(kind: bytes, length: int, records: Records, at: int) -> int:
    """Returns the bytes of data that follow a header."""
    if kind in _WITHOUT_DATA:
        return 0
    for key, value in records:
        if key == b"size" and value:
            length = _integer(value, at)
    if length < 0:
        raise BadArchive(f"the header at byte {at} has a negative size")
    return length


def _old_sparse(member: Member, header: bytes, source: Input, at: int) -> None:
    """Reads the map of a sparse file in GNU's old form (type S)."""
    ranges = _pairs(header[386:482], at)
    extended = header[482]
    while extended:
        block = source.read(BLOCK)
        if len(block) < BLOCK or len(ranges) > _MAX_RANGES:
            raise BadArchive(f"the map of the sparse file at byte {at} is damaged")
        ranges += _pairs(block[:504], at)
        extended = block[504]
    member.size = _number(header[483:495], at)
    member.extents = _checked(ranges, member.size, at)


def _pairs(fields: bytes, at: int) -> list[tuple[int, int]]:
    pairs = []
    for start in range(0, len(fields), 24):
        if not fields[start]:
            break
        offset, length = fields[start : start + 12], fields[start + 12 : start + 24]
        pairs.append((_number(offset, at), _number(length, at)))
    return pairs


def _pax_sparse(member: Member, records: Records, source: Input, end: int, at: int) -> None:
    """Reads the map of a sparse file in GNU's pax forms 0.0, 0.1 and 1.0."""
    keyed = dict(records)
    real = keyed.get(b"GNU.sparse.realsize", keyed.get(b"GNU.sparse.size"))
    if real is None:
        return
    if keyed.get(b"GNU.sparse.major") == b"1":
        numbers = _numbers_ahead(source, end, at)
    elif b"GNU.sparse.map" in keyed:
        numbers = [_integer(text, at) for text in keyed[b"GNU.sparse.map"].split(b",") if text]
    else:
        parts = {b"GNU.sparse.offset", b"GNU.sparse.numbytes"}
        numbers = [_integer(value, at) for key, value in records if key in parts]
    member.size = _integer(real, at)
    member.extents = _checked(
        list(zip(numbers[0::2], numbers[1::2], strict=False)), member.size, at
    )  # fmt: skip


def _numbers_ahead(source: Input, end: int, at: int) -> list[int]:
    """Reads the map that form 1.0 puts before the data: decimal lines, filled up to a block."""
    text = b""
    wanted = None
    lines: list[bytes] = []
    while wanted is None or len(lines) <= wanted:
        block = source.read(BLOCK) if source.position < end else b""
        if not block:
            raise BadArchive(f"the map of the sparse file at byte {at} is damaged")
        *whole, text = (text + block).split(b"\n")
        lines += whole
        if wanted is None and lines:
            wanted = 2 * _integer(lines[0], at)
            if not 0 <= wanted <= 2 * _MAX_RANGES:
                raise BadArchive(f"the map of the sparse file at byte {at} is damaged")
        if len(text) > BLOCK:
            raise BadArchive(f"the map of the sparse file at byte {at} is damaged")
    return [_integer(line, at) for line in lines[1 : wanted + 1]]


def _checked(ranges: list[tuple[int, int]], size: int, at: int) -> Ranges:
    """Returns the ranges that hold data, once they are in order and inside the file."""
    position = 0
    for offset, length in ranges:
        if length < 0 or offset < position or offset + length > size:
            raise BadArchive(f"the map of the sparse file at byte {at} is not in order")
        position = offset + length
    return tuple((offset, length) for offset, length in ranges if length)


def _body(source: Input, length: int, limit: int, at: int) -> bytes:
    """Reads the body of an extended header."""
    if not 0 <= length <= limit:
        raise BadArchive(f"the header at byte {at} claims {in_bytes(length)}, {limit:,} at most")
    body = source.read(length)
    if len(body) < length:
        raise BadArchive(f"it ends at byte {source.position} in the middle of a header")
    source.skip(-length % BLOCK)
    return body


def _records(body: bytes, at: int) -> Records:
    """Returns the records of a pax header: lines "LENGTH KEY=VALUE", LENGTH counting all of it."""
    records: Records = []
    start = 0
    while start < len(body) and body[start]:
        digits, _, _ = body[start : start + 20].partition(b" ")
        length = _integer(digits, at)
        record = body[start : start + length]
        key, equals, value = record[len(digits) + 1 :].partition(b"=")
        if length <= len(digits) + 1 or len(record) < length or not equals or value[-1:] != b"\n":
            raise BadArchive(f"the pax header at byte {at} is damaged")
        records.append((key, value[:-1]))
        start += length
    return records


def is_header(header: bytes) -> bool:
    """Whether a block's checksum is right; some old programs summed signed bytes."""
    try:
        claimed = _number(header[148:156], 0)
    except BadArchive:
        return False
    rest = header[:148] + b" " * 8 + header[156:]
    total = sum(rest)
    return claimed in {total, total - 256 * sum(byte > 127 for byte in rest)}


def _text(field_bytes: bytes) -> bytes:
    return field_bytes.partition(b"\0")[0]


def _number(field_bytes: bytes, at: int) -> int:
    """Returns a number: octal digits, or GNU's base 256 where the first bit is set."""
    first = field_bytes[0]
    if first & 0x80:
        bits = 8 * len(field_bytes) - 1
        value = int.from_bytes(field_bytes, "big") & ((1 << bits) - 1)
        return value - (1 << bits) if first & 0x40 else value
    digits = field_bytes.replace(b"\0", b" ").strip()
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        raise BadArchive(f"the header at byte {at} has {digits!r} for a number") from None


def _integer(text: bytes, at: int) -> int:
    if len(text) > 20 or not text.removeprefix(b"-").isdigit():
        raise BadArchive(f"the header at byte {at} has {text[:20]!r} for a number")
    return int(text)


def _nanoseconds(text: bytes, at: int) -> int:
    """Returns a decimal time with any number of places, exactly."""
    whole, _, places = text.partition(b".")
    seconds = _integer(whole, at) * _SECOND_NS
    fraction = _integer(places[:9].ljust(9, b"0"), at)
    return seconds - fraction if whole.startswith(b"-") else seconds + fraction
