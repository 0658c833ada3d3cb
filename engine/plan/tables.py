"""Figures and sentences in columns of a terminal: tables, tables that are too wide, cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap


def columns(rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """Returns rows with their columns lined up, those of `right` to the right."""
    table = [tuple(row) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    flush = frozenset(right)
    return [
        "  ".join(
            cell.rjust(width) if index in flush else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def narrowed(rows: list[tuple[str, ...]], room: int | None) -> Iterator[list[tuple[str, ...]]]:
    """Yields a table as tables that fit, each with the first column at its left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    taken: list[int] = []
    for index in range(1, len(widths)):
        needed = widths[0] + sum(2 + widths[one] for one in (*taken, index))
        if room is not None and taken and needed > room:
            yield [(row[0], *(row[one] for one in taken)) for row in rows]
            taken = []
        taken.append(index)
    yield [(row[0], *(row[one] for one in taken)) for row in rows]


def wrapped(line: str, room: int | None) -> list[str]:
    """Returns a sentence as lines of at most `room` columns; None: as one line."""
    if room is None:
        return [line]
    return wrap(line, room, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def apportion(weights: Sequence[int], width: int) -> list[int]:
    """Divides cells among weights: each at least one, the rest by largest remainder.

    The parts sum to `width`, or to the number of weights if that is more.
    """
    spare = width - len(weights)
    total = sum(weights)
    if spare <= 0 or not total:
        return [1] * len(weights)
    cells = [1 + weight * spare // total for weight in weights]
    by_remainder = sorted(
        range(len(weights)), key=lambda index: (-(weights[index] * spare % total), index)
    )
    for index in by_remainder[: width - sum(cells)]:
        cells[index] += 1
    return cells
