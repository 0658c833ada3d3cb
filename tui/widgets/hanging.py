"""Lines that go on below their own beginning, so that one sees where the next begins."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget

from tui.text import pieces

_SHORTEST = 16
"""Cells of a line, however little room there is."""


@dataclass(frozen=True, slots=True)
class HangingLine:
    """One line: what stands before it, its text, and what follows in the muted colour."""

    lead: str
    text: str
    after: str = ""
    style: str = ""


class Hanging(Widget):
    """Shows lines, all of them safe texts."""

    lines: reactive[tuple[HangingLine, ...]] = reactive((), layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._drawn(width))

    def render(self) -> Content:
        return Content("\n").join(self._drawn(self.size.width))

    def _drawn(self, width: int) -> list[Content]:
        drawn = []
        for line in self.lines:
            lead = line.lead
            for piece in pieces(line.text, max(width - cell_len(lead), _SHORTEST)):
                drawn.append(Content.styled(f"{lead}{piece.rstrip()}", line.style))
                lead = " " * cell_len(lead)
            drawn[-1] += Content.styled(line.after, "$muted")
        return drawn
