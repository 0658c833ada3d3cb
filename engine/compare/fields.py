"""Differences that have names: table fields, superblock fields, inodes by path."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.compare import structures
from engine.filesystems.ext4.reader import ExtFilesystem
from engine.filesystems.fat.reader import FatFilesystem
from engine.image.reading import (
    BadFilesystem,
    Filesystem,
    Node,
    describes_itself,
    holds_files,
    walk,
)
from engine.image.table import Table
from engine.inspect.image import Image, Part
from engine.inspect.report import text
from engine.inspect.rescue import keeps_holes
from engine.manifest.entry import order

_Piece = tuple[int, bytes]
"""Where in a file, and what."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    Attributes:
        kind: "table", "partition", "superblock", "descriptor", "boot-sector" or "path".
        where: What differs, from the outside in ("partition 2, /etc/passwd, mode").
        a, b: The two values as text; "" where one side has none.
    """

    kind: str
    where: str
    a: str
    b: str


def of_tables(a: Image, b: Image) -> Iterator[Difference]:
    """Yields what differs in size and partition tables, field by field."""
    yield from _mapping("table", "disk", {"bytes": a.disk.size}, {"bytes": b.disk.size})
    yield from _mapping("table", "table", _table(a.table), _table(b.table))
    left = {p.number: p for p in a.table.partitions}
    right = {p.number: p for p in b.table.partitions}
    for number in sorted(left.keys() | right.keys()):
        one, other = left.get(number), right.get(number)
        where = f"partition {number}"
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
        yield Difference("partition", f"{where}, file system", *kinds)
        return
    if left is None or right is None:
        return
    if isinstance(left, ExtFilesystem) and isinstance(right, ExtFilesystem):
        yield from _structure(
            "superblock", f"{where}, superblock",
            left.superblock, right.superblock, structures.SUPERBLOCK,
        )  # fmt: skip
        yield from _descriptors(left, right, where)
    if isinstance(left, FatFilesystem) and isinstance(right, FatFilesystem):
        yield from _mapping("boot-sector", f"{where}, FAT", _fat(left), _fat(right))
        if left.bits == right.bits:
            yield from _structure(
                "boot-sector", f"{where}, FAT boot sector",
                left.boot_sector, right.boot_sector, structures.boot_sector(left.bits),
            )  # fmt: skip
    if describes_itself(left) and describes_itself(right):
        ours, theirs = left.header(), right.header()
        yield from _mapping("superblock", f"{where}, superblock", ours, theirs)
    if holds_files(left) and holds_files(right):
        yield from _trees(left, right, where)


def _unread(part: Part) -> str:
    return part.foreign.sentence if part.foreign else "none that can be read"


def _structure(
    kind: str, where: str, left: bytes, right: bytes, fields: Sequence[structures.Field]
) -> Iterator[Difference]:
    for name, one, other in structures.differences(left, right, fields):
        yield Difference(kind, f"{where}, {name}", one, other)


def _descriptors(left: ExtFilesystem, right: ExtFilesystem, where: str) -> Iterator[Difference]:
    for group in range(min(left.groups, right.groups)):
        yield from _structure(
            "descriptor", f"{where}, descriptor of group {group}",
            left.descriptor(group), right.descriptor(group), structures.DESCRIPTOR,
        )  # fmt: skip


def _table(table: Table) -> dict[str, object]:
    return {
        "kind": table.kind, "sector size": table.sector_size, "disk GUID": table.guid,
        "disk signature": table.signature, "first usable sector": table.first_usable,
        "last usable sector": table.last_usable,
    }  # fmt: skip


def _fat(fat: FatFilesystem) -> dict[str, object]:
    return {
        "bits": fat.bits, "label": fat.label, "volume id": fat.uuid, "bytes": fat.size,
        "cluster size": fat.block_size, "tables": fat.tables, "clusters": fat.clusters,
    }  # fmt: skip


def _presence(item: object) -> str:
    return "absent" if item is None else "present"


def _mapping(
    kind: str, where: str, left: Mapping[str, object], right: Mapping[str, object]
) -> Iterator[Difference]:
    for name in left:
        if left[name] != right[name]:
            yield Difference(kind, f"{where}, {name}", _value(left[name]), _value(right[name]))


def _value(value: object) -> str:
    return "" if value is None else text(str(value).encode("utf-8", "replace"))


def _trees(left: Filesystem, right: Filesystem, where: str) -> Iterator[Difference]:
    room = left.room + right.room
    compared: set[tuple[int, int]] = set()
    for one, other in _pairs(_all(left), _all(right)):
        node = one or other
        assert node is not None
        name = f"{where}, /{text(node.path)}"
        if one is None or other is None:
            yield Difference("path", name, _presence(one), _presence(other))
            continue
        yield from _mapping("path", name, _inode(one), _inode(other))
        if isinstance(left, ExtFilesystem) and isinstance(right, ExtFilesystem):
            yield from _raw_inodes(left.raw_inode(one.inode), right.raw_inode(other.inode), name)
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


def _raw_inodes(left: bytes, right: bytes, name: str) -> Iterator[Difference]:
    """Yields what differs in two inodes beyond what a node holds."""
    if left == right:
        return
    ours, theirs = structures.inode_times(left), structures.inode_times(right)
    names = sorted(ours.keys() | theirs.keys())
    yield from _mapping(
        "path", name, {at: ours.get(at) for at in names}, {at: theirs.get(at) for at in names}
    )
    yield from _structure("path", name, left, right, structures.INODE)


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
        "time": structures.moment(node.mtime_ns),
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
