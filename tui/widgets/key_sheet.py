"""Keys and what they do, in as many columns as it takes to see them all at once."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from tui.help import KeyHelp
from tui.text import cut, pad

_GAP = 3
"""Cells between two columns."""

_Row = tuple[str, str]
"""Keys and words; a heading has no words."""


def sheet(keys: Sequence[KeyHelp], width: int, height: int) -> list[list[_Row]]:
    """Returns columns of rows: sentences where all of them fit, else labels.

    Args:
        keys: In the order to show them.
        width: Cells there are.
        height: Rows that can be seen; more are returned only where labels do not fit either.
    """
    columns: list[list[_Row]] = []
    for words, most in (("what", 2), ("label", 6)):
        rows = _rows(keys, words)
        for count in range(1, most + 1):
            columns = _columns(rows, count)
            if count > 1 and _width(columns) > width:
                columns = _columns(rows, count - 1)
                break
            if max(map(len, columns), default=0) <= height and _width(columns) <= width:
                return columns
    return columns


def _rows(keys: Sequence[KeyHelp], words: str) -> list[_Row]:
    rows: list[_Row] = []
    place = ""
    for key in keys:
        if key.place != place:
            place = key.place
            rows.append((place, ""))
        rows.append((key.shown, getattr(key, words)))
    return rows


def _columns(rows: list[_Row], count: int) -> list[list[_Row]]:
    """Returns rows in columns of about the same height; no heading stands at the foot of one."""
    height = -(-len(rows) // count)
    columns: list[list[_Row]] = [[]]
    for index, row in enumerate(rows):
        is_heading = not row[1] and index + 1 < len(rows)
        if len(columns[-1]) + is_heading >= height and len(columns) < count:
            columns.append([])
        columns[-1].append(row)
    return columns


def _widths(column: list[_Row]) -> tuple[int, int]:
    """Returns the cells that keys and words of a column take."""
    keys = max((cell_len(shown) for shown, words in column if words), default=0)
    words = max((cell_len(words) for _, words in column), default=0)
    return keys, max(words, max((cell_len(shown) for shown, _ in column), default=0) - keys - 2)


def _width(columns: list[list[_Row]]) -> int:
    return sum(sum(_widths(column)) + 2 for column in columns) + _GAP * (len(columns) - 1)


class KeySheet(Widget):
    """Shows keys; as high as it must be, and no higher than `room` where that can be had."""

    class Chosen(Message):
        """A key was clicked."""

        def __init__(self, key: KeyHelp) -> None:
            super().__init__()
            self.key = key

    def __init__(self, keys: Sequence[KeyHelp], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.keys = keys
        self.room = 0

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return max(map(len, sheet(self.keys, width, self.room)), default=0)

    def render(self) -> Content:
        columns = sheet(self.keys, self.size.width, self.room)
        lines = []
        for at in range(max(map(len, columns), default=0)):
            line = Content("")
            for column in columns:
                row = column[at] if at < len(column) else ("", "")
                line += self._cell(row, *_widths(column)) + Content(" " * _GAP)
            lines.append(line)
        return Content("\n").join(lines)

    def on_click(self, event: events.Click) -> None:
        left = 0
        for column in sheet(self.keys, self.size.width, self.room):
            right = left + sum(_widths(column)) + 2
            if left <= event.x < right and event.y < len(column):
                row = column[event.y]
                for key in self.keys:
                    if row in {(key.shown, key.what), (key.shown, key.label)}:
                        self.post_message(self.Chosen(key))
            left = right + _GAP

    def _cell(self, row: _Row, keys: int, words: int) -> Content:
        shown, what = row
        if not what:
            return Content.styled(pad(shown, keys + words + 2), "bold $accent")
        room = min(words, max(self.size.width - keys - 2, 1))
        return Content.assemble(
            (pad(shown, keys), "bold $footer-key-foreground"), "  ", pad(cut(what, room), words)
        )
