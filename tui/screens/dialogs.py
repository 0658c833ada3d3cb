"""Small questions: confirm, a name, help."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input

from tui.help import KeyHelp, by_letter
from tui.keys import bindings
from tui.screens.closing import Dialog
from tui.text import visible, visible_lines
from tui.widgets.inputs import SafeInput
from tui.widgets.key_sheet import KeySheet
from tui.widgets.labels import Plain

_HELP_COLUMNS = 110
"""Of the help, at most."""


class ConfirmScreen(Dialog[str]):
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
            yield Plain(visible_lines(self._text), classes="dialog-text")
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


class AskScreen(Dialog[str]):
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


class DifferencesScreen(Dialog[None]):
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


class HelpScreen(Dialog[None]):
    """What the focused thing is for, and the keys that act here."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("help")

    def __init__(self, text: str, keys: Sequence[KeyHelp]) -> None:
        super().__init__()
        self._text, self._keys = text, keys

    def compose(self) -> ComposeResult:
        # Here, because its parser would take a tenth of a second from the first paint.
        from textual.widgets import Markdown

        with VerticalScroll(classes="dialog help", id="help-body"):
            if self._text:
                yield Markdown(self._text, open_links=False)
            yield KeySheet(self._keys)

    def on_mount(self) -> None:
        self.query_one("#help-body").focus()

    def on_resize(self, event: events.Resize) -> None:
        width = max(min(event.size.width, _HELP_COLUMNS) - 8, 20)
        above = sum(len(wrap(line, width)) or 1 for line in self._text.splitlines()) + 1
        sheet = self.query_one(KeySheet)
        sheet.room = event.size.height * 94 // 100 - 2 - (above if self._text else 0)
        sheet.refresh(layout=True)

    def action_close(self) -> None:
        """Closes."""
        self.dismiss(None)


class KeysScreen(Dialog[KeyHelp | None]):
    """Every key of a page in one screen, with a letter for each that is not one.

    Returns what was chosen, or None.
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings("keys")

    def __init__(self, keys: Sequence[KeyHelp]) -> None:
        super().__init__()
        self._letters = {key.letter: key for key in reversed(keys) if key.letter}
        self._keys = by_letter(keys)

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog help", id="keys-body"):
            yield Plain("Keys: press one, or its letter", classes="dialog-title")
            yield KeySheet(self._keys)

    def on_mount(self) -> None:
        self.query_one("#keys-body").focus()

    def on_resize(self, event: events.Resize) -> None:
        sheet = self.query_one(KeySheet)
        sheet.room = event.size.height * 94 // 100 - 5
        sheet.refresh(layout=True)

    def on_key(self, event: events.Key) -> None:
        key = self._letters.get(event.character or "")
        if key is not None:
            event.stop()
            event.prevent_default()
            self.dismiss(key)

    @on(KeySheet.Chosen)
    def _chosen(self, event: KeySheet.Chosen) -> None:
        self.dismiss(event.key)

    def action_close(self) -> None:
        self.dismiss(None)
