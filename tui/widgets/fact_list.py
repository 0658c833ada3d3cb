"""Facts as names and sentences in two columns; what is wrong stands out."""

from __future__ import annotations

from textwrap import wrap

from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget

from tui.facts import Fact
from tui.glyphs import UNICODE, Glyphs
from tui.text import pad, visible

_SHORTEST = 12
"""Cells of a sentence, however little room there is."""


class FactList(Widget):
    """Shows facts; long sentences go on below themselves."""

    facts: reactive[tuple[Fact, ...]] = reactive((), layout=True)

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines(width))

    def render(self) -> Content:
        return Content("\n").join(self._lines(self.size.width))

    def _lines(self, width: int) -> list[Content]:
        names = max((cell_len(fact.name) for fact in self.facts), default=0) + 2
        room = max(width - names, _SHORTEST)
        lines, before = [], ""
        for fact in self.facts:
            mark = f"{self.glyphs.warning} " if fact.warns else ""
            style = "$state-warning" if fact.warns else ""
            name = "" if fact.name == before else fact.name
            before = fact.name
            for text in wrap(visible(f"{mark}{fact.text}"), room, break_on_hyphens=False) or [""]:
                lines.append(Content.assemble((pad(name, names), "$muted"), (text, style)))
                name = ""
        return lines
