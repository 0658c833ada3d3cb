"""A page of the wizard as text: its rows as they read, and the runs of style in each theme.

The file of a page has its rows first, numbered from 1, and then a section for each theme:

    [dark] #dfe3e8/#14181d
     1    0-12 #6cb6c9/#1b2027 bold, 13-79 #dfe3e8/#1b2027
     4-7  30-31 #8cc98f

The section's head names the theme's default style, the one that most of the page has. Below stand
the runs that differ from it: columns (both included), text colour "/" ground colour where this is
not the default one, attributes.
Rows in succession with the same runs share a line. A blank has no text colour of its own: it joins
the run beside it that has its ground. Where a theme reads otherwise, its section starts with the
rows in question: a terminal's own colours cannot be mixed, so nothing shines through a dialog.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.app import App

_ATTRIBUTES = ("bold", "dim", "italic", "underline", "blink", "reverse", "strike", "overline")
_VISIBLE_ON_BLANKS = ("underline", "reverse", "strike", "overline")
_HEAD = re.compile(r"\[(\w+)\] (.*)")
_MARGIN = "│"
_ROW = re.compile(rf" *(\d+){_MARGIN}(.*)")
_STYLED = re.compile(r" *(\d+)(?:-(\d+))? +(\S.*)")


@dataclass(frozen=True, slots=True)
class Look:
    """What a page looks like in one theme.

    Attributes:
        rows: What each row reads, without blanks at its end.
        default: The style that most of the page has.
        runs: A text for each row: its runs that are in another style, empty without any.
    """

    rows: tuple[str, ...]
    default: str
    runs: tuple[str, ...]


Page = dict[str, Look]
"""A page at one size: its looks, by the names of the themes."""

NOTHING = Look((), "", ())
"""What a page looks like that was never recorded."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """One cell of the screen.

    Attributes:
        text: Its character; empty for the second half of a wide one.
        blank: Whether nothing of its text colour can be seen.
    """

    text: str
    colour: str
    ground: str
    attributes: str
    blank: bool


def seen(app: App[Any]) -> Look:
    """Returns the screen of an app as it stands."""
    strips = app.screen._compositor.render_strips()
    cells = [list(_cells(strip)) for strip in strips]
    ground, _ = Counter(cell.ground for row in cells for cell in row).most_common(1)[0]
    styles = Counter(
        (cell.colour, cell.attributes)
        for row in cells
        for cell in row
        if not cell.blank and cell.ground == ground
    )
    colour, attributes = styles.most_common(1)[0][0] if styles else ("-", "")
    return Look(
        rows=tuple("".join(cell.text for cell in row).rstrip() for row in cells),
        default=f"{colour}/{ground}{attributes}",
        runs=tuple(_runs(row, colour + attributes, ground) for row in cells),
    )


def _cells(segments: Iterable[Segment]) -> Iterator[_Cell]:
    for text, given, _ in segments:
        style = given or Style()
        colour = style.color.name if style.color else "-"
        ground = style.bgcolor.name if style.bgcolor else "-"
        attributes = "".join(f" {name}" for name in _ATTRIBUTES if getattr(style, name))
        marked = any(getattr(style, name) for name in _VISIBLE_ON_BLANKS)
        for character in text:
            width = cell_len(character)
            for part in range(width):
                blank = character == " " and not marked
                yield _Cell("" if part else character, colour, ground, attributes, blank)


def _runs(row: list[_Cell], default: str, ground: str) -> str:
    """Returns the runs of a row that are not in the default style."""
    runs: list[list[_Cell]] = []
    styles: list[str] = []  # of the runs; empty while there are only blanks
    for cell in row:
        style = "" if cell.blank else _style(cell, ground)
        if runs and runs[-1][0].ground == cell.ground and (not style or styles[-1] in {"", style}):
            runs[-1].append(cell)
            styles[-1] = styles[-1] or style
        else:
            runs.append([cell])
            styles.append(style)
    texts = []
    start = 0
    for run, style in zip(runs, styles, strict=True):
        first, last = start, start + len(run) - 1
        start += len(run)
        if run[0].ground == ground:
            if style in {"", default}:
                continue
            while row[first].blank:
                first += 1
            while row[last].blank:
                last -= 1
        columns = f"{first}-{last}" if first != last else f"{first}"
        texts.append(f"{columns} {style or f'-/{run[0].ground}'}")
    return ", ".join(texts)


def _style(cell: _Cell, ground: str) -> str:
    own = "" if cell.ground == ground else f"/{cell.ground}"
    return f"{cell.colour}{own}{cell.attributes}"


def written(page: Page) -> str:
    """Returns the file of a page; the rows at its beginning are those of its first theme."""
    first, *_ = page.values()
    lines = [_numbered(number, row) for number, row in enumerate(first.rows, start=1)]
    for theme, look in page.items():
        lines += ["", f"[{theme}] {look.default}"]
        pairs = enumerate(zip(first.rows, look.rows, strict=True), start=1)
        lines += [_numbered(number, row) for number, (other, row) in pairs if row != other]
        for runs, group in groupby(enumerate(look.runs, start=1), key=lambda item: item[1]):
            numbers = [number for number, _ in group]
            if runs:
                until = f"-{numbers[-1]}" if len(numbers) > 1 else ""
                lines.append(f"{f'{numbers[0]:>2}{until}':<5} {runs}")
    return "\n".join(lines) + "\n"


def _numbered(number: int, row: str) -> str:
    return f"{number:>2}{_MARGIN}{row}"


def read(text: str) -> Page:
    """Reads the file of a page.

    Raises:
        ValueError: A line is not as `written` writes it.
    """
    first: list[str] = []
    page: Page = {}
    theme = ""
    for line in text.splitlines():
        if match := _HEAD.fullmatch(line):
            theme = match[1]
            page[theme] = Look(tuple(first), match[2], ("",) * len(first))
        elif match := _ROW.fullmatch(line):
            if theme:
                rows = _replaced(page[theme].rows, int(match[1]), int(match[1]), match[2])
                page[theme] = replace(page[theme], rows=rows)
            else:
                first.append(match[2])
        elif theme and (match := _STYLED.fullmatch(line)):
            runs = _replaced(page[theme].runs, int(match[1]), int(match[2] or match[1]), match[3])
            page[theme] = replace(page[theme], runs=runs)
        elif line:
            raise ValueError(f"not a line of a page: {line!r}")
    return page


def _replaced(lines: tuple[str, ...], first: int, last: int, text: str) -> tuple[str, ...]:
    return lines[: first - 1] + (text,) * (last - first + 1) + lines[last:]
