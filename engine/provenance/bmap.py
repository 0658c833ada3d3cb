"""Block maps, format 2.0 of bmap-tools: which blocks of an image matter, with their checksums.

A block that is left out is not written to a device, so its old contents stay. Left out is
therefore only what no table and no file system uses and is zero besides; an empty inode table or
a zeroed journal is a hole in the image file, too, but matters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engine.image.whole import BLOCK

_PIECE = 1 << 20
_ZEROS = memoryview(bytes(_PIECE))
_NO_SUM = "0" * 64
"""Stands for the file's own sum while that is computed (bmap-tools, BmapCreate.py)."""


@dataclass(frozen=True, slots=True)
class MappedRange:
    """Blocks from `first` to `last`, both included, and the SHA-256 of their bytes."""

    first: int
    last: int
    sha256: str


class Mapper:
    """Makes a block map of an image that is handed over from its first byte to its last."""

    def __init__(self, size: int, unused: Iterable[tuple[int, int]]) -> None:
        """Begins a map.

        Args:
            size: Bytes of the image.
            unused: Ranges (offset, length), rising, whose zeros do not matter.
        """
        self.size = size
        self.ranges: list[MappedRange] = []
        self._unused = _whole_blocks(unused)
        self._next: tuple[int, int] | None = next(self._unused, None)
        self._first = -1
        self._digest = hashlib.sha256()
        self._at = 0

    def data(self, piece: bytes | memoryview) -> None:
        """Takes the next bytes: whole blocks, except at the image's end."""
        view = memoryview(piece)
        begun = self._at
        for first, end, unused in self._split(len(view)):
            part = view[first * BLOCK - begun : end * BLOCK - begun]
            if unused:
                self._look_into(first, part)
            else:
                self._take(first, part)

    def hole(self, length: int) -> None:
        """Takes zeros instead of bytes, under the same rule."""
        for first, end, unused in self._split(length):
            if unused:
                self._close(first)
                continue
            left = min(end * BLOCK, self._at) - first * BLOCK
            for size in (_PIECE,) * (left // _PIECE) + (left % _PIECE,):
                self._take(first, _ZEROS[:size])

    def finish(self) -> bytes:
        """Returns the block map as a file."""
        self._close(-(-self._at // BLOCK))
        return dumps(self.size, self.ranges)

    def _split(self, length: int) -> Iterator[tuple[int, int, bool]]:
        """Cuts the next bytes into runs of blocks (first, end) that are unused, or are not."""
        at, end = self._at // BLOCK, -(-(self._at + length) // BLOCK)
        self._at += length
        while at < end:
            while self._next and self._next[1] <= at:
                self._next = next(self._unused, None)
            if self._next is None or self._next[0] >= end:
                yield at, end, False
                return
            if self._next[0] > at:
                yield at, self._next[0], False
                at = self._next[0]
            stop = min(self._next[1], end)
            yield at, stop, True
            at = stop

    def _look_into(self, first: int, part: memoryview) -> None:
        """Takes unused blocks if they are not zero."""
        for block, start in enumerate(range(0, len(part), BLOCK), first):
            piece = part[start : start + BLOCK]
            if piece == _ZEROS[: len(piece)]:
                self._close(block)
            else:
                self._take(block, piece)

    def _take(self, block: int, piece: memoryview) -> None:
        if self._first < 0:
            self._first = block
            self._digest = hashlib.sha256()
        self._digest.update(piece)

    def _close(self, end: int) -> None:
        if self._first >= 0:
            self.ranges.append(MappedRange(self._first, end - 1, self._digest.hexdigest()))
            self._first = -1


def _whole_blocks(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yields the blocks (first, end) that lie in the ranges as a whole."""
    for offset, length in ranges:
        first, end = -(-offset // BLOCK), (offset + length) // BLOCK
        if first < end:
            yield first, end


def dumps(size: int, ranges: Iterable[MappedRange]) -> bytes:
    """Returns a block map as XML, its own checksum in it."""
    listed = list(ranges)
    mapped = sum(part.last - part.first + 1 for part in listed)
    lines = [
        '<?xml version="1.0" ?>',
        '<bmap version="2.0">',
        f"    <ImageSize> {size} </ImageSize>",
        f"    <BlockSize> {BLOCK} </BlockSize>",
        f"    <BlocksCount> {-(-size // BLOCK)} </BlocksCount>",
        f"    <MappedBlocksCount> {mapped} </MappedBlocksCount>",
        "    <ChecksumType> sha256 </ChecksumType>",
        f"    <BmapFileChecksum> {_NO_SUM} </BmapFileChecksum>",
        "    <BlockMap>",
    ]
    for part in listed:
        blocks = f"{part.first}-{part.last}" if part.last > part.first else f"{part.first}"
        lines.append(f'        <Range chksum="{part.sha256}"> {blocks} </Range>')
    text = "\n".join([*lines, "    </BlockMap>", "</bmap>", ""]).encode()
    return text.replace(_NO_SUM.encode(), hashlib.sha256(text).hexdigest().encode(), 1)
