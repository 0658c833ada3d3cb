"""Changes data, sizes and times in a filled file system whose layout stays.

Where files keep their blocks, a file system differs from the one with the old files in their data
and in their inodes alone. What is there is believed only where it is, to the byte, what the writer
would have written of the old entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.filesystems.ext4.format import BLOCK_SIZE, FORMATS, INODE_SIZE
from engine.filesystems.ext4.inode import BLOCK_MAP_OFFSET, InodePacker
from engine.filesystems.ext4.measure import FIGURES, Need, adjusted, measured
from engine.filesystems.ext4.native import LibraryError
from engine.filesystems.ext4.reader import ExtFilesystem
from engine.filesystems.ext4.reader_inodes import inode_of
from engine.filesystems.ext4.superblock import (
    SUPERBLOCK_OFFSET,
    SUPERBLOCK_SIZE,
    UnsupportedFilesystem,
    parse,
)
from engine.filesystems.patching import Changes, NoPatch, Pairs, Patched, Piece
from engine.filesystems.populate import Cancelled, DataObserver
from engine.image.container.disk import BadImage, RawDisk
from engine.image.reading import BadFilesystem, Window
from engine.image.whole import read_whole, write_whole
from engine.manifest.entry import Entry
from engine.manifest.lookup import stream
from engine.manifest.manifest import Manifest

_SECTORS, _SECTORS_HIGH = (28, 4), (116, 2)
_AREA = 160
"""Where in an inode its attributes begin, behind the fields that are written."""


def blocks(entry: Entry) -> int:
    """See `Patcher.blocks`."""
    return -(-entry.size // BLOCK_SIZE) if entry.is_regular else 0


def figures(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    """See `Patcher.figures`."""
    return {
        name: tuple(getattr(need, each) for each in FIGURES)
        for name, need in measured(manifest).items()
        if not need.unwritable
    }


def restore(manifest: Manifest, figures: Mapping[str, Sequence[int]], changes: Changes) -> None:
    """See `Patcher.restore`."""
    for name, numbers in figures.items():
        named: dict[str, Any] = dict(zip(FIGURES, numbers, strict=True))
        measured(manifest)[name] = adjusted(Need(**named), FORMATS[name], manifest, changes)


def patches(image: Path, offset: int, size: int, changes: Pairs, *, epoch: int) -> list[Patched]:
    """See `Patcher.patches`."""
    try:
        with RawDisk(image) as disk:
            window = Window(disk, offset, size)
            superblock = parse(window.read(SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE))
            packer = InodePacker(
                superblock.checksum_seed, epoch, checksums=superblock.format.checksums
            )
            there = ExtFilesystem(window)
            # All names of an inode change with the first.
            return [
                _patched(there, packer, old, new) for old, new in changes if new.link_to is None
            ]
    except (BadFilesystem, BadImage, UnsupportedFilesystem, LibraryError) as error:
        raise NoPatch(str(error)) from error


def _patched(there: ExtFilesystem, packer: InodePacker, old: Entry, new: Entry) -> Patched:
    node = there.lookup(old.path)
    name = old.path.decode(errors="backslashreplace")
    if node is None:
        raise NoPatch(f"/{name} is not there")
    raw = there.raw_inode(node.inode)
    size = old.size if old.is_regular else node.size
    if _packed(packer, node.inode, raw, old, size) != raw:
        raise NoPatch(f"/{name} is not as it was written")
    pieces: tuple[Piece, ...] = ()
    if new.is_regular:
        size = new.size
        pieces = tuple(
            (at, place, -(-length // BLOCK_SIZE) * BLOCK_SIZE) for at, place, length in node.extents
        )
        if sum(length for _, _, length in pieces) != -(-new.size // BLOCK_SIZE) * BLOCK_SIZE:
            raise NoPatch(f"/{name} has other blocks")
    inode = there.inode_place(node.inode)
    first = pieces[0][1] // BLOCK_SIZE if pieces else 0
    return Patched(new, inode, _packed(packer, node.inode, raw, new, size), pieces, first)


def _packed(packer: InodePacker, number: int, raw: bytes, entry: Entry, size: int) -> bytes:
    """Returns the inode of an entry, with the map, links and attributes of another inode."""
    found = inode_of(raw)
    low, high = (
        int.from_bytes(raw[at : at + length], "little") for at, length in (_SECTORS, _SECTORS_HIGH)
    )
    return bytes(
        packer.pack(
            number, entry.mode, entry.uid, entry.gid, size, entry.mtime_ns, found.links,
            low | high << 32, found.flags, raw[BLOCK_MAP_OFFSET : BLOCK_MAP_OFFSET + 60],
            found.attribute_block, raw[_AREA:INODE_SIZE],
        )
    )  # fmt: skip


def ranges(patched: Iterable[Patched]) -> list[tuple[int, int]]:
    """See `Patcher.ranges`."""
    found = set()
    for one in patched:
        first = one.inode // BLOCK_SIZE * BLOCK_SIZE
        found.add((first, first + BLOCK_SIZE))
        found |= {(place, place + length) for _, place, length in one.pieces}
    return sorted(found)


def write(
    patched: Sequence[Patched], old: int, there: int, made: int, offset: int,
    observer: DataObserver, cancelled: Callable[[], bool],
) -> None:  # fmt: skip
    """See `Patcher.write`."""
    for one in patched:
        first = one.inode // BLOCK_SIZE * BLOCK_SIZE
        write_whole(made, read_whole(old, BLOCK_SIZE, there + first), offset + first)
    for one in patched:
        write_whole(made, one.raw, offset + one.inode)
    by_entry = {id(one.entry): one for one in patched}
    for entry, at, data in stream(one.entry for one in patched):
        observer.take(entry, at, data)
        for place, piece in _placed(by_entry[id(entry)], at, data):
            write_whole(made, piece, offset + place)
        if cancelled():
            raise Cancelled


def _placed(one: Patched, offset: int, data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yields where in the volume some data of a file goes."""
    for at, place, length in one.pieces:
        low, high = max(at, offset), min(at + length, offset + len(data))
        if low < high:
            yield place + low - at, data[low - offset : high - offset]
