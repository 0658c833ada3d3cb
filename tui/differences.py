"""Two images' differences as rows, each made when it is drawn: there may be tens of thousands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len

from engine.compare.diff import Comparison
from tui.text import counted, visible

WHERE = "Where"


class Differences:
    """Rows of a comparison: what has a name, then what differs byte for byte.

    Attributes:
        titles: Of the three columns.
        widths: Cells that each column would take if there were room.
    """

    def __init__(self, found: Comparison, names: tuple[str, str]) -> None:
        self._found = found
        self.titles: tuple[str, ...] = (WHERE, *names)
        self.widths: tuple[int, ...] = self._widest()

    def __len__(self) -> int:
        return len(self._found.fields) + len(self._found.ranges)

    def cells(self, index: int) -> tuple[str, ...]:
        """Returns a row's cells; with two of them, the second holds for both images."""
        fields = self._found.fields
        if index < len(fields):
            return self.details(index)
        piece = self._found.ranges[index - len(fields)]
        where = f"{counted(piece.end - piece.start, 'byte')} at {piece.start:,}"
        _, here, there = self.details(index)
        return (where, f"{here} (both)") if here == there else (where, here, there)

    def details(self, index: int) -> tuple[str, str, str]:
        """Returns a row in full: where, here, there."""
        fields = self._found.fields
        if index < len(fields):
            one = fields[index]
            return visible(one.where), visible(one.a) or "-", visible(one.b) or "-"
        piece = self._found.ranges[index - len(fields)]
        where = f"bytes {piece.start:,} to {piece.end - 1:,} ({piece.end - piece.start:,})"
        return where, visible(piece.a), visible(piece.b)

    def having(self, text: str) -> Sequence[int]:
        """Returns the rows in which a text occurs, upper and lower case alike."""
        wanted = text.casefold()
        return [
            index
            for index in range(len(self))
            if any(wanted in cell.casefold() for cell in self.cells(index))
        ]

    def _widest(self) -> tuple[int, int, int]:
        where, here, there = (cell_len(title) for title in self.titles)
        for index in range(len(self)):
            first, *others = map(cell_len, self.cells(index))
            where = max(where, first)
            if len(others) > 1:  # what holds for both has the rest of the row, however wide
                here, there = max(here, others[0]), max(there, others[1])
        return where, here, there


def told_apart(first: Path, second: Path) -> tuple[str, str]:
    """Returns what to call two files: their names, with as many folders as tell them apart."""
    here, there = first.parts, second.parts
    for count in range(1, min(len(here), len(there)) + 1):
        if here[-count:] != there[-count:]:
            return str(Path(*here[-count:])), str(Path(*there[-count:]))
    return str(first), str(second)
