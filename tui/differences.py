"""Two images' differences as rows, each made when it is drawn: there may be tens of thousands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len

from engine.compare.diff import ByteRange, Comparison
from engine.compare.fields import Difference
from tui.text import counted, visible

WHERE = "Where"
_HEADINGS = ("Files", "Table and partitions", "Bookkeeping of file systems", "Raw bytes")
"""First what people change, then what follows from that."""
_FILE = "path"
_BOOKKEEPING = frozenset({"superblock", "descriptor", "boot-sector"})

_Item = str | Difference | ByteRange
"""A heading, or what differs."""


class Differences:
    """Rows of a comparison under headings: files, tables, bookkeeping, then byte for byte.

    Attributes:
        titles: Of the three columns.
        widths: Cells that each column would take if there were room.
        has_files: Some of it is about files, and some is not.
    """

    def __init__(self, found: Comparison, names: tuple[str, str]) -> None:
        self._items: list[_Item] = []
        self._group: list[int] = []
        files = [one for one in found.fields if one.kind == _FILE]
        kept = [one for one in found.fields if one.kind in _BOOKKEEPING]
        table = [one for one in found.fields if one.kind not in {_FILE, *_BOOKKEEPING}]
        groups: tuple[Sequence[Difference | ByteRange], ...] = (files, table, kept, found.ranges)
        for title, items in zip(_HEADINGS, groups, strict=True):
            self._add(title, items)
        self.has_files = bool(files) and len(self) > len(files) + 1
        self.titles: tuple[str, ...] = (WHERE, *names)
        self.widths: tuple[int, ...] = self._widest()

    def _add(self, title: str, items: Sequence[Difference | ByteRange]) -> None:
        if not items:
            return
        at = len(self._items)
        self._items += [f"{title}: {len(items):,}", *items]
        self._group += [at] * (len(items) + 1)

    def __len__(self) -> int:
        return len(self._items)

    def is_heading(self, index: int) -> bool:
        """Whether a row is the heading of those below it."""
        return isinstance(self._items[index], str)

    def cells(self, index: int) -> tuple[str, ...]:
        """Returns a row's cells; of two, the second holds for both images; one is a heading."""
        item = self._items[index]
        if isinstance(item, str):
            return (item,)
        if isinstance(item, Difference):
            return self.details(index)
        where = f"{counted(item.end - item.start, 'byte')} at {item.start:,}"
        _, here, there = self.details(index)
        return (where, f"{here} (both)") if here == there else (where, here, there)

    def details(self, index: int) -> tuple[str, str, str]:
        """Returns a row in full: where, here, there."""
        item = self._items[index]
        if isinstance(item, str):
            return item, "", ""
        if isinstance(item, Difference):
            return visible(item.where), _value(item, item.a), _value(item, item.b)
        where = f"bytes {item.start:,} to {item.end - 1:,} ({item.end - item.start:,})"
        return where, visible(item.a), visible(item.b)

    def having(self, text: str, *, only_files: bool = False) -> Sequence[int]:
        """Returns the rows in which a text occurs in either case, and the headings above them."""
        wanted = text.casefold()
        kept: dict[int, None] = {}
        for index, heading in enumerate(self._group):
            if index == heading or (only_files and not self._is_file(index)):
                continue
            if any(wanted in cell.casefold() for cell in self.cells(index)):
                kept |= {heading: None, index: None}
        return list(kept)

    def _is_file(self, index: int) -> bool:
        item = self._items[index]
        return isinstance(item, Difference) and item.kind == _FILE

    def _widest(self) -> tuple[int, int, int]:
        where, here, there = (cell_len(title) for title in self.titles)
        for index in range(len(self)):
            first, *others = map(cell_len, self.cells(index))
            if not others:  # a heading has the whole row
                continue
            where = max(where, first)
            if len(others) > 1:  # what holds for both has the rest of the row, however wide
                here, there = max(here, others[0]), max(there, others[1])
        return where, here, there


def _value(item: Difference, text: str) -> str:
    if item.counts and text.isdecimal():
        return f"{int(text):,}"
    return visible(text) or "-"


def told_apart(first: Path, second: Path) -> tuple[str, str]:
    """Returns what to call two files: their names, with as many folders as tell them apart."""
    here, there = first.parts, second.parts
    for count in range(1, min(len(here), len(there)) + 1):
        if here[-count:] != there[-count:]:
            return str(Path(*here[-count:])), str(Path(*there[-count:]))
    return str(first), str(second)
