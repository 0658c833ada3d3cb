"""Small questions: confirm, a name, help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input

from tui.keys import bindings
from tui.text import visible
from tui.widgets.inputs import SafeInput
from tui.widgets.labels import Plain


class ConfirmScreen(ModalScreen[str]):
    """Asks for one of several answers; Escape and the focus stand on the safe one, the first."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("dialog")

    def __init__(self, title: str, text: str, answers: Sequence[tuple[str, str]]) -> None:
        """Prepares the question.

        Args:
            title: The question.
            text: What would be lost.
            answers: Key and label; the first is the safe one.
        """
        super().__init__()
        self._title, self._text, self._answers = title, text, answers

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Plain(self._title, classes="dialog-title")
            yield Plain(visible(self._text), classes="dialog-text")
            with Horizontal(classes="dialog-buttons"):
                for key, label in self._answers:
                    yield Button(label, id=f"answer-{key}", compact=True)

    def on_mount(self) -> None:
        self.query(Button).first().focus()

    @on(Button.Pressed)
    def _answer(self, event: Button.Pressed) -> None:
        self.dismiss((event.button.id or "").removeprefix("answer-"))

    def action_close(self) -> None:
        """Takes the safe answer."""
        self.dismiss(self._answers[0][0])


class AskScreen(ModalScreen[str]):
    """Asks for one line of text; Escape answers ""."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("dialog")

    def __init__(self, title: str, text: str, value: str = "", button: str = "OK") -> None:
        super().__init__()
        self._title, self._text, self._value, self._button = title, text, value, button

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Plain(self._title, classes="dialog-title")
            yield Plain(visible(self._text), classes="dialog-text")
            yield SafeInput(self._value, compact=True, select_on_focus=False)
            with Horizontal(classes="dialog-buttons"):
                yield Button(self._button, id="answer-ok", compact=True)
                yield Button("Cancel", id="answer-cancel", compact=True)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        ok = event.button.id == "answer-ok"
        self.dismiss(self.query_one(Input).value.strip() if ok else "")

    def action_close(self) -> None:
        """Gives no answer."""
        self.dismiss("")


class DifferencesScreen(ModalScreen[None]):
    """Lines that differ, as `diff -u` has them; Escape closes it."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("dialog")

    def __init__(self, title: str, lines: Sequence[str]) -> None:
        super().__init__()
        self._title, self._lines = title, lines

    def compose(self) -> ComposeResult:
        styles = {"+": "$state-done", "-": "$state-error", "@": "$muted"}
        with VerticalScroll(classes="dialog", id="differences-body"):
            yield Plain(visible(self._title), classes="dialog-title")
            yield Plain(
                Content("\n").join(
                    Content.styled(visible(line), styles.get(line[:1], ""))
                    for line in self._lines or ("No difference.",)
                ),
                id="differences-lines",
            )

    def on_mount(self) -> None:
        self.query_one("#differences-body").focus()

    def action_close(self) -> None:
        self.dismiss(None)


class HelpScreen(ModalScreen[None]):
    """What the focused thing is for, and the keys that act here."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("help")

    def __init__(self, text: str, keys: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._text, self._keys = text, keys

    def compose(self) -> ComposeResult:
        # Here, because its parser would take a tenth of a second from the first paint.
        from textual.widgets import Markdown

        with VerticalScroll(classes="dialog help", id="help-body"):
            if self._text:
                yield Markdown(self._text, open_links=False)
            rows = "\n".join(f"| {key} | {what} |" for key, what in self._keys)
            yield Markdown(f"## Keys here\n\n| Key | What it does |\n|---|---|\n{rows}\n")

    def on_mount(self) -> None:
        self.query_one("#help-body").focus()

    def action_close(self) -> None:
        self.dismiss(None)
