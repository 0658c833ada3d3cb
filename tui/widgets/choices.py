"""A set of choices as one tab stop: arrows move, Space or Enter takes."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.text import cut, pad

_GAP = 3
_MARK = 2
_SHORTEST = 12
"""Cells of a row of details, however little room there is."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice.

    Attributes:
        value: What choosing it means.
        title: Its name.
        detail: What stands beside the title, where there is a line for each.
        blocked: Why it cannot be taken, or "".
        drawing: A picture beside the title, where there is a line for each.
    """

    value: str
    title: str
    detail: str = ""
    blocked: str = ""
    drawing: Content | None = None


class Choices(Widget, can_focus=True):
    """Radio buttons, in a row or a line each; a blocked one says why instead."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("choices")

    options: reactive[tuple[Choice, ...]] = reactive((), layout=True)
    chosen = reactive("")
    cursor = reactive(0)

    @dataclass
    class Chosen(Message):
        """A choice was taken."""

        choices: Choices
        value: str

        @property
        def control(self) -> Choices:
            """The widget, for `on` with a selector."""
            return self.choices

    @dataclass
    class Highlighted(Message):
        """The cursor stands on a choice."""

        choices: Choices
        value: str

        @property
        def control(self) -> Choices:
            """The widget, for `on` with a selector."""
            return self.choices

    def __init__(
        self,
        options: tuple[Choice, ...],
        *,
        glyphs: Glyphs = UNICODE,
        inline: bool = False,
        help_text: str = "",
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.set_reactive(Choices.options, options)
        self.glyphs = glyphs
        self.inline = inline
        self.help_text = help_text

    def watch_chosen(self, value: str) -> None:
        for index, choice in enumerate(self.options):
            if choice.value == value:
                self.cursor = index

    def watch_options(self) -> None:
        self.cursor = min(self.cursor, max(len(self.options) - 1, 0))
        self.watch_chosen(self.chosen)

    def watch_cursor(self, index: int) -> None:
        if index < len(self.options):
            self.post_message(self.Highlighted(self, self.options[index].value))
        self._follow()

    def _follow(self) -> None:
        if self.has_focus:
            column, row = self._places()[self.cursor] if self.options else (0, 0)
            self._keep_in_sight(row)
            self.app.cursor_position = self.content_region.offset + Offset(column, row)

    def _keep_in_sight(self, row: int) -> None:
        """Scrolls what it stands in: with long details it may be taller than that."""
        listed = self.options and not self.inline
        rows = len(self._details(self.size.width)[self.cursor]) if listed else 1
        for above in self.ancestors:
            if isinstance(above, VerticalScroll):
                top = self.content_region.y + row - above.content_region.y + int(above.scroll_y)
                above.scroll_to_region(Region(0, top, 1, rows), animate=False)
                return

    def on_focus(self) -> None:
        self._follow()
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def action_move(self, by: int) -> None:
        """Moves the cursor; in a row, where everything is in sight, round."""
        if self.options:
            self.cursor = min(max(self.cursor + by, 0), len(self.options) - 1)

    def action_take(self) -> None:
        """Takes the choice under the cursor."""
        if not self.options:
            return
        choice = self.options[self.cursor]
        if choice.blocked:
            self.app.bell()
            return
        self.post_message(self.Chosen(self, choice.value))

    def on_click(self, event: events.Click) -> None:
        details = self._details(self.size.width)
        for index, (column, row) in enumerate(self._places()):
            width = self._width(self.options[index]) if self.inline else self.size.width
            rows = 1 if self.inline else len(details[index])
            if row <= event.y < row + rows and column <= event.x < column + width:
                self.cursor = index
                self.action_take()
                return

    def _width(self, choice: Choice) -> int:
        return cell_len(choice.title) + 2

    def _places(self) -> list[tuple[int, int]]:
        """Column and row of every choice."""
        if not self.inline:
            heights = [len(lines) for lines in self._details(self.size.width)]
            return [(0, sum(heights[:index])) for index in range(len(heights))]
        places, column, row = [], 0, 0
        width = max(self.size.width, 1)
        for choice in self.options:
            if column and column + self._width(choice) > width:
                column, row = 0, row + 1
            places.append((column, row))
            column += self._width(choice) + _GAP
        return places

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        if not self.inline:
            return max(sum(map(len, self._details(width))), 1)
        row, column = 1, 0
        for choice in self.options:
            if column and column + self._width(choice) > max(width, 1):
                column, row = 0, row + 1
            column += self._width(choice) + _GAP
        return row

    def render(self) -> Content:
        if self.inline:
            return self._row()
        details = self._details(self.size.width)
        return Content("\n").join(
            self._line(index, choice, details[index]) for index, choice in enumerate(self.options)
        )

    @property
    def _title_cells(self) -> int:
        return max((cell_len(choice.title) for choice in self.options), default=0)

    @property
    def _drawing_cells(self) -> int:
        return max((c.drawing.cell_length for c in self.options if c.drawing), default=0)

    def _details(self, width: int) -> list[list[str]]:
        """Returns the details of each choice by rows; beside drawings only what fits in one."""
        rest = width - self._title_cells - _MARK - 1
        drawing = self._drawing_cells
        if drawing and rest > drawing:
            rest -= drawing + 1
        details = []
        for choice in self.options:
            text = f"not now: {choice.blocked}" if choice.blocked else choice.detail
            if drawing:
                fits = choice.blocked or cell_len(text) <= rest
                details.append([cut(text, rest, self.glyphs.ellipsis) if fits else ""])
            else:
                details.append(wrap(text, max(rest, _SHORTEST)) or [""])
        return details

    def _mark(self, choice: Choice) -> str:
        if choice.blocked:
            return self.glyphs.blocked
        return self.glyphs.chosen if choice.value == self.chosen else self.glyphs.open

    def _style(self, index: int, choice: Choice) -> str:
        if self.has_focus and index == self.cursor:
            return "$block-cursor-foreground on $block-cursor-background bold"
        if choice.blocked:
            return "$muted"
        return "bold" if choice.value == self.chosen else ""

    def _row(self) -> Content:
        lines: dict[int, Content] = {}
        places = self._places()
        for index, (choice, (column, row)) in enumerate(zip(self.options, places, strict=True)):
            line = lines.get(row, Content(""))
            line = line + " " * (column - line.cell_length)
            text = f"{self._mark(choice)} {choice.title}"
            lines[row] = line + Content.styled(text, self._style(index, choice))
        return Content("\n").join(lines[row] for row in sorted(lines))

    def _line(self, index: int, choice: Choice, details: list[str]) -> Content:
        title, drawing = self._title_cells, self._drawing_cells
        style = self._style(index, choice)
        content = Content.styled(f"{self._mark(choice)} {pad(choice.title, title)}", style)
        if drawing and self.size.width - title - _MARK - 1 > drawing:
            picture = choice.drawing or Content("")
            content = content + " " + picture + " " * (drawing - picture.cell_length)
        indent = " " * (content.cell_length + 1)
        first, *others = (Content.styled(line, "$muted") for line in details)
        content = content + " " + first if details[0] else content
        return Content("\n").join([content, *(indent + line for line in others)])
