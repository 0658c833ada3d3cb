"""The build screen: steps, progress and log of a build that the app runs.

Events arrive through a queue that is drained at a steady pace: one message for each line would
stall the keys.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Log

from engine.events import (
    AnyEvent,
    Artifact,
    BuildFinished,
    StepFinished,
    StepStarted,
)
from engine.events import Log as LogEvent
from engine.plan.model import Plan
from engine.problem import Refused
from engine.units import human
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.text import visible
from tui.widgets.bars import KeyBar
from tui.widgets.labels import Plain

DRAIN = 0.05
"""Seconds between two looks at the queue."""


class BuildScreen(Screen[None]):
    """Shows one build."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("build")

    def __init__(self, plan: Plan, outdir: Path, glyphs: Glyphs = UNICODE) -> None:
        super().__init__()
        self.plan = plan
        self.outdir = outdir
        self.glyphs = glyphs
        self.status = "running"
        self._queue: deque[AnyEvent] = deque()

    def compose(self) -> ComposeResult:
        """Status above, log below."""
        yield Plain(f" Building {visible(self.plan.name)}", id="build-title")
        yield Log(id="log", max_lines=5000, highlight=False)
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Looks at the queue from now on."""
        self.set_interval(DRAIN, self._drain)

    async def run_build(self, *, force: bool) -> None:
        """Runs the build; the app starts it as a worker of its own."""
        from engine.pipeline.build import build

        try:
            await build(self.plan, self._queue.append, outdir=self.outdir, force=force)
        except Refused as refused:
            message = refused.problems[0].message
            self._queue.append(BuildFinished(status="failed", seconds=0, message=message))

    def _drain(self) -> None:
        lines = []
        while self._queue:
            lines += self._lines(self._queue.popleft())
        if lines:
            self.query_one(Log).write_lines(lines)

    def _lines(self, event: AnyEvent) -> list[str]:
        match event:
            case StepStarted():
                return [f"{self.glyphs.arrow} {visible(event.title)}"]
            case LogEvent():
                return [f"  {visible(event.text)}"]
            case StepFinished():
                return [f"  {event.status} after {event.seconds:.1f} s"]
            case Artifact():
                return [f"  {visible(event.path)}: {human(event.bytes)} sha256 {event.sha256}"]
            case BuildFinished():
                self.status = event.status
                self.query_one("#build-title", Plain).show(
                    f" {visible(self.plan.name)}: {event.status} {visible(event.message or '')}"
                )
        return []

    def action_back(self) -> None:
        """Looks at the design."""
        self.app.switch_mode("design")

    def action_cancel(self) -> None:
        """Cancels the build."""
        self.app.workers.cancel_group(self.app, "build")
