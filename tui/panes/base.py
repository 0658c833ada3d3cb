"""What all panes share: they show a preview and post edits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input

from engine.spec.model import ImageSpec
from engine.spec.settings import Settings
from tui.fields import FIELDS, OUTDIR
from tui.fieldspec import FieldSpec, Value
from tui.glyphs import UNICODE, Glyphs, State
from tui.preview import Preview, step_of
from tui.widgets.choices import Choices
from tui.widgets.field import Field
from tui.widgets.messages import StepWanted
from tui.widgets.step_rail import RailStep
from tui.widgets.suggest import PathSuggester


class Pane(VerticalScroll, can_focus=False):
    """A step of the design screen. Its form is made when the step is first shown.

    Attributes:
        STEP: Its key; also its widget id.
        TITLE: Its name in the rail.
        LEAD: One sentence: what is decided here.
    """

    STEP: ClassVar[str]
    TITLE: ClassVar[str]
    LEAD: ClassVar[str]

    preview: reactive[Preview] = reactive(Preview)
    outdir = reactive("")

    def __init__(
        self, glyphs: Glyphs = UNICODE, base: Path | None = None, *, shown: bool = False
    ) -> None:
        """Prepares it.

        Args:
            glyphs: What it is drawn with.
            base: The folder that relative paths start from.
            shown: Whether this is the step that is shown first.
        """
        super().__init__(id=self.STEP, classes="pane")
        self.glyphs = glyphs
        self.base = base or Path.cwd()
        self._shown_first = shown
        self._making = asyncio.Lock()
        self.is_made = False

    def compose(self) -> ComposeResult:
        if self._shown_first:
            yield from self.form()

    def form(self) -> ComposeResult:
        """Makes the widgets of the step."""
        raise NotImplementedError

    async def make(self) -> None:
        """Makes the form, unless there is one."""
        async with self._making:
            if not self.is_made:
                await self.mount_compose(self.form())
                self.is_made = True

    def field(self, path: str, *, suggester: PathSuggester | None = None) -> Field:
        """Makes the field of a key path."""
        return Field(FIELDS[path], glyphs=self.glyphs, suggester=suggester)

    @staticmethod
    def choice(preview: Preview, settings: Settings) -> str:
        """Returns what is chosen here, in a few words for the rail; "" while nothing is known."""
        return ""

    def on_mount(self) -> None:
        self.is_made = self._shown_first
        if self.is_made:
            self.show(self.preview)

    def watch_preview(self, preview: Preview) -> None:
        if self.is_made and self.display:
            self.show(preview)

    def watch_outdir(self) -> None:
        if self.is_made:
            self.show(self.preview)

    def show(self, preview: Preview) -> None:
        """Fills the fields; panes with more to show extend this."""
        if preview.settings is None:
            return
        for field in self.query(Field):
            spec = field.spec
            field.show(
                self.outdir if spec.path == OUTDIR else value_at(preview.spec, spec),
                spec.default(preview.settings),
                spec.echo(preview.settings, None if preview.stale else preview.plan),
                preview.problem_at(spec.path),
                "F9",
            )

    def first_focus(self) -> Widget | None:
        """Returns the widget that gets the focus when the step is entered."""
        for widget in self.query("Input, Choices, DataTable, Tree, Button"):
            if widget.focusable:
                return widget
        return None

    def focus_path(self, path: str) -> bool:
        """Focuses the control of a key path; whether there is one."""
        for field in self.query(Field):
            if field.spec.path == path and field.display:
                field.control.focus()
                return True
        return False

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        order = [widget for widget in self.query("Input, Choices, DataTable") if widget.focusable]
        position = order.index(event.input) if event.input in order else len(order)
        if position + 1 < len(order):
            order[position + 1].focus()
        else:
            self.post_message(StepWanted("+", enter=True))

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        field = event.widget.parent
        while field is not None and not isinstance(field, (Field, Pane)):
            field = field.parent
        target = field if isinstance(field, Field) else event.widget
        if not isinstance(event.widget, Choices) or target is not event.widget:
            target.scroll_visible(animate=False)


def value_at(spec: ImageSpec, field: FieldSpec) -> Value:
    """Returns the authored value of a key path, None for the default."""
    value: object = spec
    for name in field.path.split("."):
        value = getattr(value, name)
    assert value is None or isinstance(value, (str, int, bool, tuple))
    return None if value == () else value


def rail_steps(panes: Sequence[type[Pane]], preview: Preview) -> tuple[RailStep, ...]:
    """Returns what the rail says of each pane: its state, and what is chosen there."""
    worst: dict[str, State] = {}
    for problem in preview.problems:
        step = step_of(problem.path)
        if worst.get(step) != "error":
            worst[step] = problem.severity
    settings = preview.settings
    return tuple(
        RailStep(
            pane.STEP,
            pane.TITLE,
            worst.get(pane.STEP, "done"),
            pane.choice(preview, settings) if settings else "",
        )
        for pane in panes
    )
