"""The rail: every step with what was chosen, as a column where there is room, else as one line."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from tui.glyphs import UNICODE, Glyphs, State
from tui.keys import bindings
from tui.text import cut, fit, pad
from tui.widgets.messages import StepWanted

STATE_STYLES: dict[State, str] = {
    "done": "$muted",
    "warning": "$state-warning",
    "error": "$state-error",
}
_ROWS = 3
"""Of a step in the column: its title, and what was chosen in two."""
_INDENT = 4
_SHORTEST = 6
"""Cells of a choice below which it is not worth showing."""


@dataclass(frozen=True, slots=True)
class RailStep:
    """A step as the rail shows it.

    Attributes:
        choice: What was chosen in it, in a few words, or how much is wrong with it.
    """

    key: str
    title: str
    state: State
    choice: str


class StepRail(Widget, can_focus=True):
    """One tab stop; arrows change the step, Enter goes into it."""

    HELP = """
# Steps

Every step can be visited at any time, in any order; nothing is asked twice.

- Arrows change the step, Enter or Tab goes into it.
- Alt+1 to Alt+6 and F6 do the same from anywhere.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("rail")

    steps: reactive[tuple[RailStep, ...]] = reactive(())
    current = reactive("")

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs

    @property
    def position(self) -> int:
        """Index of the current step."""
        keys = [step.key for step in self.steps]
        return keys.index(self.current) if self.current in keys else 0

    def action_move(self, by: int) -> None:
        """Shows a neighbouring step."""
        if self.steps:
            target = min(max(self.position + by, 0), len(self.steps) - 1)
            self.post_message(StepWanted(self.steps[target].key))

    def action_enter(self) -> None:
        """Goes into the current step."""
        self.post_message(StepWanted(self.current, enter=True))

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    @property
    def upright(self) -> bool:
        """Whether there is room for a column."""
        return self.size.height > 1

    def render(self) -> Content:
        if not self.steps or self.size.width <= 0:
            return Content("")
        return self._column() if self.upright else self._line()

    def _style(self, step: RailStep) -> str:
        if step.key != self.current:
            return ""
        if self.has_focus:
            return "$block-cursor-foreground on $block-cursor-background bold"
        return "bold reverse" if not self.upright else "bold"

    def _column(self) -> Content:
        lines = []
        width = self.size.width
        for number, step in enumerate(self.steps, start=1):
            mark = self._mark(step)
            cursor = self.glyphs.cursor if step.key == self.current else " "
            title = fit(f"{cursor}{number} {step.title}", max(width - 2, 0), self.glyphs.ellipsis)
            state = STATE_STYLES[step.state]
            if step.key == self.current and self.has_focus:
                state = ""
            lines.append(
                Content.assemble((mark, state), " ", (title, self._style(step)))
                if width > 2
                else Content(title)
            )
            lines.extend(
                Content.styled(fit(f"{' ' * _INDENT}{text}", width, ""), STATE_STYLES[step.state])
                for text in self._in_rows(step.choice, width - _INDENT)
            )
        return Content("\n").join(lines)

    def _mark(self, step: RailStep) -> str:
        """Returns a mark where something is wrong."""
        return " " if step.state == "done" else self.glyphs.state(step.state)

    def _in_rows(self, text: str, width: int) -> list[str]:
        """Returns a text in exactly as many rows as a choice has."""
        rows = wrap(text, max(width, 1))[: _ROWS - 1]
        if len(" ".join(rows)) < len(text) and rows:
            rows[-1] = cut(f"{rows[-1]}{self.glyphs.ellipsis}", width, self.glyphs.ellipsis)
        return rows + [""] * (_ROWS - 1 - len(rows))

    def _line(self) -> Content:
        laid = self._laid()
        if laid is None:
            step = self.steps[self.position]
            text = f" {self.position + 1}/{len(self.steps)} {step.title} "
            room = max(self.size.width - cell_len(text) - 3, 0)
            return Content.assemble(
                (text, self._style(step)),
                (f" {self._mark(step)} ", STATE_STYLES[step.state]),
                (cut(step.choice, room, self.glyphs.ellipsis), STATE_STYLES[step.state]),
            )
        line = Content("").join(
            Content.assemble(
                (f" {label}", self._style(step)),
                (
                    self._mark(step),
                    STATE_STYLES[step.state] if step.key != self.current else self._style(step),
                ),
            )
            for label, step in zip(laid, self.steps, strict=True)
        )
        step = self.steps[self.position]
        room = self.size.width - line.cell_length - 2
        choice = cut(step.choice, room, self.glyphs.ellipsis) if room >= _SHORTEST else ""
        return Content.assemble(
            line, "  ", (pad(choice, room - 1, right=True), STATE_STYLES[step.state])
        )

    def _laid(self) -> list[str] | None:
        """Returns the titles as they stand in a line, or None where not even short ones fit."""
        numbered = [f"{number} {step.title}" for number, step in enumerate(self.steps, start=1)]
        for labels in (numbered, [step.title for step in self.steps]):
            if sum(cell_len(label) + 2 for label in labels) <= self.size.width:
                return labels
        return None

    def on_click(self, event: events.Click) -> None:
        if not self.steps:
            return
        if self.upright:
            index = event.y // _ROWS
        else:
            laid = self._laid()
            if laid is None:
                return
            column, index = 0, -1
            for at, label in enumerate(laid):
                column += cell_len(label) + 2
                if event.x < column:
                    index = at
                    break
        if 0 <= index < len(self.steps):
            self.post_message(StepWanted(self.steps[index].key, enter=True))
