"""A verb of the command line at work on what was built: its output, live."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen

import engine
from engine.cli import exits
from engine.events import AnyEvent
from engine.events import Log as LogEvent
from engine.tools.environment import tool_environment
from engine.tools.failure import StepFailed
from engine.tools.runner import run
from tui.bridge import DRAIN_SECONDS, EventQueue
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.progress import clock
from tui.widgets.bars import KeyBar, TitleBar
from tui.widgets.log_pane import LogPane
from tui.widgets.log_view import LogLine

_ENDS = {
    exits.DONE: "done",
    exits.FAILED: "failed",
    exits.REFUSED: "refused",
    exits.DIFFERENT: "a difference was found",
    exits.NOT_SEEN: "the console did not show what was expected",
    exits.CANCELLED: "cancelled",
}
_LIVE = frozenset({"boot"})
"""Verbs whose last line matters most while they run."""


class VerbScreen(Screen[None]):
    """Runs `diskwright VERB SUBJECT` and shows what it prints."""

    CSS_PATH = "build.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("verb")
    HELP = """
# What was built

The same verb as on the command line, working on the image. Escape ends it and goes back.
"""

    def __init__(self, verb: str, subject: Path, glyphs: Glyphs = UNICODE) -> None:
        super().__init__()
        self.verb, self.subject, self.glyphs = verb, subject, glyphs
        self.ended = ""
        self._queue = EventQueue()
        self._begun = time.monotonic()

    def compose(self) -> ComposeResult:
        """Title, output, keys."""
        yield TitleBar(self.glyphs, id="title")
        yield LogPane(self.glyphs, timed=False, id="log-pane")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Looks at the output from now on."""
        pane = self.query_one(LogPane)
        pane.view.focus()
        if self.verb not in _LIVE:
            pane.view.stay()
        self.set_interval(DRAIN_SECONDS, self._drain)

    async def work(self) -> None:
        """Runs the verb; the app starts it as a worker of its own."""
        modules = {"PYTHONPATH": str(Path(engine.__file__).parent.parent)}
        argv = (sys.executable, "-m", "engine.cli", self.verb, str(self.subject))
        try:
            result = await run(
                argv,
                step=self.verb,
                emit=self._queue.put,
                env=tool_environment() | modules,
                accept=frozenset(range(256)),
            )
        except StepFailed as failed:
            self.ended = failed.message
        else:
            self.ended = _ENDS.get(result.status, f"ended with status {result.status}")

    def _drain(self) -> None:
        batch: list[AnyEvent] = self._queue.drain()
        lines = [
            LogLine(0, event.id, event.stream, event.text)
            for event in batch
            if isinstance(event, LogEvent)
        ]
        if lines:
            self.query_one(LogPane).add(lines)
        title = self.query_one(TitleBar)
        title.file = f"{self.verb.title()} {self.subject.name}"
        title.figure = self.ended or f"{clock(time.monotonic() - self._begun)} so far"

    def action_back(self) -> None:
        """Ends the verb and goes back."""
        self.app.workers.cancel_group(self.app, "verb")
        self.dismiss(None)
