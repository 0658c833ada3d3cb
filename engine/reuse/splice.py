"""Rows of a table that go, and others that come: the same for each of its columns."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

_T = TypeVar("_T")


class Cut(NamedTuple):
    """One place of a table.

    Attributes:
        at: Number of the row that is there.
        gone: How many rows go, from there on.
        come: How many come, before those that stay.
    """

    at: int
    gone: int
    come: int


class Splice:
    """What becomes of the numbers of rows, and of what columns hold.

    Attributes:
        cuts: By rising number, none within another.
        places: The numbers that rows get which come, in order.
    """

    def __init__(self, gone: Iterable[int], come: Iterable[int]) -> None:
        """Prepares it.

        Args:
            gone: Numbers of rows that go.
            come: Of each row that comes, in order, the number of the row that it goes before.
        """
        self.cuts = sorted([*(Cut(at, 0, 1) for at in come), *(Cut(at, 1, 0) for at in gone)])
        self.places: list[int] = []
        self._begins = [cut.at for cut in self.cuts]
        self._shifts = [0]
        self._gone = {cut.at for cut in self.cuts if cut.gone}
        shift = 0
        for cut in self.cuts:
            if cut.come:
                self.places.append(cut.at + shift)
            shift += cut.come - cut.gone
            self._shifts.append(shift)

    def moved(self, number: int) -> int:
        """Returns the new number of a row that stays."""
        return number + self._shifts[bisect_left(self._begins, number + 1)]

    def keyed(self, values: Mapping[int, _T]) -> dict[int, _T]:
        """Returns what is known of some rows, of those that stay."""
        return {self.moved(at): one for at, one in values.items() if at not in self._gone}

    def numbers(self, rows: Sequence[int]) -> list[int]:
        """Returns the new numbers of those of some rows that stay; they rise."""
        found: list[int] = []
        begin, shift = 0, 0
        for at, gone, come in self.cuts:
            end = bisect_left(rows, at, begin)
            found += [row + shift for row in rows[begin:end]]
            begin = bisect_left(rows, at + gone, end)
            shift += come - gone
        found += [row + shift for row in rows[begin:]]
        return found

    def listed(self, rows: Sequence[_T], new: Iterable[_T]) -> list[_T]:
        """Returns a column with the values of rows that come."""
        found: list[_T] = []
        begin, coming = 0, iter(new)
        for at, gone, come in self.cuts:
            found += rows[begin:at]
            if come:
                found.append(next(coming))
            begin = at + gone
        found += rows[begin:]
        return found

    def packed(self, rows: bytes, new: bytes, width: int) -> bytes:
        """Returns a column whose values take so many bytes each."""
        parts: list[bytes | memoryview] = []
        view, begin, coming = memoryview(rows), 0, 0
        for at, gone, come in self.cuts:
            parts.append(view[begin * width : at * width])
            if come:
                parts.append(new[coming : coming + width])
                coming += width
            begin = at + gone
        parts.append(view[begin * width :])
        return b"".join(parts)


def within(rows: Sequence[int], gone: Collection[int], come: Iterable[int]) -> Splice:
    """Returns the splice of a table of some rows of another one.

    Args:
        rows: Their numbers in the other, rising.
        gone: Rows of the other that go.
        come: As for a splice of the other, of those rows that this one gets as well.
    """
    going = []
    for number in gone:
        at = bisect_left(rows, number)
        if at < len(rows) and rows[at] == number:
            going.append(at)
    return Splice(going, [bisect_left(rows, number) for number in come])
