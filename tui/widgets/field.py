"""A field of the form: label, control, and one line that help, echo and error share."""

from __future__ import annotations

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.suggester import Suggester
from textual.validation import ValidationResult
from textual.widget import Widget
from textual.widgets import Input

from engine.problem import Problem
from engine.units import MIB, format_exact, parse_size
from tui.fieldspec import FieldSpec, Value
from tui.glyphs import UNICODE, Glyphs
from tui.preview import REFUSED
from tui.text import visible
from tui.widgets.choices import Choice, Choices
from tui.widgets.inputs import SafeInput
from tui.widgets.labels import Plain
from tui.widgets.messages import FieldLeft, SpecEdited


class FieldInput(SafeInput):
    """A one-row input that knows the help of its field."""

    def __init__(self, spec: FieldSpec, suggester: Suggester | None) -> None:
        super().__init__(
            placeholder="",
            compact=True,
            restrict=spec.restrict or None,
            max_length=spec.max_length or 0,
            suggester=suggester,
            id="control",
        )
        self.help_text = spec.help_markdown()
        self.typed: list[str] = []

    def watch_value(self, value: str) -> None:
        super().watch_value(value)
        self.typed.append(value)

    def put(self, text: str) -> None:
        """Shows a value of the spec."""
        with self.prevent(Input.Changed):
            self.value = text
        self.typed.clear()

    def show_invalid(self, invalid: bool) -> None:
        """Marks the input as being in error."""
        self.set_class(invalid, "-invalid")

    def validate(self, value: str) -> ValidationResult | None:
        """Leaves the judgement to the engine."""
        return None


class Field(Vertical):
    """Shows one key of the spec and posts `SpecEdited`; it owns no truth."""

    def __init__(
        self,
        spec: FieldSpec,
        *,
        glyphs: Glyphs = UNICODE,
        suggester: Suggester | None = None,
    ) -> None:
        super().__init__(id=spec.widget_id, classes="field")
        self.spec = spec
        self.glyphs = glyphs
        self._suggester = suggester
        self._typing = False
        self._entered = ""

    def compose(self) -> ComposeResult:
        with Horizontal(classes="field-row"):
            yield Plain(self.spec.label, classes="field-label")
            if self.spec.kind in {"choice", "switch"}:
                yield Choices(
                    tuple(Choice(value, title) for value, title in self.spec.choices),
                    glyphs=self.glyphs,
                    inline=True,
                    help_text=self.spec.help_markdown(),
                    id="control",
                )
            else:
                yield FieldInput(self.spec, self._suggester)
        yield Plain(self.spec.help, classes="field-note", id="note")

    @property
    def control(self) -> Widget:
        """The focusable part."""
        return self.query_one("#control")

    def show(
        self, value: Value, default: str, echo: str, problem: Problem | None, fix_key: str
    ) -> None:
        """Shows a value of the spec.

        Args:
            value: As authored; None for the default.
            default: What then holds, as text.
            echo: What the engine makes of it ("8,589,934,592 bytes").
            problem: The worst problem of this key.
            fix_key: The key that applies a fix, for the note.
        """
        if not self.is_mounted:
            return
        control = self.control
        if isinstance(control, Choices):
            control.chosen = default if value is None else self.spec.to_text(value)
        elif isinstance(control, FieldInput):
            control.placeholder = visible(default)
            if not self._keeps_text(control, value, problem):
                control.put(self.spec.to_text(value))
        self._note(echo, problem, fix_key)

    def _keeps_text(self, control: FieldInput, value: Value, problem: Problem | None) -> bool:
        """Whether what was typed stays: it means the value, is on its way, or was refused."""
        typed = self.spec.to_value(control.value)
        if typed == value or (problem is not None and problem.code == REFUSED):
            control.typed.clear()
            return True
        return control.value in control.typed

    def _note(self, echo: str, problem: Problem | None, fix_key: str) -> None:
        note = self.query_one("#note", Plain)
        control = self.control
        # Text that is not a value may be one with the next key: it is told when the field is left,
        # and once told, every key is judged. What the plan makes of a value is told at once.
        refused = problem is not None and problem.code == REFUSED
        quiet = refused and self._typing and not self.has_class("-error")
        if problem is not None and not (quiet and problem.severity == "error"):
            word = "Error" if problem.severity == "error" else "Warning"
            mark = self.glyphs.state(problem.severity)
            text = Content(visible(f"{mark} {word}: {problem.message}"))
            if problem.fix is not None:
                text = Content.assemble(
                    text, "  ", (fix_key, "bold $accent"), f" {visible(problem.fix.label)}"
                )
            elif problem.hint:
                text = text + visible(f" {self.glyphs.dash} {problem.hint}")
            note.show(text)
        else:
            known = "" if refused else echo
            note.show(Content.styled(visible(known or self.spec.help), "$muted"))
        self.set_class(problem is not None and problem.severity == "error" and not quiet, "-error")
        self.set_class(problem is not None and problem.severity == "warning", "-warning")
        if isinstance(control, FieldInput):
            control.show_invalid(self.has_class("-error"))

    @on(Input.Changed)
    def _edited(self, event: Input.Changed) -> None:
        event.stop()
        value = self.spec.to_value(self._grown(event.value))
        self._typing = True
        self.post_message(SpecEdited(self.spec.path, value, self.spec.label, typing=True))

    def _grown(self, text: str) -> str:
        """Returns the size that `+2GiB` makes of the one that the field had when it was entered."""
        more = text.strip()
        if self.spec.kind != "size" or not more.startswith("+") or not self._entered:
            return text
        bare = MIB if self.spec.path == "size.disk" else 1
        try:
            return format_exact(
                parse_size(self._entered, bare=bare) + parse_size(more[1:], bare=bare)
            )
        except ValueError:
            return text

    @on(Choices.Chosen)
    def _chosen(self, event: Choices.Chosen) -> None:
        event.stop()
        value = self.spec.to_value(event.value)
        self.post_message(SpecEdited(self.spec.path, value, self.spec.label))

    def on_descendant_focus(self, _event: events.DescendantFocus) -> None:
        self.add_class("-focused")
        control = self.control
        self._entered = (
            control.value or control.placeholder if isinstance(control, FieldInput) else ""
        )

    def on_descendant_blur(self, _event: events.DescendantBlur) -> None:
        self.remove_class("-focused")
        self._typing = False
        control = self.control
        if isinstance(control, FieldInput) and control.value.lstrip().startswith("+"):
            control.typed.clear()
        self.post_message(FieldLeft())
