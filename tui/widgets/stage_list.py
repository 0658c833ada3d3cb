"""The steps of a build: what is done, what runs and how fast, what is still to come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message

from engine.units import human
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.progress import BuildState, StepState, clock
from tui.text import cut, fit, visible
from tui.widgets.painting import Painting

SILENCE = 2.0
"""Seconds without an event before it is said that a tool still runs."""
_BAR = 16
_WIDEST = 84


class StageList(Painting, can_focus=True):
    """One row for each step; choosing one keeps the log to its lines."""

    HELP = """
# Steps

Every step of the plan in its order. Up and Down choose one, Enter shows its lines alone in the
log, and all of them again.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("stages")

    @dataclass
    class Chosen(Message):
        """The log of a step is wanted."""

        step: str

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self.state = BuildState()
        self.elapsed = 0.0
        self.selected: int | None = None
        self._rows = 0

    def show(self, state: BuildState, elapsed: float) -> None:
        """Draws a state of the build, `elapsed` seconds after it began."""
        self.state, self.elapsed = state, elapsed
        grown = len(state.steps) != self._rows
        self._rows = len(state.steps)
        if grown:
            self.refresh(layout=True)
        else:
            self.repaint()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return max(len(self.state.steps), 1)

    # ------------------------------------------------------------------ choosing

    def _steps(self) -> list[StepState]:
        return list(self.state.steps.values())

    def _focal(self) -> int:
        """Returns the row that must be in sight."""
        steps = self._steps()
        if self.has_focus and self.selected is not None:
            return min(self.selected, max(len(steps) - 1, 0))
        begun = [index for index, step in enumerate(steps) if step.status != "pending"]
        return begun[-1] if begun else 0

    def action_move(self, by: int) -> None:
        """Chooses another step."""
        at = self._focal() if self.selected is None else self.selected
        self.selected = min(max(at + by, 0), max(len(self.state.steps) - 1, 0))
        self.refresh()

    def action_take(self) -> None:
        """Asks for the log of the step."""
        steps = self._steps()
        if steps:
            self.selected = self._focal()
            self.post_message(self.Chosen(steps[self.selected].id))

    def on_click(self, event: events.Click) -> None:
        at = self._top() + event.y
        if at < len(self.state.steps):
            self.selected = at
            self.action_take()
            self.refresh()

    def on_focus(self) -> None:
        self.selected = self._focal() if self.selected is None else self.selected
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    # ------------------------------------------------------------------ drawing

    def _top(self) -> int:
        """Returns the first row in sight: the one that matters stays near the middle."""
        height = max(self.size.height, 1)
        return min(max(self._focal() - height // 2, 0), max(len(self.state.steps) - height, 0))

    def paint(self) -> Content:
        """Draws the rows that fit."""
        steps, top, width = self._steps(), self._top(), min(self.size.width, _WIDEST)
        if not steps:
            return Content.styled("Preparing", "$muted")
        rows = []
        for at in range(top, min(top + max(self.size.height, 1), len(steps))):
            row = self._row(steps[at], width)
            if self.has_focus and at == self.selected:
                row = Content.styled(fit(row.plain, width), "bold reverse")
            rows.append(row)
        return Content("\n").join(rows)

    def _row(self, step: StepState, width: int) -> Content:
        mark, style = self._mark(step)
        title = visible(step.title)
        room = max(width - cell_len(title) - 4, width // 2)
        figures = self._figures(step, room)
        name = max(width - figures.cell_length - 4, 0)
        title_style = {"running": "bold", "pending": "$muted", "failed": style}.get(step.status, "")
        return (
            Content.assemble(
                (f"{mark} ", style), (fit(title, name, self.glyphs.ellipsis), title_style), "  "
            )
            + figures
        )

    def _mark(self, step: StepState) -> tuple[str, str]:
        glyphs = self.glyphs
        if step.status == "running":
            return glyphs.spinner[int(self.elapsed * 4) % len(glyphs.spinner)], "bold $accent"
        return {
            "pending": (glyphs.untouched, "$muted"),
            "ok": (glyphs.done, "$state-done"),
            "failed": (glyphs.error, "bold $state-error"),
            "skipped": (glyphs.dash, "$muted"),
            "cancelled": (glyphs.error, "$state-warning"),
        }[step.status]

    def _quiet(self, step: StepState) -> str:
        """Returns a sign of life when the tools have been silent."""
        silent = self.elapsed - self.state.time
        if silent < SILENCE:
            return ""
        tool = step.command[0] if step.command else "working"
        return f"still running {visible(tool)}, silent for {clock(silent)}"

    def _figures(self, step: StepState, room: int) -> Content:
        """Returns what is known of a step, as much as there is room for."""
        if step.status == "pending":
            return Content.styled(human(step.weight) if step.weight else "", "$muted")
        if step.status == "running":
            quiet = self._quiet(step)
            return Content(cut(quiet, room)) if quiet else self._pace(step, room)
        word = "" if step.status == "ok" else f"{step.status}  "
        style = "$state-error" if step.status == "failed" else "$muted"
        return Content.styled(f"{word}{step.seconds:.2f} s", style)

    def _pace(self, step: StepState, room: int) -> Content:
        elapsed = clock(max(self.elapsed - step.begun, 0))
        if step.total <= 0:
            return Content(elapsed)
        amount = human if step.unit == "bytes" else "{:,}".format
        filled = min(step.done * _BAR // step.total, _BAR)
        rate, left = step.rate(), step.left()
        # From what matters most to what matters least; shown in the order of their places.
        parts: list[tuple[int, Content]] = [
            (1, Content(f"{step.done * 100 // step.total:3} %")),
            (4, Content(f"{clock(left)} left" if left is not None else f"{elapsed} so far")),
            (
                0,
                Content.assemble(
                    (self.glyphs.used * filled, "$accent"),
                    (self.glyphs.free * (_BAR - filled), "$faint"),
                ),
            ),
            (3, Content(f"{amount(rate)}/s" if rate is not None else "")),
            (2, Content(f"{amount(step.done)} of {amount(step.total)}")),
        ]
        shown: list[tuple[int, Content]] = []
        for place, part in parts:
            used = sum(other.cell_length + 2 for _, other in shown)
            if part.cell_length and used + part.cell_length <= room:
                shown.append((place, part))
        return Content("  ").join([part for _, part in sorted(shown, key=lambda item: item[0])])
