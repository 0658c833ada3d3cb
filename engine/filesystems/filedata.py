"""Carries the data of files from their sources to the places that a layout gave them.

Files of folders go by processes of their own where there is enough to do for several processors
(`copiers`), from the first to the last, so that the beginning of the file system is complete long
before its end. What an archive or the builder itself holds is read here, front to back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from engine.filesystems.copiers import NONE, Copiers, pay
from engine.filesystems.placed import Place, first_block, write_source
from engine.filesystems.populate import REPORT_EVERY, Cancelled, DataObserver, Progress, refuse
from engine.filesystems.sink import Sink
from engine.manifest.entry import Entry, Source

_BATCH_FILES, _BATCH_BYTES = 256, 4 << 20
"""Files are handed on once they are as many as the first, or hold as much as the second."""


class FileData:
    """Writes the data of a file system's files, each as soon as it has its place.

    Args:
        descriptor: The image, open for writing.
        origin: Byte of the image where the file system begins.
        block_size: Bytes of its blocks.
        files: How many will come.
        total: Bytes that will come.
        progress: Called now and then.
        observer: Takes what is written, or the sums of what others wrote.
        cancelled: Asked at every piece.
    """

    def __init__(
        self,
        descriptor: int,
        origin: int,
        block_size: int,
        *,
        files: int,
        total: int,
        progress: Progress,
        observer: DataObserver | None,
        cancelled: Callable[[], bool],
    ) -> None:
        self._target = descriptor, origin, block_size
        self._total = total
        self._progress = progress
        self._observer = observer
        self._cancelled = cancelled
        self._done = self._reported = 0
        self._laid_out = False
        self._settled = 0
        self._first = NONE
        self._places: dict[int, Place] = {}
        self._sources: dict[int, tuple[Source, list[Entry]]] = {}
        self._entries: list[Entry] = []
        self._their_places: list[Place | None] = []
        self._size = 0
        few, little = observer.spared() if observer is not None else (0, 0)
        self._copiers: Copiers | None = None
        if pay(files - few, total - little):
            self._copiers = Copiers(
                *self._target, self._copied, cancelled, summed=observer is not None
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._copiers is not None:
            self._copiers.end()

    def put(self, entry: Entry, place: Place | None) -> None:
        """Takes a regular file under its first name, and its place if it has data.

        Raises:
            PopulateFailed: Nothing has its data, or a process ended early.
            SourceChanged, Cancelled, OSError: As `finish` does.
        """
        self._entries.append(entry)
        self._their_places.append(place)
        self._size += entry.size
        if len(self._entries) >= _BATCH_FILES or self._size >= _BATCH_BYTES:
            self._submit()

    def _submit(self) -> None:
        """Has those files written that were put."""
        entries, places = self._entries, self._their_places
        self._entries, self._their_places, self._size = [], [], 0
        if self._observer is not None and (spared := self._observer.placed(entries, places)):
            self._report(sum(entries[at].size for at in spared))
            left = [at for at in range(len(entries)) if at not in spared]
            entries, places = [entries[at] for at in left], [places[at] for at in left]
        if self._copiers is not None:
            entries, places = self._copiers.put(entries, places)
        for entry, place in zip(entries, places, strict=True):
            if entry.source is None:
                if entry.size:
                    raise refuse(entry, "a file with data but without a source")
                continue
            if place:
                self._places[id(entry)] = place
                self._first = min(self._first, first_block(place))
            self._sources.setdefault(id(entry.source), (entry.source, []))[1].append(entry)

    def finish(self) -> None:
        """Writes all that was put and is not written yet.

        To be called once all else of the file system is in the image.

        Raises:
            SourceChanged: A file is not what the manifest says; names it.
            Cancelled: `cancelled` said so.
            OSError: Reading a source or writing the image failed.
        """
        self._submit()
        self._laid_out = True
        self._settle()
        if self._sources:
            with Sink(*self._target) as sink:
                for source, files in self._sources.values():
                    write_source(source, files, self._places, sink, self._took)
            self._first = NONE
        if self._copiers is not None:
            self._copiers.finish()
        self._progress(self._done, self._total)

    def _took(self, entry: Entry, offset: int, data: memoryview) -> None:
        if self._observer is not None:
            self._observer.take(entry, offset, data)
        if self._report(len(data)) and self._copiers is not None:
            self._copiers.pump()
        if self._cancelled():
            raise Cancelled

    def _copied(self, done: int, files: Sequence[Entry], digests: Sequence[bytes]) -> None:
        if self._observer is not None:
            self._observer.adopt_all(files, digests)
        self._report(done)
        if self._laid_out:
            self._settle()

    def _settle(self) -> None:
        """Tells up to where all is in the image, where that is known before the end."""
        if self._observer is None or self._copiers is None:
            return
        first = min(self._first, self._copiers.first)
        if self._settled < first < NONE:
            self._settled = first
            self._observer.settled(first * self._target[2])

    def _report(self, more: int) -> bool:
        """Counts bytes; returns whether it was time to tell of them."""
        self._done += more
        due = self._done - self._reported >= REPORT_EVERY
        if due:
            self._progress(self._done, self._total)
            self._reported = self._done
        return due
