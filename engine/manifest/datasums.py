"""SHA-256 of files' data, as it flows from the sources."""

from __future__ import annotations

import hashlib
import time
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Sequence

from engine.manifest.entry import Entry

_EMPTY = hashlib.sha256().digest()
_PATIENCE = 0.01
"""Seconds between two looks whether a sum has come."""


class DataSums:
    """SHA-256 of files' data, taken as it flows from the sources (`Source.stream`).

    A file with holes is hashed as its data ranges, each after its offset and length, so that
    holes cost nothing.
    """

    def __init__(self) -> None:
        self._whole: dict[int, bytes] = {}
        self._pieces: dict[int, hashlib._Hash] = {}

    def take(self, entry: Entry, offset: int, data: memoryview) -> None:
        """Takes the next bytes of a file."""
        if entry.extents is not None:
            digest = self._of(entry)
            at = bisect_left(entry.extents, (offset,))
            if at < len(entry.extents) and entry.extents[at][0] == offset:
                digest.update(b"%d %d\n" % entry.extents[at])
            digest.update(data)
        elif len(data) == entry.size:  # most files: one piece
            self._whole[id(entry)] = hashlib.sha256(data).digest()
        else:
            self._of(entry).update(data)

    def adopt(self, entry: Entry, digest: bytes) -> None:
        """Takes the sum of a file that is not read here, as another's `of` gave it."""
        self._whole[id(entry)] = digest

    def adopt_all(self, entries: Iterable[Entry], digests: Iterable[bytes]) -> None:
        """Does as `adopt` with many files."""
        self._whole.update(zip(map(id, entries), digests, strict=True))

    def placed(self, entries: Sequence[Entry], places: Sequence[object]) -> Collection[int]:
        """Returns which files' data need not be written where it goes: all of it is."""
        return ()

    def spared(self) -> tuple[int, int]:
        """Returns how many files, and bytes, are not written: none."""
        return 0, 0

    def settled(self, end: int) -> None:
        """Takes how much of a file system stays as it is, which sums do not depend on."""

    def awaited(self, entry: Entry, over: Callable[[], bool]) -> bytes | None:
        """Returns the sum of a file, as `of` does, and waits for it while data still flows.

        Args:
            entry: Any.
            over: Whether no more data will come.

        Returns:
            Nothing of what has no data.
        """
        while (found := self._whole.get(id(entry))) is None:
            if not has_data(entry):
                return None
            if not entry.size:
                return _EMPTY
            if over():
                return self.of((entry,))[id(entry)]
            time.sleep(_PATIENCE)
        return found

    def of(self, entries: Iterable[Entry]) -> dict[int, bytes]:
        """Returns the sum of every regular file among the entries, by id of the entry."""
        sums = {id(entry): _EMPTY for entry in entries if has_data(entry)}
        sums.update((key, digest.digest()) for key, digest in self._pieces.items() if key in sums)
        sums.update((key, digest) for key, digest in self._whole.items() if key in sums)
        return sums

    def _of(self, entry: Entry) -> hashlib._Hash:
        if id(entry) not in self._pieces:
            self._pieces[id(entry)] = hashlib.sha256()
        return self._pieces[id(entry)]


def has_data(entry: Entry) -> bool:
    """Whether an entry is a regular file under its first name."""
    return entry.is_regular and entry.link_to is None
