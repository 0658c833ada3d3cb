"""Writes an EROFS inside an image: no root, no mount, no tool.

Everything has its place before the first byte (`layout`). The result is a function of manifest,
label, UUID and epoch: the same bytes every time.
"""

from __future__ import annotations

import os
import stat
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path

from engine.filesystems.driver import FilesystemPlan
from engine.filesystems.erofs import format as erofs
from engine.filesystems.erofs.format import BLOCK_SIZE, Superblock
from engine.filesystems.erofs.layout import Inode, Layout, directories, names_of
from engine.filesystems.populate import (
    REPORT_EVERY,
    Cancelled,
    DataObserver,
    Expected,
    Progress,
    changed,
    refuse,
)
from engine.filesystems.sink import Sink
from engine.image.whole import read_whole, write_whole
from engine.manifest.entry import Entry, Source


def make(
    image: Path,
    offset: int,
    planned: FilesystemPlan,
    *,
    epoch: int,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """See `engine.filesystems.driver.Writer.make`.

    Raises:
        PopulateFailed: The format cannot hold an entry; nothing is written.
        ValueError: The label or the UUID cannot be one; nothing is written.
    """
    layout: Layout = planned.layout
    for entry, reason in layout.refused:
        raise refuse(entry, reason)
    superblock = Superblock(
        root=layout.inodes[0].at,
        inodes=len(layout.inodes),
        epoch=epoch,
        blocks=layout.blocks,
        uuid=planned.uuid,
        label=planned.label,
        chunked=layout.chunked,
    ).pack()
    descriptor = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        with Sink(descriptor, offset, BLOCK_SIZE) as sink:
            sink.write(erofs.SUPERBLOCK_AT, superblock)
            for position, data in _structures(layout):
                sink.write(position, data)
                if cancelled():
                    raise Cancelled
        _seal(descriptor, offset)
    finally:
        os.close(descriptor)


def populate(
    image: Path,
    offset: int,
    planned: FilesystemPlan,
    *,
    epoch: int,
    progress: Progress = lambda done, total: None,
    observer: DataObserver | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """See `engine.filesystems.driver.Writer.populate`."""
    layout: Layout = planned.layout
    descriptor = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        with Sink(descriptor, offset, BLOCK_SIZE) as sink:
            _write_data(layout, _Data(descriptor, offset, sink), progress, observer, cancelled)
        _seal(descriptor, offset)
    finally:
        os.close(descriptor)


def _structures(layout: Layout) -> Iterator[tuple[int, bytes]]:
    """Yields all but the superblock and the data of files, by rising position."""
    parents = {id(inode): parent for inode, parent in directories(layout)}
    outside: list[tuple[int, bytes]] = []
    for inode in sorted(layout.inodes, key=lambda inode: inode.at):
        yield inode.at, _head(inode)
        data = _contents(inode, parents)
        if data is not None:
            rest = len(data) % BLOCK_SIZE if inode.tail else 0
            if rest:
                yield inode.tail, data[-rest:]
            if inode.block:
                outside.append((inode.block * BLOCK_SIZE, data[: len(data) - rest]))
    yield from sorted(outside)


def _contents(inode: Inode, parents: dict[int, Inode]) -> bytes | None:
    """Returns the data of a directory or symlink, or None."""
    entry = inode.entry
    if entry.is_directory:
        names = names_of(inode, parents[id(inode)])
        return erofs.pack_directory([(name, of.at, of.entry.mode) for name, of in names])
    return entry.target if entry.is_symlink else None


def _head(inode: Inode) -> bytes:
    """Returns an inode with its attributes and its index of chunks."""
    entry, cut = inode.entry, inode.chunks
    layout, where, index = erofs.PLAIN, inode.block, b""
    if cut is not None:
        layout, where = erofs.CHUNKED, cut.bits
        places = [erofs.HOLE] * cut.count
        block = inode.block
        for first, count in cut.runs:
            for at in range(first, first + count):
                places[at] = block + (at - first << cut.bits)
            block += min((first + count) << cut.bits, cut.blocks) - (first << cut.bits)
        index = struct.pack(f"<{cut.count}I", *places)
    elif inode.tail:
        layout = erofs.INLINE
    elif stat.S_ISCHR(entry.mode) or stat.S_ISBLK(entry.mode):
        where = erofs.device(entry.rdev)
    head = erofs.inode(
        entry.mode, entry.uid, entry.gid, entry.mtime_ns,
        layout=layout, size=inode.size, where=where, number=inode.number, links=inode.links,
        xattr_bytes=inode.xattr_bytes,
    )  # fmt: skip
    return head + erofs.pack_xattrs(entry.xattrs) + index


def _seal(descriptor: int, offset: int) -> None:
    """Sets the checksum, which covers the inodes and the data of the first block, too."""
    block = read_whole(descriptor, BLOCK_SIZE, offset)
    write_whole(descriptor, erofs.checksum(block), offset + erofs.CHECKSUM_AT)


class _Data:
    """Puts the data of files into its places."""

    def __init__(self, descriptor: int, origin: int, sink: Sink) -> None:
        self._descriptor = descriptor
        self._origin = origin
        self._sink = sink
        self._scattered: Inode | None = None
        self._pieces: list[tuple[int, int]] = []
        self._places: list[int] = []

    def write(self, inode: Inode, offset: int, data: memoryview) -> None:
        """Writes bytes of a file; those of one file come by rising offset."""
        if inode.chunks is not None:
            self._scatter(inode, offset, data)
            return
        inside = inode.size - inode.size % BLOCK_SIZE if inode.tail else inode.size
        if offset < inside:
            full = data[: inside - offset]
            self._sink.write(inode.block * BLOCK_SIZE + offset, full)
            offset += len(full)
            data = data[len(full) :]
        if data:  # among the inodes, which are there already: no block may be written whole
            write_whole(self._descriptor, data, self._origin + inode.tail + offset - inside)

    def _scatter(self, inode: Inode, offset: int, data: memoryview) -> None:
        if inode is not self._scattered:
            self._scattered = inode
            assert inode.chunks is not None
            self._pieces = inode.chunks.pieces()
            counts = (count for _, count in self._pieces)
            self._places = list(accumulate(counts, initial=inode.block))
        while data:
            logical, within = divmod(offset, BLOCK_SIZE)
            at = bisect_right(self._pieces, logical, key=lambda piece: piece[0]) - 1
            first, count = self._pieces[at]
            part = data[: (first + count - logical) * BLOCK_SIZE - within]
            self._sink.write((self._places[at] + logical - first) * BLOCK_SIZE + within, part)
            offset += len(part)
            data = data[len(part) :]


def _write_data(
    layout: Layout,
    places: _Data,
    progress: Progress,
    observer: DataObserver | None,
    cancelled: Callable[[], bool],
) -> None:
    """Writes the data of all files, in the order of their sources."""
    done = reported = 0
    for source, files in _by_source(layout):
        missing = {id(inode.entry): (inode, Expected(inode.entry)) for inode in files}
        for entry, offset, data in source.stream([inode.entry for inode in files]):
            found = missing.get(id(entry))
            if found is None:
                raise changed(entry, "data where there was none")
            inode, expected = found
            expected.take(offset, len(data))
            places.write(inode, offset, data)
            if observer is not None:
                observer.take(entry, offset, data)
            done += len(data)
            if done - reported >= REPORT_EVERY:
                progress(done, layout.data_bytes)
                reported = done
            if cancelled():
                raise Cancelled
        for _, expected in missing.values():
            expected.finish()
    progress(done, layout.data_bytes)


def _by_source(layout: Layout) -> list[tuple[Source, list[Inode]]]:
    """Returns the regular files by where their data comes from."""
    found: dict[int, tuple[Source, list[Inode]]] = {}
    for inode in layout.inodes:
        entry: Entry = inode.entry
        if not entry.is_regular:
            continue
        if entry.source is not None:
            found.setdefault(id(entry.source), (entry.source, []))[1].append(inode)
        elif entry.size:
            raise refuse(entry, "a file with data but without a source")
    return list(found.values())
