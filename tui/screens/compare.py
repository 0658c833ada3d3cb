"""Two images side by side: every field that differs, and where the differing bytes lie."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import Screen
from textual.widgets import DataTable

from engine.compare.diff import Comparison, compare
from engine.inspect.container import BadImage
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.text import cut, visible
from tui.widgets.bars import KeyBar, TitleBar
from tui.widgets.labels import Plain

LONGEST = 5000
"""Rows shown; `diskwright diff --json` has all."""


class CompareScreen(Screen[None]):
    """Three columns: what differs, here, there."""

    HELP = """
# Two images

First what has a name: fields of the table, of file systems, of files by path. Then every range
of bytes that differs, with the structure it lies in on either side.

Nothing is changed in either image. Escape goes back.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("compare")

    def __init__(self, first: Path, second: Path, glyphs: Glyphs = UNICODE) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.glyphs = glyphs
        self.rows: list[tuple[str, str, str]] = []

    def compose(self) -> ComposeResult:
        """Title, verdict, table, the row in full."""
        yield TitleBar(self.glyphs, id="title")
        with Vertical(id="compare-body"):
            yield Plain("Comparing...", id="compare-verdict")
            yield DataTable[Text](cursor_type="row", id="compare-table")
            yield Plain("", id="compare-row")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Compares aside."""
        self.query_one(TitleBar).file = f"{self.first.name} | {self.second.name}"
        self.query_one(DataTable).focus()
        self._compare()

    @work(exclusive=True, group="compare")
    async def _compare(self) -> None:
        verdict = self.query_one("#compare-verdict", Plain)
        try:
            found = await asyncio.to_thread(compare, self.first, self.second)
        except (BadImage, OSError) as error:
            verdict.show(visible(f"{self.glyphs.error} Error: {error}"))
            return
        verdict.show(self._verdict(found))
        self.rows = rows_of(found)[:LONGEST]
        self.show_rows()

    def _verdict(self, found: Comparison) -> str:
        if found.identical:
            return f"{self.glyphs.done} Identical, bit for bit"
        fields, ranges = len(found.fields), len(found.ranges)
        parts = [
            f"{fields:,} field{'' if fields == 1 else 's'} with a name",
            f"{found.bytes:,} bytes in {ranges:,} range{'' if ranges == 1 else 's'}",
        ]
        more = ", and more that are not listed" if found.cut else ""
        return f"{self.glyphs.error} They differ: {', '.join(parts)}{more}"

    def on_resize(self) -> None:
        """Shares the new width out."""
        self.show_rows()

    def show_rows(self) -> None:
        """Fills the table."""
        table = self.query_one(DataTable)
        table.clear(columns=True)
        third = max((self.size.width - 8) // 3, 4)
        for title in ("Where", self.first.name, self.second.name):
            table.add_column(cut(visible(title), third, self.glyphs.ellipsis), width=third)
        for row in self.rows:
            table.add_row(*(Text(cut(cell, third, self.glyphs.ellipsis)) for cell in row))

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Shows the row in full."""
        if event.cursor_row < len(self.rows):
            where, here, there = self.rows[event.cursor_row]
            self.query_one("#compare-row", Plain).show(f"{where}\n{here}\n{there}")

    def action_back(self) -> None:
        """Goes back."""
        self.dismiss(None)


def rows_of(found: Comparison) -> list[tuple[str, str, str]]:
    """Returns what differs as rows of safe text: where, here, there."""
    rows = [
        (visible(one.where), visible(one.a) or "-", visible(one.b) or "-") for one in found.fields
    ]
    for piece in found.ranges:
        size = piece.end - piece.start
        where = f"bytes {piece.start:,} to {piece.end - 1:,} ({size:,})"
        rows.append((where, visible(piece.a), visible(piece.b)))
    return rows
