"""The spec as it would be saved, line by line; the last edit stands out."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.worker import get_current_worker

from tui.designing import DesignSession
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.listing import Listing
from tui.text import visible

_MARGIN = 2
"""Cells of the mark before a line."""


class SpecView(ScrollView, can_focus=True):
    """Shows lines; long ones scroll sideways."""

    HELP = """
# The spec

The TOML as it would be saved now, with the comments that the file has. What the last edit wrote
is marked with `+`; `-` marks where it removed lines.

Up, Down, Page up, Page down and the sideways arrows scroll; Escape goes back to the form.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("spec")
    COMPONENT_CLASSES: ClassVar[set[str]] = {"spec--section", "spec--comment", "spec--new"}

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self.listing = Listing()
        self._texts: list[str] = []

    def follow(self, design: DesignSession) -> None:
        """Shows what a design has become; on a thread where listing it takes a while."""
        if design.lists_quickly:
            self.show(design.listing())
        else:
            self.run_worker(
                partial(self._list, design), thread=True, exclusive=True, group="listing"
            )

    def _list(self, design: DesignSession) -> None:
        worker = get_current_worker()
        listing = design.listing()
        if not worker.is_cancelled:
            self.app.call_from_thread(self.show, listing)

    def show(self, listing: Listing) -> None:
        """Shows a spec; what is new in it comes into sight."""
        if listing == self.listing:
            return
        self.listing = listing
        self._texts = [visible(line.expandtabs(4)) for line in listing.lines]
        widest = max(map(cell_len, self._texts), default=0)
        self.virtual_size = Size(widest + _MARGIN, len(self._texts))
        self.call_after_refresh(self.go_to_edit)
        self.refresh()

    def go_to_edit(self) -> None:
        """Brings what the last edit changed into sight."""
        first = self.listing.first
        if first is not None:
            above = self.scrollable_content_region.height // 3
            self.scroll_to(y=max(first - above, 0), animate=False)

    def action_scroll_by(self, columns: int, rows: int) -> None:
        """Scrolls by so many cells."""
        self.scroll_relative(x=columns, y=rows, animate=False)

    def action_page(self, pages: int) -> None:
        """Scrolls by what is in sight."""
        self.scroll_relative(y=pages * max(self.size.height - 1, 1), animate=False)

    def action_end(self, last: int) -> None:
        """Goes to the first line, or to the last."""
        self.scroll_to(x=0, y=self.max_scroll_y if last else 0, animate=False)

    def render_line(self, y: int) -> Strip:
        left, top = self.scroll_offset
        at, width = top + y, self.size.width
        ground = self.rich_style
        if at >= len(self._texts):
            return Strip.blank(width, ground)
        text = self._texts[at]
        new = at in self.listing.new
        mark = "+" if new else "-" if at in self.listing.gone else " "
        style = ground + self._style_of(text)
        if new:
            style += self.get_component_rich_style("spec--new", partial=True)
        strip = Strip([Segment(f"{mark} ", style), Segment(text, style)])
        strip = strip.extend_cell_length(max(left + width, strip.cell_length), style)
        return strip.crop(left, left + width)

    def _style_of(self, text: str) -> Style:
        bare = text.lstrip()
        if bare.startswith("["):
            return self.get_component_rich_style("spec--section", partial=True)
        if bare.startswith("#"):
            return self.get_component_rich_style("spec--comment", partial=True)
        return Style()
