"""Writes the data of files to the places that a layout gave them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence

from engine.filesystems.populate import Expected, changed
from engine.filesystems.sink import Sink
from engine.manifest.entry import Entry, Source

Piece = tuple[int, int, int]
"""A run of a file's blocks: first logical block, first block on the disk, count."""

Place = int | list[Piece]
"""Where the data of a file goes: its first block when it is dense and in one piece, else its
pieces."""


def first_block(place: Place) -> int:
    """Returns the first block on the disk of some that there are."""
    return place if isinstance(place, int) else min(disk for _, disk, _ in place)


Took = Callable[[Entry, int, memoryview], None]
"""Called with every piece of data that was written: entry, offset in the file, bytes."""


def write_source(
    source: Source, files: Sequence[Entry], places: Mapping[int, Place], sink: Sink, took: Took
) -> None:
    """Writes the data of those files that one source has.

    Args:
        source: Where it comes from.
        files: Regular files, each under its first name.
        places: By id of the entry, for those with data.
        sink: Into the file system.
        took: Called with what is written; what it raises ends this.

    Raises:
        SourceChanged: A file is not what the manifest says; names it.
        OSError: Reading the source or writing the image failed.
    """
    block_size = sink.block_size
    missing = {id(entry): entry for entry in files if id(entry) in places}
    current: Entry | None = None
    file: _File | None = None
    for entry, offset, data in source.stream(files):
        if entry is not current:
            if file is not None:
                file.finish()
            if missing.pop(id(entry), None) is None:
                raise changed(entry, "data where there was none")
            place = places[id(entry)]
            if len(data) == entry.size and isinstance(place, int):  # most files: one piece
                sink.write(place * block_size, data)
                current = file = None
            else:
                current, file = entry, _File(entry, place, sink)
        if file is not None:
            file.take(offset, data)
        took(entry, offset, data)
    if file is not None:
        file.finish()
    for entry in missing.values():
        raise changed(entry, "it has no data any more")


class _File:
    """A file whose data is coming: checks that it is what the manifest says, and writes it."""

    __slots__ = ("_block_size", "_expected", "_pieces", "_sink", "_start", "finish")

    def __init__(self, entry: Entry, place: Place, sink: Sink) -> None:
        self._expected = Expected(entry)
        self.finish = self._expected.finish
        self._sink = sink
        self._block_size = sink.block_size
        self._pieces: list[Piece] = []
        self._start = 0
        if isinstance(place, int):
            self._start = place * self._block_size
        else:
            self._pieces = place

    def take(self, offset: int, data: memoryview) -> None:
        """Takes the next bytes.

        Raises:
            SourceChanged: They are not the next of the file's data ranges.
        """
        self._expected.take(offset, len(data))
        if self._start:
            self._sink.write(self._start + offset, data)
        else:
            self._scatter(offset, data)

    def _scatter(self, offset: int, data: memoryview) -> None:
        """Writes bytes into the pieces of a file that is not in one."""
        size = self._block_size
        while data:
            block, within = divmod(offset, size)
            at = bisect_right(self._pieces, block, key=lambda piece: piece[0]) - 1
            logical, disk, count = self._pieces[at]
            part = data[: (logical + count - block) * size - within]
            self._sink.write((disk + block - logical) * size + within, part)
            offset += len(part)
            data = data[len(part) :]
