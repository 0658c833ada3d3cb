"""Carries the data of files from their sources to the places that the layout gave them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable

from engine.filesystems.ext4.blockmap import Piece
from engine.filesystems.ext4.format import BLOCK_SIZE
from engine.filesystems.ext4.layout import Places
from engine.filesystems.populate import (
    REPORT_EVERY,
    Cancelled,
    Expected,
    Progress,
    Seen,
    changed,
    refuse,
)
from engine.filesystems.sink import Sink
from engine.manifest.entry import Entry, Source


class _File:
    """A file whose data is coming: checks that it is what the manifest says, and writes it."""

    __slots__ = ("_expected", "_pieces", "_sink", "_start", "finish")

    def __init__(self, entry: Entry, place: int | list[Piece], sink: Sink) -> None:
        self._expected = Expected(entry)
        self.finish = self._expected.finish
        self._sink = sink
        self._pieces: list[Piece] = []
        self._start = 0
        if isinstance(place, int):
            self._start = place * BLOCK_SIZE
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
        while data:
            block, within = divmod(offset, BLOCK_SIZE)
            at = bisect_right(self._pieces, block, key=lambda piece: piece[0]) - 1
            logical, disk, count = self._pieces[at]
            room = (logical + count - block) * BLOCK_SIZE - within
            part = data[:room]
            self._sink.write((disk + block - logical) * BLOCK_SIZE + within, part)
            offset += len(part)
            data = data[len(part) :]


def write_data(
    entries: Iterable[Entry],
    places: Places,
    sink: Sink,
    total: int,
    progress: Progress,
    seen: Seen | None,
    cancelled: Callable[[], bool],
) -> None:
    """Writes the data of all regular files, in the order of their sources.

    Args:
        entries: Those of the manifest.
        places: From the layout.
        sink: Into the file system.
        total: Bytes that will come.
        progress: Called now and then.
        seen: Called with what is written.
        cancelled: Asked at every piece.

    Raises:
        SourceChanged: A file is not what the manifest says; names it.
        Cancelled: `cancelled` said so.
        OSError: Reading a source or writing the image failed.
    """
    by_source: dict[int, tuple[Source, list[Entry]]] = {}
    for entry in entries:
        if entry.is_regular and entry.link_to is None:
            if entry.source is None:
                if entry.size:
                    raise refuse(entry, "a file with data but without a source")
                continue
            by_source.setdefault(id(entry.source), (entry.source, []))[1].append(entry)
    done = reported = 0
    for source, files in by_source.values():
        missing = {id(entry): entry for entry in files if places.get(id(entry))}
        current: Entry | None = None
        file: _File | None = None
        for entry, offset, data in source.stream(files):
            length = len(data)
            if entry is not current:
                if file is not None:
                    file.finish()
                if missing.pop(id(entry), None) is None:
                    raise changed(entry, "data where there was none")
                place = places[id(entry)]
                if length == entry.size and isinstance(place, int):  # most files: one piece
                    sink.write(place * BLOCK_SIZE, data)
                    current = file = None
                else:
                    current, file = entry, _File(entry, place, sink)
            if file is not None:
                file.take(offset, data)
            if seen is not None:
                seen(entry, offset, data)
            done += length
            if done - reported >= REPORT_EVERY:
                progress(done, total)
                reported = done
            if cancelled():
                raise Cancelled
        if file is not None:
            file.finish()
        for entry in missing.values():
            raise changed(entry, "it has no data any more")
    progress(done, total)
