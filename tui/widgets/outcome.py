"""How a build ended: what was made, or what went wrong and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Button

from engine.units import sized
from tui.glyphs import UNICODE, Glyphs
from tui.progress import BuildState
from tui.text import cut_left, visible
from tui.widgets.labels import Plain

Answers = Sequence[tuple[str, str]]
"""Action of the screen and what its button says."""
_AROUND = 3
"""Cells beside a button's label."""


class Outcome(Vertical):
    """Words and buttons; hidden until the build is over."""

    class Wanted(Message):
        """A button was pressed."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self._answers: Answers = ()

    def compose(self) -> ComposeResult:
        yield Plain("", id="outcome-words")
        yield Vertical(id="outcome-buttons")

    async def show(self, state: BuildState, answers: Answers, proved: str = "") -> None:
        """Shows how a build ended, what is proved of it, and what can be done now."""
        width = max(self.app.size.width - 6, 20)
        words = {"ok": self._success, "failed": self._failure}.get(state.status, self._cancelled)
        text = words(state, width)
        if proved:
            mark = f" {self.glyphs.done} {visible(proved)} "
            text = Content("\n").join(
                [text, Content.styled(mark, "bold $background on $state-done")]
            )
        self.query_one("#outcome-words", Plain).show(text)
        self._answers = answers
        box = self.query_one("#outcome-buttons", Vertical)
        await box.remove_children()
        await box.mount(*(Horizontal(*row) for row in self._rows(width)))
        self.display = True
        if buttons := box.query(Button):  # a wizard that is being closed has none any more
            buttons.first().focus()

    def _rows(self, width: int) -> list[list[Button]]:
        """Returns the buttons in as many rows as they take."""
        rows: list[list[Button]] = [[]]
        taken = 0
        for index, (_action, label) in enumerate(self._answers):
            room = cell_len(label) + _AROUND
            if taken and taken + room > width:
                rows.append([])
                taken = 0
            taken += room
            rows[-1].append(Button(label, id=f"answer-{index}", compact=True))
        return rows

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        index = int((event.button.id or "").removeprefix("answer-"))
        self.post_message(self.Wanted(self._answers[index][0]))

    def _success(self, state: BuildState, width: int) -> Content:
        seconds = state.finished.seconds if state.finished else state.time
        lines = [
            Content.assemble(
                (f"{self.glyphs.done} Built {visible(state.name)}", "bold $state-done"),
                (f" in {seconds:.1f} s", "$muted"),
            )
        ]
        for artifact in state.artifacts:
            size = sized(artifact.bytes)
            lines.append(
                Content.assemble(
                    (cut_left(visible(artifact.path), max(width - len(size) - 2, 16)), "bold"),
                    f"  {size}",
                )
            )
            name, digest = artifact.digest
            if name:
                lines.append(Content.assemble((f"{name}  ", "$muted"), digest))
        return Content("\n").join(lines)

    def _failure(self, state: BuildState, _width: int) -> Content:
        end, step = state.finished, state.failed_step
        where = f"{step.title} failed" if step else "The build could not start"
        took = f" after {end.seconds:.1f} s" if end and step else ""
        lines = [
            Content.assemble(
                (f"{self.glyphs.error} {visible(where)}", "bold $state-error"), (took, "$muted")
            )
        ]
        if end and end.message:
            lines.append(Content(visible(end.message)))
        if end and end.hint:
            lines.append(Content.assemble((f"{self.glyphs.arrow} ", "$accent"), visible(end.hint)))
        lines.append(Content.styled("Nothing partial was left in the output folder.", "$muted"))
        return Content("\n").join(lines)

    def _cancelled(self, state: BuildState, _width: int) -> Content:
        step = state.failed_step
        where = f" in “{visible(step.title)}”" if step else ""
        return Content("\n").join(
            [
                Content.styled(
                    f"{self.glyphs.error} Cancelled{where} after {state.time:.1f} s",
                    "bold $state-warning",
                ),
                Content.styled("No process and nothing partial was left behind.", "$muted"),
            ]
        )
