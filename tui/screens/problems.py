"""Every problem in a list: Enter goes to the field, F applies the fix."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from engine.problem import Problem
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.screens.closing import Dialog
from tui.text import visible
from tui.widgets.labels import Plain

Answer = tuple[str, Problem]


class ProblemsScreen(Dialog[Answer | None]):
    """Returns ("go" or "fix", problem), or None."""

    HELP = """
# Problems

Errors forbid the build, warnings do not. Enter goes to the field; F9 or F applies the fix that
a problem offers, which Ctrl+Z takes back.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("problems")

    def __init__(self, problems: tuple[Problem, ...], glyphs: Glyphs = UNICODE) -> None:
        super().__init__()
        self.problems = problems
        self.glyphs = glyphs

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog problems"):
            yield Plain("Problems", classes="dialog-title")
            if self.problems:
                yield OptionList(
                    *(Option(self._prompt(problem)) for problem in self.problems),
                    markup=False,
                    compact=True,
                )
            else:
                yield Plain(f"{self.glyphs.done} None: this can be built.", classes="dialog-text")
            yield Plain("Enter goes there, F9 fixes, Esc closes", classes="field-note")

    def _prompt(self, problem: Problem) -> Content:
        style = f"$state-{problem.severity}"
        lines = [
            Content.assemble(
                (f"{self.glyphs.state(problem.severity)} {problem.severity.title()} ", style),
                (visible(problem.path or "the whole"), "bold"),
            ),
            Content(f"  {visible(problem.message)}"),
        ]
        if problem.hint:
            lines.append(Content(f"  {visible(problem.hint)}"))
        if problem.fix is not None:
            lines.append(
                Content.assemble("  ", ("F9", "bold $accent"), f" {visible(problem.fix.label)}")
            )
        return Content("\n").join(lines)

    def on_mount(self) -> None:
        if self.problems:
            self.query_one(OptionList).focus()

    @on(OptionList.OptionSelected)
    def _go(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(("go", self.problems[event.option_index]))

    def action_fix(self) -> None:
        """Applies the fix of the highlighted problem."""
        if not self.problems:
            return
        problem = self.problems[self.query_one(OptionList).highlighted or 0]
        if problem.fix is None:
            self.app.bell()
            return
        self.dismiss(("fix", problem))

    def action_close(self) -> None:
        self.dismiss(None)
