"""What was made larger, read back: all that was there is still there, byte for byte."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path

from engine.grow.layout import Growth
from engine.image.reading import Filesystem, Node, walk
from engine.inspect.image import Image, Part, open_image
from engine.tools.failure import StepFailed
from engine.units import MIB

_TABLE_BYTES = 34 * 512
_TABLE_BYTES_4096 = 6 * 4096


def check(before: Image, path: Path, found: Growth, stop: Callable[[], bool]) -> None:
    """Compares a larger image with the one that it comes from.

    Raises:
        StepFailed: Something is not as it should be.
    """
    after = open_image(path)
    with after.disk:
        if after.table.findings:
            raise StepFailed(f"the new table is wrong: {after.table.findings[0]}")
        _partitions(before, after, found)
        _outside(before, after, found, stop)
        grown = _same_part(after, found.part)
        _contents(found.part, grown, stop)


def _partitions(before: Image, after: Image, found: Growth) -> None:
    sector = before.table.sector_size
    by = found.by // sector
    moved = {partition.number for partition in found.behind}
    grown = found.part.partition.number if found.part.partition is not None else None
    wanted = {
        p.number: (
            p.start + (by if p.number in moved else 0),
            p.sectors + (by if p.number == grown else 0),
            p.type, p.guid, p.name, p.attributes, p.active,
        )
        for p in before.table.partitions
        if not _extended(p.type)
    }  # fmt: skip
    seen = {
        p.number: (p.start, p.sectors, p.type, p.guid, p.name, p.attributes, p.active)
        for p in after.table.partitions
        if not _extended(p.type)
    }
    if wanted != seen:
        raise StepFailed(f"the partitions are {seen}, planned {wanted}")


def _extended(kind: str) -> bool:
    return kind in {"0x05", "0x0f", "0x85"}


def _outside(before: Image, after: Image, found: Growth, stop: Callable[[], bool]) -> None:
    """Compares what is before the volume, but for the table, and what moved."""
    sector = before.table.sector_size
    if before.table.kind == "none":
        return
    head = {"gpt": max(_TABLE_BYTES, _TABLE_BYTES_4096), "mbr": 512}[before.table.kind]
    parts = [
        (p.start * sector, p.start * sector, p.sectors * sector)
        for p in before.table.partitions
        if p.start * sector < found.start and not _extended(p.type)
    ]
    gap = min((start for start, _, _ in parts), default=found.start)
    parts += [
        (p.start * sector, p.start * sector + found.by, p.sectors * sector) for p in found.behind
    ]
    for old, new, length in [(head, head, gap - head), *parts]:
        for at in range(0, length, MIB):
            if stop():
                return
            count = min(MIB, length - at)
            if before.disk.read(old + at, count) != after.disk.read(new + at, count):
                raise StepFailed(f"what was at byte {old + at} is not at byte {new + at}")


def _same_part(image: Image, part: Part) -> Part:
    return next(one for one in image.parts if one.name == part.name)


def _contents(before: Part, after: Part, stop: Callable[[], bool]) -> None:
    if before.filesystem is None:
        return
    if after.filesystem is None:
        raise StepFailed(f"the file system in {before.name} is gone: {after.trouble}")
    for old, new in zip_longest(_files(before.filesystem), _files(after.filesystem)):
        if stop():
            return
        if old != new:
            name = (old or new)[0]
            raise StepFailed(f"{name!r} in {before.name} is not what it was")


def _files(filesystem: Filesystem) -> Iterator[tuple[object, ...]]:
    for node in walk(filesystem):
        yield (
            node.path, node.mode, node.uid, node.gid, node.mtime_ns, node.links, node.target,
            node.rdev, node.xattrs, *_data(filesystem, node),
        )  # fmt: skip


def _data(filesystem: Filesystem, node: Node) -> tuple[int, bytes]:
    """Returns size and digest of a file; of a folder nothing, as its blocks may be others."""
    if not stat.S_ISREG(node.mode):
        return 0, b""
    digest = hashlib.blake2b(digest_size=16)
    block = filesystem.block_size
    for offset, piece in filesystem.data(node):
        for at in range(0, len(piece), block):
            part = piece[at : at + block]
            if any(part):
                digest.update((offset + at).to_bytes(8, "little") + part)
    return node.size, digest.digest()
