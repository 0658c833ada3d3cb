"""The log of a build with its badge, its filters and its search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input

from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.loglines import LogLine
from tui.text import cut, visible
from tui.widgets.inputs import SafeInput
from tui.widgets.labels import Plain
from tui.widgets.log_view import LogView

STREAMS = ("", "stdout", "stderr", "command", "note")
_STREAM_NAMES = {
    "": "all streams",
    "stdout": "standard output",
    "stderr": "standard error",
    "command": "commands",
    "note": "notes",
}
COPIED = 48 * 1024
"""Characters copied at most: terminals drop longer OSC 52 sequences."""


class LogPane(Vertical):
    """Head, lines, search."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("logpane")

    class Said(Message):
        """Something to tell in the status line."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(
        self,
        glyphs: Glyphs = UNICODE,
        *,
        timed: bool = True,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self.timed = timed
        self.titles: dict[str, str] = {}
        self.step = ""
        self.stream = ""

    def compose(self) -> ComposeResult:
        yield Plain("", id="log-head")
        yield LogView(self.glyphs, timed=self.timed, id="log")
        search = SafeInput(placeholder="Search the log", compact=True, id="log-search")
        search.display = False
        yield search

    def on_mount(self) -> None:
        self._show_head()

    @property
    def view(self) -> LogView:
        """The lines."""
        return self.query_one(LogView)

    def add(self, lines: Sequence[LogLine]) -> None:
        """Appends a batch."""
        self.view.add(lines)

    def keep(self, *, step: str | None = None, stream: str | None = None) -> None:
        """Filters by step, by stream; "" for all, None for as it is."""
        self.step = self.step if step is None else step
        self.stream = self.stream if stream is None else stream
        self.view.filter(step=self.step, stream=self.stream)

    def action_filter_step(self) -> None:
        """Keeps the next step's lines, after the last one all again."""
        keys = ["", *self.titles]
        self.keep(step=keys[(keys.index(self.step) + 1) % len(keys)])

    def action_filter_stream(self) -> None:
        """Keeps the next stream's lines, after the last one all again."""
        self.keep(stream=STREAMS[(STREAMS.index(self.stream) + 1) % len(STREAMS)])

    def action_search(self) -> None:
        """Opens the search."""
        search = self.query_one(Input)
        search.display = True
        search.focus()

    def action_again(self, by: int) -> None:
        """Goes to the next or the previous line found."""
        if not self.view.needle:
            self.action_search()
        elif not self.view.find(self.view.needle, by):
            self.app.bell()

    def action_copy(self) -> None:
        """Copies the line under the cursor."""
        if line := self.view.current():
            self.app.copy_to_clipboard(line.text[:COPIED])
            self.post_message(self.Said("Copied the line"))

    def action_copy_all(self) -> None:
        """Copies the lines that pass the filters, the last ones if they are too many."""
        text = "\n".join(self.view.plain(line) for line in self.view.lines[-2_000:])
        text = text[-COPIED:]
        self.app.copy_to_clipboard(text)
        count = text.count("\n") + 1
        self.post_message(self.Said(f"Copied {count:,} line{'' if count == 1 else 's'}"))

    def action_leave(self) -> None:
        """Closes the search and goes back to the lines."""
        self._close_search("")

    @on(Input.Changed, "#log-search")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if event.value:
            self.view.find(event.value)

    @on(Input.Submitted, "#log-search")
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value and not self.view.find(event.value):
            self.post_message(self.Said(f"Not in the log: {visible(event.value)}"))
            self.app.bell()
            return
        self._close_search(event.value)

    def _close_search(self, needle: str) -> None:
        search = self.query_one(Input)
        search.display = False
        self.view.needle = needle.casefold()
        self.view.focus()
        self.view.refresh()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "leave":
            return self.query_one(Input).display
        return super().check_action(action, parameters)

    @on(LogView.Moved)
    def _moved(self, event: LogView.Moved) -> None:
        event.stop()
        self._show_head()

    def on_resize(self) -> None:
        self._show_head()

    def _show_head(self) -> None:
        view = self.view
        width = max(self.size.width - 2, 0)
        step = self.titles.get(self.step, self.step) or "all steps"
        words = f"{visible(step)}, {_STREAM_NAMES[self.stream]}"
        count = f"{len(view.lines):,} line{'' if len(view.lines) == 1 else 's'}"
        badge = " TAIL " if view.following else f" +{view.unseen:,} lines  End follows "
        room = max(width - len("Log  ") - len(badge) - len(count) - 4, 0)
        left = f"Log  {cut(words, room, self.glyphs.ellipsis)}"
        gap = max(width - len(left) - len(count) - len(badge) - 2, 1)
        # One row whatever it says: nothing needs to be laid out anew.
        self.query_one("#log-head", Plain).update(
            Content.assemble(
                ("Log  ", "bold $accent"),
                (left[5:], "$muted"),
                " " * gap,
                (count, "$muted"),
                "  ",
                (badge, "reverse $muted" if view.following else "reverse $state-warning"),
            ),
            layout=False,
        )
