"""An image that boots, live: its console in a pane that takes keys."""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from tui.bridge import DRAIN_SECONDS
from tui.consoles import EXPECTED, ConsoleSession
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.proofs import Proof, proofs_of
from tui.screens.closing import Page
from tui.widgets.bars import KeyBar, TitleBar
from tui.widgets.console import Console


class ConsoleScreen(Page[Proof | None]):
    """Boots an image; returns the proof that it did, once the expected was seen."""

    CSS_PATH = "build.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("console")

    def __init__(self, image: Path, glyphs: Glyphs = UNICODE) -> None:
        super().__init__()
        proofs = proofs_of(image)
        expected = proofs[0].expected if proofs else EXPECTED
        self.work = ConsoleSession(image, time.monotonic, expected)
        self.glyphs = glyphs

    def compose(self) -> ComposeResult:
        yield TitleBar(self.glyphs, id="title")
        yield Console(self.work, id="console")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        self.query_one(Console).focus()
        self.set_interval(DRAIN_SECONDS, self._show)

    def _show(self) -> None:
        self.query_one(Console).show()
        title = self.query_one(TitleBar)
        title.file, title.figure = self.work.head, self.work.figure

    def action_back(self) -> None:
        """Ends the machine and goes back."""
        self.app.workers.cancel_group(self.app, "verb")
        self.dismiss(self.work.proof)
