"""Lines that a digest is over: one of them can change without the others being made again."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from io import BytesIO
from itertools import accumulate, pairwise
from typing import Self

import msgspec

from engine.packed import numbers
from engine.reuse.splice import Splice


class Lines(msgspec.Struct, frozen=True, array_like=True, dict=True):
    """Byte strings, one behind the other.

    Attributes:
        data: All of them.
        lengths: Of each, 4 bytes in this machine's order.
    """

    data: bytes
    lengths: bytes

    @classmethod
    def of(cls, lines: Iterable[bytes]) -> Self:
        """Returns some lines."""
        data = BytesIO()  # a list of them would take as much again
        lengths = array("I", map(data.write, lines))
        return cls(data.getvalue(), lengths.tobytes())

    @cached_property
    def _starts(self) -> array[int]:
        return array("q", accumulate(numbers("I", self.lengths), initial=0))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, index: int) -> bytes:
        return self.data[self._starts[index] : self._starts[index + 1]]

    def __iter__(self) -> Iterator[bytes]:
        data, starts = self.data, self._starts
        return (data[begin:end] for begin, end in pairwise(starts))

    def replaced(self, changes: Mapping[int, bytes]) -> Self:
        """Returns the lines with some of them changed, by their index."""
        if not changes:
            return self
        starts, view = self._starts, memoryview(self.data)
        lengths = numbers("I", self.lengths)
        parts: list[bytes | memoryview] = []
        at = 0
        for index, line in sorted(changes.items()):
            parts += [view[at : starts[index]], line]
            at = starts[index + 1]
            lengths[index] = len(line)
        return type(self)(b"".join((*parts, view[at:])), lengths.tobytes())

    def spliced(self, splice: Splice, new: Sequence[bytes]) -> Self:
        """Returns the lines without some of them, and with others."""
        starts, view = self._starts, memoryview(self.data)
        parts: list[bytes | memoryview] = []
        begin, coming = 0, iter(new)
        for at, gone, come in splice.cuts:
            parts.append(view[starts[begin] : starts[at]])
            if come:
                parts.append(next(coming))
            begin = at + gone
        parts.append(view[starts[begin] :])
        lengths = splice.packed(self.lengths, array("I", map(len, new)).tobytes(), 4)
        return type(self)(b"".join(parts), lengths)

    @property
    def sha256(self) -> str:
        """The digest of all of them, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()
