"""Add or edit a volume: the values that fit its role, and what its size comes to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Input

from engine.problem import Problem
from engine.spec.model import VolumeEntry
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.screens.closing import Dialog
from tui.screens.picker import PickerScreen
from tui.text import visible
from tui.volume_form import AMOUNTS, PATHS, ROWS, Row, VolumeForm
from tui.widgets.choices import Choice, Choices
from tui.widgets.inputs import SafeInput
from tui.widgets.labels import Plain
from tui.widgets.suggest import PathSuggester


class VolumeScreen(Dialog[VolumeEntry | None]):
    """Returns the entry, or None where nothing is to change."""

    HELP = """
# A volume

- **Role**: what it is for; it decides the partition's type and where it is mounted.
- **Format**: only those that a build can make. With `nothing`, the bytes of a file, or none.
- **Mount**: contents below it go to this volume by themselves.
- **Size**: *fixed*; *contents + free*, what is put there and some room; or *a share* of what a
  disk of fixed size has left. *As usual*: what the layout and the step Size say.
- **Hash of**: the volume whose hash tree this is, for dm-verity. That volume can then only be read.
- **At byte**: raw bytes outside of all partitions, where a board looks for its boot loader.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("entry")

    def __init__(
        self,
        form: VolumeForm,
        *,
        gives: Callable[[VolumeEntry], str],
        base: Path,
        glyphs: Glyphs = UNICODE,
    ) -> None:
        """Prepares the page.

        Args:
            form: What is asked, and the answers so far.
            gives: Answers what an entry would come to, in words.
            base: Folder that a relative source starts from.
            glyphs: What is drawn with.
        """
        super().__init__()
        self.form, self.gives, self.base, self.glyphs = form, gives, base, glyphs

    # ------------------------------------------------------------------ what is on it

    def compose(self) -> ComposeResult:
        title = "Edit the volume" if self.form.volume else "Add a volume"
        with Vertical(classes="dialog volume"):
            yield Plain(title, classes="dialog-title")
            with VerticalScroll(classes="dialog-form", can_focus=False):
                for row in ROWS:
                    with Horizontal(classes="field-row", id=f"row-{row.key}"):
                        yield Plain(row.label, classes="field-label", id=f"label-{row.key}")
                        yield self._control(row)
            yield Plain("", id="volume-gives", classes="field-note")
            yield Plain("", id="volume-note", classes="field-note")
            with Horizontal(classes="dialog-buttons"):
                yield Button("Accept", id="volume-ok", compact=True)
                yield Button("Browse (F2)", id="volume-browse", compact=True)
                yield Button("Cancel", id="volume-cancel", compact=True)

    def _control(self, row: Row) -> Widget:
        name = f"volume-{row.key}"
        if row.choices:
            return Choices(self._options(row), glyphs=self.glyphs, inline=True, id=name)
        return SafeInput(
            self.form.texts[row.key],
            compact=True,
            id=name,
            disabled=row.key == "id" and self.form.fixed_id,
            suggester=PathSuggester(self.base) if row.key in PATHS else None,
        )

    def _options(self, row: Row) -> tuple[Choice, ...]:
        return tuple(Choice(value, title) for value, title in self.form.choices(row.key))

    def on_mount(self) -> None:
        self._show()
        start = self.form.start()
        goal = self.query_one(f"#volume-{start}")
        if goal.focusable:
            goal.focus()
        self._tell()

    def _show(self) -> None:
        for row in ROWS:
            self.query_one(f"#row-{row.key}").display = self.form.shows(row.key)
            if row.choices:
                choices = self.query_one(f"#volume-{row.key}", Choices)
                choices.options = self._options(row)
                choices.chosen = self.form.chosen(row.key)
            else:
                field = self.query_one(f"#volume-{row.key}", Input)
                field.placeholder = self.form.hint(row.key)
        amount = next(row for row in ROWS if row.key == "amount")
        self.query_one("#label-amount", Plain).show(self.form.label(amount))

    # ------------------------------------------------------------------ what is said

    @on(Choices.Chosen)
    def _chosen(self, event: Choices.Chosen) -> None:
        event.stop()
        key = (event.choices.id or "").removeprefix("volume-")
        self.form.choose(key, event.value)
        if key == "rule":
            with self.prevent(Input.Changed):
                self.query_one("#volume-amount", Input).value = self.form.texts["amount"]
        self._show()
        self._tell()

    @on(Input.Changed)
    def _edited(self, event: Input.Changed) -> None:
        event.stop()
        key = (event.input.id or "").removeprefix("volume-")
        self.form.texts[key] = event.value
        if key in {"offset", "verity"}:
            self._show()
        self._tell()

    def on_descendant_focus(self) -> None:
        key = (self.focused.id or "").removeprefix("volume-") if self.focused else ""
        found = [self.form.help(row) for row in ROWS if row.key == key]
        self.query_one("#volume-note", Plain).show(found[0] if found else "")

    def _tell(self) -> None:
        """Shows what the entry would come to, or what is wrong with it."""
        problem = self.form.problem()
        line = self.query_one("#volume-gives", Plain)
        if problem is None:
            line.show(visible(self.gives(self.form.made())))
        else:
            line.show(self._error(problem))

    def _error(self, problem: Problem) -> Content:
        key = problem.path.rpartition(".")[2]
        text = f"{self.glyphs.error} Error: {key} {problem.message}"
        return Content.styled(visible(text), "$state-error")

    # ------------------------------------------------------------------ leaving

    @on(Input.Submitted)
    @on(Button.Pressed, "#volume-ok")
    def action_accept(self) -> None:
        """Takes the values, unless one is wrong by itself."""
        problem = self.form.problem()
        if problem is None:
            self.dismiss(self.form.made())
            return
        self._tell()
        key = problem.path.rpartition(".")[2]
        fields = self.query(f"#volume-{'amount' if key in AMOUNTS else key.partition('[')[0]}")
        if fields:
            fields.first().focus()
        self.app.bell()

    @on(Button.Pressed, "#volume-cancel")
    def action_cancel(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#volume-browse")
    def action_browse(self) -> None:
        """Chooses the source from a tree."""
        source = self.query_one("#volume-source", Input)
        if not self.form.shows("source"):
            self.app.bell()
            return

        def put(path: str | None) -> None:
            if path:
                source.value = path
                source.focus()

        self.app.push_screen(PickerScreen(self.base, source.value), put)
