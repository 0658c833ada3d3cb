"""A verb of the command line at work on what was built: its output, live."""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from tui.bridge import DRAIN_SECONDS
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.screens.closing import Page
from tui.verbs import VerbSession
from tui.widgets.bars import KeyBar, TitleBar
from tui.widgets.log_pane import LogPane


class VerbScreen(Page[None]):
    """Runs `diskwright VERB SUBJECT` and shows what it prints."""

    CSS_PATH = "build.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("verb")
    HELP = """
# What was built

The same verb as on the command line, working on the image. Escape ends it and goes back.
"""

    def __init__(
        self,
        verb: str,
        subject: Path,
        glyphs: Glyphs = UNICODE,
        *,
        arguments: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.work = VerbSession(verb, subject, time.monotonic, arguments)
        self.glyphs = glyphs

    def compose(self) -> ComposeResult:
        yield TitleBar(self.glyphs, id="title")
        yield LogPane(self.glyphs, timed=False, id="log-pane")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        pane = self.query_one(LogPane)
        pane.view.focus()
        if not self.work.follows:
            pane.view.stay()
        self.set_interval(DRAIN_SECONDS, self._drain)

    def _drain(self) -> None:
        lines = self.work.lines()
        if lines:
            self.query_one(LogPane).add(lines)
        title = self.query_one(TitleBar)
        title.file, title.figure = self.work.head, self.work.figure

    def action_back(self) -> None:
        """Ends the verb and goes back."""
        self.app.workers.cancel_group(self.app, "verb")
        self.dismiss(None)
