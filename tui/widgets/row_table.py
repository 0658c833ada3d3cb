"""A table of any length: only what is in sight is made and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.text import fit
from tui.widgets.proportions import fitted

_GAP = 2
"""Cells between two columns."""


class Rows(Protocol):
    """What a table shows.

    Attributes:
        titles: Of the columns.
        widths: Cells that each column would take if there were room.
    """

    titles: tuple[str, ...]
    widths: tuple[int, ...]

    def __len__(self) -> int: ...

    def cells(self, index: int) -> tuple[str, ...]:
        """Returns a row's safe texts; the last one has the columns left over for itself, too.

        A single text is a heading: it can be seen, not chosen.
        """
        ...


class RowTable(ScrollView, can_focus=True):
    """Shows rows under a head that stays; never scrolls sideways."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("rows")
    COMPONENT_CLASSES: ClassVar[set[str]] = {"rows--head", "rows--cursor", "rows--heading"}

    class Moved(Message):
        """Another row is under the cursor; None where there is none."""

        def __init__(self, row: int | None) -> None:
            super().__init__()
            self.row = row

    class Opened(Message):
        """A row was clicked twice."""

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self.cursor = 0
        self._rows: Rows | None = None
        self._kept: Sequence[int] = ()
        self._widths: list[int] = []

    @property
    def row_count(self) -> int:
        """Rows that pass the filter."""
        return len(self._kept)

    def show(self, rows: Rows, kept: Sequence[int] | None = None) -> None:
        """Shows rows, only those numbered in `kept` if given; the cursor goes to the first."""
        self._rows = rows
        self._kept = range(len(rows)) if kept is None else kept
        self._share_out()
        self.virtual_size = Size(0, len(self._kept) + 1)
        self.go(0)

    def _share_out(self) -> None:
        if self._rows is not None:
            gaps = _GAP * (len(self._rows.titles) - 1)
            room = self.scrollable_content_region.width - gaps
            first, *others = self._rows.widths
            # Without room for all, the first column has the most: it tells the rows apart.
            first = min(first, max(room - sum(others), room * 2 // 5, 0))
            self._widths = [first, *fitted(others, room - first)]

    def on_resize(self) -> None:
        self._share_out()
        self.refresh()

    def go(self, to: int) -> None:
        """Puts the cursor on a row, or the one nearest to it that is not a heading."""
        self.cursor, first = self._nearest(to)
        height = max(self.scrollable_content_region.height - 1, 1)
        top = min(int(self.scroll_y), first)
        self.scroll_to(y=max(top, self.cursor - height + 1), animate=False, immediate=True)
        self.refresh()
        self.post_message(self.Moved(self._kept[self.cursor] if self._kept else None))

    def _nearest(self, to: int) -> tuple[int, int]:
        """Returns the row to go to, and the first that should be in sight along with it."""
        last = max(len(self._kept) - 1, 0)
        goal = min(max(to, 0), last)
        rows = range(goal, -1, -1) if goal < self.cursor else range(goal, last + 1)
        others = range(goal, last + 1) if goal < self.cursor else range(goal, -1, -1)
        found = next((at for at in (*rows, *others) if not self._is_heading(at)), goal)
        return found, found - 1 if found and self._is_heading(found - 1) else found

    def _is_heading(self, at: int) -> bool:
        if self._rows is None or at >= len(self._kept) or len(self._rows.titles) == 1:
            return False
        return len(self._rows.cells(self._kept[at])) == 1

    def action_move(self, by: int) -> None:
        """Moves the cursor."""
        self.go(self.cursor + by)

    def action_page(self, pages: int) -> None:
        """Moves the cursor by what is in sight."""
        self.go(self.cursor + pages * max(self.size.height - 2, 1))

    def action_first(self) -> None:
        """Goes to the first row."""
        self.go(0)

    def action_last(self) -> None:
        """Goes to the last row."""
        self.go(len(self._kept) - 1)

    def on_click(self, event: events.Click) -> None:
        at = int(self.scroll_y) + event.y - 1
        if event.y > 0 and at < len(self._kept):
            self.go(at)
            if event.chain == 2:
                self.post_message(self.Opened())

    def render_line(self, y: int) -> Strip:
        width, ground = self.size.width, self.rich_style
        if self._rows is None:
            return Strip.blank(width, ground)
        if y == 0:
            head = ground + self.get_component_rich_style("rows--head", partial=True)
            return self._strip(self._rows.titles, head)
        at = int(self.scroll_y) + y - 1
        if at >= len(self._kept):
            return Strip.blank(width, ground)
        if at == self.cursor and self.has_focus:
            ground += self.get_component_rich_style("rows--cursor", partial=True)
        cells = self._rows.cells(self._kept[at])
        if self._is_heading(at):
            ground += self.get_component_rich_style("rows--heading", partial=True)
        return self._strip(cells, ground)

    def _strip(self, cells: tuple[str, ...], style: Style) -> Strip:
        before = self._widths[: len(cells) - 1]
        width = self.scrollable_content_region.width
        rest = max(width - sum(before) - _GAP * len(before), 0)
        widths = [*before, rest]
        text = (" " * _GAP).join(
            fit(cell, width, self.glyphs.ellipsis)
            for cell, width in zip(cells, widths, strict=True)
        )
        return Strip([Segment(text, style)]).adjust_cell_length(self.size.width, style)

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()
