"""Differences that have names: table fields, superblock fields, inodes by path."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.image.fields import Record, big_number, differences, moment, number
from engine.image.reading import (
    BadFilesystem,
    Filesystem,
    Node,
    describes_itself,
    holds_files,
    most_data,
    shows_records,
    walk,
)
from engine.image.table import Table
from engine.inspect.image import Image, Part
from engine.inspect.rescue import keeps_holes
from engine.manifest.entry import order
from engine.problem import text
from engine.spec.filesystems import FILESYSTEMS

_Piece = tuple[int, bytes]
"""Where in a file, and what."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    Attributes:
        kind: "table", "partition", "superblock", "descriptor", "boot-sector" or "path".
        where: What differs, from the outside in ("partition 2, /etc/passwd, mode").
        a, b: The two values as text; "" where one side has none.
        counts: They are whole numbers that count or place something.
    """

    kind: str
    where: str
    a: str
    b: str
    counts: bool = False


def of_tables(a: Image, b: Image) -> Iterator[Difference]:
    """Yields what differs in size and partition tables, field by field."""
    yield from _mapping("table", "disk", {"bytes": a.disk.size}, {"bytes": b.disk.size})
    yield from _mapping("table", "table", _table(a.table), _table(b.table))
    left = {p.number: p for p in a.table.partitions}
    right = {p.number: p for p in b.table.partitions}
    for at in sorted(left.keys() | right.keys()):
        one, other = left.get(at), right.get(at)
        where = f"partition {at}"
        if one is None or other is None:
            yield Difference("partition", where, _presence(one), _presence(other))
            continue
        fields = ("start", "sectors", "type", "guid", "name", "attributes", "active")
        yield from _mapping(
            "partition", where,
            {field: getattr(one, field) for field in fields},
            {field: getattr(other, field) for field in fields},
        )  # fmt: skip


def of_filesystems(a: Part, b: Part) -> Iterator[Difference]:
    """Yields what differs between the file systems of two parts of one name."""
    left, right = a.content, b.content
    where = a.name
    kinds = tuple(part.content.type if part.content else _unread(part) for part in (a, b))
    if kinds[0] != kinds[1]:
        yield Difference("partition", f"{where}, file system", kinds[0], kinds[1])
        return
    if left is None or right is None:
        return
    if describes_itself(left) and describes_itself(right):
        title = FILESYSTEMS[left.type].title
        yield from _mapping("superblock", f"{where}, {title}", left.header(), right.header())
    if shows_records(left) and shows_records(right):
        for one, other in zip(left.records(), right.records(), strict=False):
            yield from _record(f"{where}, {one.where}", one, other)
    if holds_files(left) and holds_files(right):
        yield from _trees(left, right, where)


def _unread(part: Part) -> str:
    return part.foreign.sentence if part.foreign else "none that can be read"


def _record(where: str, left: Record, right: Record) -> Iterator[Difference]:
    """Yields what differs in two structures, if both have the same fields."""
    if left.raw == right.raw or left.fields != right.fields:
        return
    names = sorted(left.values.keys() | right.values.keys())
    ours, theirs = ({name: of.values.get(name) for name in names} for of in (left, right))
    yield from _mapping(left.kind, where, ours, theirs)
    numbers = (number, big_number)
    counting = {name for name, _, _, show in left.fields if show in numbers}
    for name, one, other in differences(left.raw, right.raw, left.fields):
        yield Difference(left.kind, f"{where}, {name}", one, other, name in counting)


def _table(table: Table) -> dict[str, object]:
    return {
        "kind": table.kind, "sector size": table.sector_size, "disk GUID": table.guid,
        "disk signature": table.signature, "first usable sector": table.first_usable,
        "last usable sector": table.last_usable,
    }  # fmt: skip


def _presence(item: object) -> str:
    return "absent" if item is None else "present"


def _mapping(
    kind: str, where: str, left: Mapping[str, object], right: Mapping[str, object]
) -> Iterator[Difference]:
    for name in left:
        if left[name] != right[name]:
            ours, theirs = left[name], right[name]
            counts = all(type(value) in {int, type(None)} for value in (ours, theirs))
            yield Difference(kind, f"{where}, {name}", _value(ours), _value(theirs), counts)


def _value(value: object) -> str:
    return "" if value is None else text(str(value).encode("utf-8", "replace"))


def _trees(left: Filesystem, right: Filesystem, where: str) -> Iterator[Difference]:
    room = most_data(left) + most_data(right)
    compared: set[tuple[int, int]] = set()
    for one, other in _pairs(_all(left), _all(right)):
        node = one or other
        assert node is not None
        name = f"{where}, /{text(node.path)}"
        if one is None or other is None:
            yield Difference("path", name, _presence(one), _presence(other))
            continue
        yield from _mapping("path", name, _inode(one), _inode(other))
        if shows_records(left) and shows_records(right):
            ours, theirs = left.inode_record(one), right.inode_record(other)
            if ours is not None and theirs is not None:
                yield from _record(name, ours, theirs)
        if stat.S_ISDIR(one.mode) and stat.S_ISDIR(other.mode):
            yield from _order_of_names(left, one, right, other, name)
        if stat.S_ISREG(one.mode) and stat.S_ISREG(other.mode):
            names = one.inode, other.inode
            if names in compared:
                continue
            if one.links > 1 and other.links > 1:
                compared.add(names)
            room -= _stored(left, one) + _stored(right, other)
            if room < 0:
                raise BadFilesystem("its files have more data than there is room: they share it")
            at = _first_difference(left, one, right, other)
            if at is not None:
                yield Difference("path", f"{name}, content", *(f"differs from byte {at}",) * 2)


def _pairs(
    left: Iterator[Node], right: Iterator[Node]
) -> Iterator[tuple[Node | None, Node | None]]:
    """Pairs up the nodes of two trees by path; both come in the order of `walk`."""
    one, other = next(left, None), next(right, None)
    while one is not None or other is not None:
        ours = order(one.path) if one is not None else None
        theirs = order(other.path) if other is not None else None
        if theirs is None or (ours is not None and ours < theirs):
            yield one, None
            one = next(left, None)
        elif ours is None or theirs < ours:
            yield None, other
            other = next(right, None)
        else:
            yield one, other
            one, other = next(left, None), next(right, None)


def _order_of_names(
    left: Filesystem, one: Node, right: Filesystem, other: Node, name: str
) -> Iterator[Difference]:
    """Yields the first place at which two directories store the same names in another order."""
    ours, theirs = list(left.stored_names(one)), list(right.stored_names(other))
    if ours == theirs or sorted(ours) != sorted(theirs):
        return
    at = next(at for at, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1])
    yield Difference(
        "path", f"{name}, order of names, from number {at + 1}", text(ours[at]), text(theirs[at])
    )


def _all(filesystem: Filesystem) -> Iterator[Node]:
    root = filesystem.lookup(b"")
    if root is not None:
        yield root
    yield from walk(filesystem)


def _inode(node: Node) -> dict[str, object]:
    directory = stat.S_ISDIR(node.mode)
    return {
        "type": stat.filemode(node.mode)[0],
        "mode": f"{stat.S_IMODE(node.mode):04o}",
        "owner": f"{node.uid}:{node.gid}",
        "size": 0 if directory else node.size,
        "links": 0 if directory else node.links,
        "time": moment(node.mtime_ns),
        "target": text(node.target),
        "device": node.rdev,
        "inode": node.inode,
        "extended attributes": ", ".join(
            f"{text(name)}={value.hex()}" for name, value in node.xattrs
        ),
    }


def _stored(filesystem: Filesystem, node: Node) -> int:
    """Returns the bytes of data that a file has, holes left out."""
    if keeps_holes(filesystem):
        return sum(length for _, _, length in node.extents)
    return node.size


def _first_difference(left: Filesystem, one: Node, right: Filesystem, other: Node) -> int | None:
    """Returns where the contents of two files begin to differ, over the length both have.

    What is a hole in both is not looked at: a file of terabytes may have no data at all.
    """
    common = min(one.size, other.size)
    ours, theirs = _data(left, one, common), _data(right, other, common)
    mine, yours = next(ours), next(theirs)
    while (at := min(mine[0], yours[0])) < common:
        size = min(len(data) if offset == at else offset - at for offset, data in (mine, yours))
        first, second = (
            data[:size] if offset == at else bytes(size) for offset, data in (mine, yours)
        )
        if first != second:
            pairs = zip(first, second, strict=True)
            return at + next(index for index, (x, y) in enumerate(pairs) if x != y)
        mine, yours = _after(mine, at + size, ours), _after(yours, at + size, theirs)
    return None


def _data(filesystem: Filesystem, node: Node, size: int) -> Iterator[_Piece]:
    """Yields a file's data, rising, and its end.

    Raises:
        BadFilesystem: It does not rise: that is not a file.
    """
    end = 0
    for offset, data in filesystem.data(node):
        if offset < end:
            raise BadFilesystem(f"/{text(node.path)} has two pieces of data for byte {offset}")
        end = offset + len(data)
        if data:
            yield offset, data[: max(size - offset, 0)]
    yield size, b""


def _after(piece: _Piece, at: int, more: Iterator[_Piece]) -> _Piece:
    """Returns what of a piece comes from a byte on, or the next piece."""
    offset, data = piece
    if offset >= at:
        return piece
    return (at, data[at - offset :]) if offset + len(data) > at else next(more)
