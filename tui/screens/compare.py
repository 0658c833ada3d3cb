"""Two images side by side: every field that differs, and where the differing bytes lie."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input

from engine.compare.diff import Comparison, compare
from tui.comparing import Compare, ComparisonSession, Left, NotComparable, summary
from tui.differences import Differences
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.screens.closing import Page
from tui.text import cut_left, visible
from tui.widgets.bars import KeyBar, TitleBar, aligned
from tui.widgets.inputs import SafeInput
from tui.widgets.labels import Plain
from tui.widgets.row_table import RowTable

_LONGEST_NAME = 24
"""Cells of an image's name before its value."""
_PAUSE = 0.12
"""Seconds without a further letter from which it is worth searching."""
_TOLD_EVERY = 0.5
"""Seconds between two words on how far it is."""


class CompareScreen(Page[None]):
    """Three columns: what differs, here, there."""

    HELP = """
# Two images

First files by path, then the fields of tables, partitions and file systems, then every range of
bytes that differs, with the structure that it is part of, shown once where it is the same in
both images.

- `/` keeps only the rows with a text in them, Escape shows all again.
- `f` keeps only what differs in files.
- The row in full is below the table.

Nothing is changed in either image. Escape goes back.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("compare")

    def __init__(
        self,
        first: Path,
        second: Path,
        glyphs: Glyphs = UNICODE,
        *,
        comparing: Compare = compare,
    ) -> None:
        super().__init__()
        self.comparison = ComparisonSession(first, second, comparing)
        self.glyphs = glyphs

    @property
    def rows(self) -> Differences | None:
        """What differs, once that is known."""
        return self.comparison.rows

    def compose(self) -> ComposeResult:
        yield TitleBar(self.glyphs, id="title")
        with Vertical(id="compare-body"):
            yield Plain("Comparing...", id="compare-verdict")
            yield RowTable(self.glyphs, id="compare-table")
            yield Plain("", id="compare-row")
            keep = SafeInput(placeholder="Keep rows with", compact=True, id="compare-keep")
            keep.display = False
            yield keep
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        self.query_one(TitleBar).file = " | ".join(self.comparison.names)
        self.query_one(RowTable).focus()
        self.set_interval(_TOLD_EVERY, self._tell)
        self._compare()

    def on_unmount(self) -> None:
        self.comparison.leave()

    @work(exclusive=True, group="compare")
    async def _compare(self) -> None:
        verdict = self.query_one("#compare-verdict", Plain)
        try:
            found = await asyncio.to_thread(self.comparison.run)
        except Left:
            return
        except NotComparable as why:
            verdict.show(visible(f"{self.glyphs.error} Error: {why}"))
            return
        verdict.show(self._verdict(found))
        if self.rows:
            self.query_one(RowTable).show(self.rows)
        self.refresh_bindings()

    def _tell(self) -> None:
        percent = self.comparison.percent
        if self.rows is None and percent:
            self.query_one("#compare-verdict", Plain).show(f"Comparing, {percent} % done")

    def _verdict(self, found: Comparison) -> Content:
        notes = [
            (f"\n{self.glyphs.warning} {visible(note)}", "$state-warning") for note in found.notes
        ]
        if found.identical:
            same = (f"{self.glyphs.done} Identical, bit for bit", "$state-done")
            return Content.assemble(same, *notes)
        return Content.assemble(
            (f"{self.glyphs.error} They differ: ", "bold $state-error"), summary(found), *notes
        )

    @on(RowTable.Moved)
    def _moved(self, event: RowTable.Moved) -> None:
        line = self.query_one("#compare-row", Plain)
        if self.rows is None or event.row is None:
            line.show("")
            return
        where, here, there = self.rows.details(event.row)
        names = (
            cut_left(name, _LONGEST_NAME, self.glyphs.ellipsis) for name in self.comparison.names
        )
        line.show(Content(f"{where}\n") + aligned(list(zip(names, (here, there), strict=True))))

    # ------------------------------------------------------------------ the filter

    def action_keep(self) -> None:
        """Asks for the text that rows must contain."""
        box = self.query_one(Input)
        box.display = True
        box.focus()

    @on(Input.Changed)
    @work(exclusive=True, group="keep")
    async def _keep(self) -> None:
        await asyncio.sleep(_PAUSE)  # a later letter ends this one's search before it began
        await self._show_kept()

    async def _show_kept(self) -> None:
        if self.rows is not None:
            self.comparison.text = self.query_one(Input).value
            kept = await asyncio.to_thread(self.comparison.kept)
            self.query_one(RowTable).show(self.rows, kept)

    @work(exclusive=True, group="keep")
    async def action_files(self) -> None:
        """Keeps only what differs in files, or all again."""
        self.comparison.only_files = not self.comparison.only_files
        await self._show_kept()

    @on(Input.Submitted)
    def _kept(self) -> None:
        self.query_one(RowTable).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "keep":
            return bool(self.rows)
        if action == "files":
            return self.rows is not None and self.rows.has_files
        return super().check_action(action, parameters)

    def action_back(self) -> None:
        """Shows all rows again, then goes back."""
        box = self.query_one(Input)
        if not box.display:
            self.dismiss(None)
            return
        box.value = ""
        box.display = False
        self.query_one(RowTable).focus()
