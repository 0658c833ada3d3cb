"""What a record says that a source held, changed to what it holds."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left

import msgspec

from engine.manifest.entry import order
from engine.packed import numbers
from engine.reuse.record import NEVER, SourceRecord
from engine.reuse.splice import Splice


class Listed:
    """The names that were walked, by number.

    Attributes:
        names: Paths in the source, each directory before what is in it.
        target: Path in the image of the first, which the others are below.
    """

    def __init__(self, source: SourceRecord) -> None:
        self._source = source
        self.names = source.names.split(b"\0")[:-1]
        self.target = source.target
        self._stamps = numbers("q", source.stamps)
        self._gone: set[int] = set()
        self._come: dict[bytes, int] = {}

    def path(self, number: int) -> bytes:
        """Returns the path in the image."""
        return b"/".join(filter(None, (self.target, self.names[number] if number else b"")))

    def names_of(self, stamp: int) -> set[int]:
        """Returns the numbers of names that had a stamp, as the names of one inode have."""
        packed = self._source.stamps
        wanted, found, at = stamp.to_bytes(8, sys.byteorder, signed=True), set(), -1
        while (at := packed.find(wanted, at + 1)) >= 0:
            if not at % 8:
                found.add(at // 8)
        return found

    def stamp_of(self, number: int) -> int:
        """Returns the stamp that a name had."""
        packed = self._source.stamps[number * 8 : number * 8 + 8]
        return int.from_bytes(packed, sys.byteorder, signed=True)

    def is_gone(self, number: int) -> bool:
        """Whether a name was removed."""
        return number in self._gone

    def inside(self, number: int) -> dict[bytes, int]:
        """Returns the names in a directory as they were listed, and their numbers."""
        prefix = self.names[number] + b"/" if self.names[number] else b""
        found: dict[bytes, int] = {}
        at = number + 1
        while at < len(self.names) and self.names[at].startswith(prefix):
            found[self.names[at][len(prefix) :]] = at
            at = self._behind(at)
        return found

    def _behind(self, number: int) -> int:
        """Returns the number behind a name and what is below it."""
        names = self.names
        if number + 1 < len(names) and names[number + 1].startswith(names[number] + b"/"):
            return bisect_left(names, order(names[number]) + b"\1", number + 1, key=order)
        return number + 1

    def stamp(self, number: int, stamp: int, *, recent: bool) -> None:
        """Takes the stamp of what is there now."""
        self._stamps[number] = NEVER if recent else stamp

    def remove(self, number: int) -> range:
        """Takes away a name and what is below it; returns their numbers."""
        below = range(number, self._behind(number))
        self._gone.update(below)
        return below

    def add(self, name: bytes, stamp: int, *, recent: bool) -> None:
        """Takes a path that was not there."""
        self._come[name] = NEVER if recent else stamp

    def record(self) -> SourceRecord:
        """Returns all of it, for the next record."""
        if not self._gone and not self._come:
            return msgspec.structs.replace(self._source, stamps=self._stamps.tobytes())
        come = sorted(self._come, key=order)
        at = [bisect_left(self.names, order(name), key=order) for name in come]
        splice = Splice(self._gone, at)
        stamps = array("q", (self._come[name] for name in come)).tobytes()
        return msgspec.structs.replace(
            self._source,
            names=b"".join(name + b"\0" for name in splice.listed(self.names, come)),
            stamps=splice.packed(self._stamps.tobytes(), stamps, 8),
        )
