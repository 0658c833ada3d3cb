"""Files on their way out of an image: how far, and how it ended."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button

from engine.image.container import BadImage
from engine.inspect.extract import Extracted, ExtractFailed
from engine.manifest.progress import ScanCancelled
from engine.problem import Refused
from engine.units import human
from tui.extraction import summary
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.screens.closing import Dialog
from tui.text import cut, cut_left, reason, visible
from tui.widgets.labels import Plain

Job = Callable[[Callable[[int, int], None], Callable[[], bool]], Extracted]
"""Is given what to tell entries and bytes so far, and what to ask whether to stop."""

_TOLD_EVERY = 0.1
"""Seconds between two looks at how far it is."""
_LONGEST = 300
"""Cells of a path or of a sentence."""


class ExtractScreen(Dialog[Extracted | None]):
    """Runs an extraction on a thread; Escape stops it, and nothing of it stays behind.

    Returns what was written, or None where nothing was.
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings("extract")

    def __init__(self, what: str, dest: Path, job: Job, glyphs: Glyphs = UNICODE) -> None:
        """Prepares the page.

        Args:
            what: What is written, as safe text.
            dest: Where to.
            job: Writes it, and returns once it is done or asked to stop.
            glyphs: What to draw with.
        """
        super().__init__()
        self._what, self._dest, self._job = what, dest, job
        self.glyphs = glyphs
        self._amounts = (0, 0)
        self._stopped = False
        self._ended = False
        self._result: Extracted | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Plain(f"Extract {self._what}", classes="dialog-title")
            dest = cut_left(visible(str(self._dest)), _LONGEST, self.glyphs.ellipsis)
            yield Plain(f"to {dest}", classes="dialog-text")
            with VerticalScroll(id="extract-words", can_focus=False):
                yield Plain("Beginning", id="extract-state")
            with Horizontal(classes="dialog-buttons"):
                yield Button("Cancel", id="extract-close", compact=True)

    def on_mount(self) -> None:
        self.set_interval(_TOLD_EVERY, self._tell)
        self._extract()

    def on_unmount(self) -> None:
        self._stopped = True

    def _progress(self, entries: int, size: int) -> None:
        self._amounts = (entries, size)

    def _tell(self) -> None:
        if self._ended:
            return
        entries, size = self._amounts
        doing = "Stopping" if self._stopped else "Writing"
        names = "1 name" if entries == 1 else f"{entries:,} names"
        self._show(f"{doing}: {names}, {human(size)}")

    def _show(self, text: str) -> None:
        self.query_one("#extract-state", Plain).show(text)

    @work(exclusive=True, group="extract")
    async def _extract(self) -> None:
        try:
            result = await asyncio.to_thread(self._job, self._progress, lambda: self._stopped)
        except ScanCancelled:
            self.dismiss(None)
        except (Refused, ExtractFailed, BadImage, struct.error, OSError) as error:
            self._end(f"{self.glyphs.error} Error: {reason(error)}\nNothing was written.")
        else:
            self._result = result
            if not result.notes:
                self.dismiss(result)
                return
            mark = self.glyphs.warning if result.failed else self.glyphs.done
            self._end("\n".join([f"{mark} {summary(result)}", *result.notes]))

    def _end(self, text: str) -> None:
        self._ended = True
        lines = (cut(visible(line), _LONGEST, self.glyphs.ellipsis) for line in text.split("\n"))
        self._show("\n".join(lines))
        button = self.query_one(Button)
        button.label = "Close"
        button.focus()

    @on(Button.Pressed)
    def action_close(self) -> None:
        """Stops it, or closes once it has ended."""
        if self._ended:
            self.dismiss(self._result)
        self._stopped = True
