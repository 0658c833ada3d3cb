"""The build screen: steps, figures and log of a build that the app runs, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.message import Message
from textual.timer import Timer

from engine.events import (
    AnyEvent,
    BuildFinished,
)
from engine.units import human
from tui import afterwards
from tui.bridge import DRAIN_SECONDS, Job
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.progress import clock
from tui.proofs import Proof, badge
from tui.screens.closing import Page
from tui.screens.dialogs import ConfirmScreen
from tui.screens.line import LineScreen
from tui.screens.messages import FlashRequested, ImageRequested
from tui.watching import BuildSession, report_text
from tui.widgets.bars import KeyBar, TitleBar
from tui.widgets.labels import Plain
from tui.widgets.log_pane import LogPane
from tui.widgets.log_view import LogView
from tui.widgets.outcome import Outcome
from tui.widgets.stage_list import StageList
from tui.widgets.throughput import Throughput
from tui.widgets.total_bar import TotalBar

BELL_AFTER = 30.0
"""Seconds from which the end of a build is worth a bell."""
_LINES_OF_FAILURE = 20


class BuildScreen(Page[None]):
    """Shows one build."""

    CSS_PATH = "build.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("build")
    HELP = """
# Build

The steps run in the order of the plan; what each one printed is in the log below. Escape goes back
to the design while the build runs on. Cancelling ends every process and leaves nothing partial.
"""

    class Retry(Message):
        """The build is wanted once more."""

    class FieldWanted(Message):
        """A field of the design is to be looked at."""

        def __init__(self, path: str) -> None:
            super().__init__()
            self.path = path

    class VerbWanted(Message):
        """A verb is to work on what was built, or on its spec; `notes` is what its plan said."""

        def __init__(self, verb: str, subject: Path, notes: tuple[str, ...] = ()) -> None:
            super().__init__()
            self.verb, self.subject, self.notes = verb, subject, notes

    class Made(Message):
        """An image was built."""

        def __init__(self, image: Path) -> None:
            super().__init__()
            self.image = image

    class StartWanted(Message):
        """The start page is wanted."""

    class TitleChanged(Message):
        """What the terminal's title bar should say."""

        def __init__(self, title: str) -> None:
            super().__init__()
            self.title = title

    def __init__(
        self,
        job: Job,
        glyphs: Glyphs = UNICODE,
        *,
        spec: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepares the page of a build.

        Args:
            job: What runs.
            glyphs: What to draw with.
            spec: The saved spec it is built from, if any.
            clock: Seconds, for what is told between events.
        """
        super().__init__()
        self.build = BuildSession(job, spec=spec, clock=clock)
        self.glyphs = glyphs
        self._note_timer: Timer | None = None
        self._title = ""

    @property
    def status(self) -> str:
        """How the build stands."""
        return self.build.state.status

    # ------------------------------------------------------------------ what is on it

    def compose(self) -> ComposeResult:
        yield TitleBar(self.glyphs, id="title")
        yield TotalBar(self.glyphs, id="build-total")
        with Vertical(id="build-body"):
            yield Outcome(self.glyphs, id="outcome")
            with Container(id="build-top"):
                yield StageList(self.glyphs, id="stages")
                yield Throughput(self.glyphs, id="throughput")
            yield LogPane(self.glyphs, id="log-pane")
        yield Plain("", id="build-status")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        self.query_one(LogView).focus()
        self.set_interval(DRAIN_SECONDS, self._drain)
        self._show()

    def take(self, batch: list[AnyEvent]) -> None:
        """Shows a batch of events."""
        if not batch:
            return
        lines = self.build.take(batch)
        pane = self.query_one(LogPane)
        pane.titles = {step.id: step.title for step in self.build.state.steps.values()}
        pane.add(lines)
        if isinstance(batch[-1], BuildFinished):
            self._ended()

    def _drain(self) -> None:
        batch = self.build.drain()
        if batch or self.build.is_running:
            self.take(batch)
            self._show()

    def _show(self) -> None:
        build = self.build
        state, elapsed = build.state, build.elapsed
        self.query_one(StageList).show(state, elapsed)
        self.query_one(Throughput).show(state)
        self.query_one(TotalBar).show(state, elapsed)
        title = self.query_one(TitleBar)
        title.file = build.head
        title.figure = human(state.disk_bytes) if state.disk_bytes else ""
        if build.title != self._title:
            self._title = build.title
            self.post_message(self.TitleChanged(build.title))

    def _ended(self) -> None:
        build = self.build
        self.add_class("-over")
        failed = build.state.failed_step
        if failed is not None:
            self.query_one(LogPane).keep(step=failed.id, stream="")
        if build.is_worth_a_bell:
            self.app.bell()
        self.refresh_bindings()
        build.look_for_proofs()
        self.call_later(self._show_outcome)
        if image := build.subjects().get("image"):
            self.post_message(self.Made(image))

    async def _show_outcome(self) -> None:
        build = self.build
        await self.query_one(Outcome).show(build.state, build.answers(), badge(build.proofs))

    def prove(self, proof: Proof) -> None:
        """Shows that the image boots, as its console has shown."""
        self.build.prove(proof)
        self.call_later(self._show_outcome)

    # ------------------------------------------------------------------ actions

    def say(self, text: str) -> None:
        """Shows a sentence above the keys for a few seconds."""
        line = self.query_one("#build-status", Plain)
        line.show(text)
        if self._note_timer is not None:
            self._note_timer.stop()
        self._note_timer = self.set_timer(4, lambda: line.show(""))

    @on(LogPane.Said)
    def _said(self, event: LogPane.Said) -> None:
        self.say(event.text)

    @on(LogView.Wanted)
    def _line_wanted(self, event: LogView.Wanted) -> None:
        line = event.line
        source = f"{line.step or 'build'}, {line.stream}, {line.time:.2f} s"
        self.app.push_screen(LineScreen(source, line.text))

    @on(StageList.Chosen)
    def _stage_chosen(self, event: StageList.Chosen) -> None:
        pane = self.query_one(LogPane)
        pane.keep(step="" if pane.step == event.step else event.step)

    @on(Outcome.Wanted)
    async def _outcome_wanted(self, event: Outcome.Wanted) -> None:
        await self.run_action(event.action)

    def action_back(self) -> None:
        """Looks at the design, or at the start page where nothing is designed."""
        if "design" in self.app._modes:
            self.app.switch_mode("design")
        else:
            self.post_message(self.StartWanted())

    def action_start(self) -> None:
        """Goes to the start page."""
        self.post_message(self.StartWanted())

    def action_cancel(self) -> None:
        """Asks, then cancels."""

        def act(answer: str | None) -> None:
            if answer == "yes" and self.build.is_running:
                self.say("Cancelling")
                self.app.workers.cancel_group(self.app, "build")

        self.app.push_screen(
            ConfirmScreen(
                "Cancel the build?",
                f"{self.build.percent} % is done after {clock(self.build.elapsed)}. The tools are "
                "stopped and nothing partial is left.",
                (("no", "Keep building"), ("yes", "Cancel it")),
            ),
            act,
        )

    def action_retry(self) -> None:
        self.post_message(self.Retry())

    def action_field(self) -> None:
        """Goes to the field that most likely answers the failure."""
        self.post_message(self.FieldWanted(self.build.failure_path))

    def action_verb(self, verb: str) -> None:
        """Lets a verb work on the image."""
        wanted = next(item for item in afterwards.TABLE if item.verb == verb)
        subject = self.build.subjects()[wanted.subject]
        self.post_message(self.VerbWanted(verb, subject, self.build.notes))

    def action_look(self) -> None:
        """Looks into the image."""
        self.app.post_message(ImageRequested(self.build.subjects()["image"]))

    def action_flash(self) -> None:
        """Writes the image to a disk."""
        self.app.post_message(FlashRequested(self.build.flashable))

    def action_copy_report(self) -> None:
        """Copies how it ended."""
        self.app.copy_to_clipboard(report_text(self.build.state))
        self.say("Copied")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        of = parameters[0] if parameters else None
        return self.build.allows(action, of) and super().check_action(action, parameters)
