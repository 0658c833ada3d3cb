"""Compares two images: first what has a name, then every byte, each attributed."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.compare.fields import Difference, of_filesystems, of_tables
from engine.compare.ranges import Reached, differing, unwatched
from engine.compare.regions import Region, RegionMap, merge
from engine.image.container import BadImage
from engine.image.reading import describes_itself
from engine.inspect.image import Image, Part, open_image
from engine.inspect.report import stale_because

_MAX_RANGES = 1 << 16
_GAP = "outside all partitions"


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Differing bytes and the structure they lie in, on either side."""

    start: int
    end: int
    a: str
    b: str


_BOOKKEEPING = {"superblock", "descriptor", "boot-sector"}
"""Kinds that follow from others: a changed file changes thirty fields of these."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that differs.

    Attributes:
        fields: What has a name; bookkeeping of file systems behind what people change.
        ranges: What differs byte for byte, attributed.
        bytes: How many bytes all differing ranges span.
        cut: How many ranges there are beyond those listed.
        notes: Which files may be older than what a mount shows, and why.
    """

    fields: tuple[Difference, ...]
    ranges: tuple[ByteRange, ...]
    bytes: int
    cut: int = 0
    notes: tuple[str, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether the two disks are the same, bit for bit."""
        return not self.fields and not self.ranges


def compare(a: Path, b: Path, reached: Reached = unwatched) -> Comparison:
    """Compares the disks in two image files, of whatever formats.

    Args:
        a: One image.
        b: The other.
        reached: Told how far it is.

    Raises:
        BadImage: One is not an image that can be read.
        OSError: One cannot be read.
    """
    left = open_image(a)
    try:
        right = open_image(b)
        try:
            return _compare(left, right, reached)
        finally:
            right.disk.close()
    finally:
        left.disk.close()


def _compare(a: Image, b: Image, reached: Reached) -> Comparison:
    ranges: list[tuple[int, int]] = []
    span = cut = 0
    for start, end in differing(a.disk, b.disk, reached):
        span += end - start
        if len(ranges) < _MAX_RANGES:
            ranges.append((start, end))
        else:
            cut += 1
    if not ranges and a.disk.size == b.disk.size:
        return Comparison((), (), 0)
    fields = tuple(sorted(_fields(a, b), key=lambda found: found.kind in _BOOKKEEPING))
    notes = tuple(_older(a)) + tuple(_older(b))
    return Comparison(fields, tuple(_attributed(a, b, ranges)), span, cut, notes)


def _older(image: Image) -> Iterator[str]:
    for part in image.parts:
        why = stale_because(part.content) if part.content is not None else ""
        if why:
            older = "files may be older than what a mount shows"
            yield f"{image.path.name}, {part.name}: {why}; {older}"


def _fields(a: Image, b: Image) -> Iterator[Difference]:
    yield from of_tables(a, b)
    others = {part.name: part for part in b.parts}
    for part in a.parts:
        other = others.get(part.name)
        if other is None:
            continue
        try:
            yield from of_filesystems(part, other)
        except (BadImage, struct.error) as error:
            where = f"{part.name}, file system, damaged in one of the two: {error}"
            yield Difference("partition", where, *("compared up to there",) * 2)


def _attributed(a: Image, b: Image, ranges: list[tuple[int, int]]) -> Iterator[ByteRange]:
    left, right = RegionMap(_regions(a), _GAP), RegionMap(_regions(b), _GAP)
    for start, end in ranges:
        for piece in merge(left.cut(start, end)):
            for other in merge(right.cut(piece.start, piece.end)):
                yield ByteRange(other.start, other.end, piece.what, other.what)


def _regions(image: Image) -> Iterator[Region]:
    """Yields the regions of a whole disk."""
    size, sector = image.disk.size, image.table.sector_size
    if image.table.kind != "none":
        yield Region(0, 440, "boot code in the first sector")
        yield Region(440, 446, "disk signature in the first sector")
        yield Region(446, 510, "MBR partition table")
        yield Region(510, 512, "MBR signature")
    if image.table.kind == "gpt":
        entries = max(128 * 128, sector)
        yield Region(sector, 2 * sector, "primary GPT header")
        yield Region(2 * sector, 2 * sector + entries, "primary GPT entries")
        yield Region(size - sector - entries, size - sector, "backup GPT entries")
        yield Region(size - sector, size, "backup GPT header")
    for part in image.parts:
        yield from _regions_of(part)


def _regions_of(part: Part) -> Iterator[Region]:
    start, end = part.window.start, part.window.start + part.window.size
    filesystem = part.content
    known: list[Region] = []
    rest = f"{part.name}, {part.foreign.unread if part.foreign else 'unknown contents'}"
    try:
        if describes_itself(filesystem):
            rest = f"{part.name}, unallocated blocks"
            known.extend(
                Region(start + at, start + at + length, f"{part.name}, {what}")
                for at, length, what in filesystem.structures()
            )
    except (BadImage, struct.error):
        rest = f"{part.name}, damaged file system"
    yield from RegionMap(known, rest).cut(start, end)
