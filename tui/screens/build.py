"""The build screen: steps, figures and log of a build that the app runs, and how it ended."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer

from engine.events import (
    AnyEvent,
    Artifact,
    BuildFinished,
    StepFinished,
    StepStarted,
)
from engine.events import Log as LogEvent
from engine.units import human
from tui import afterwards
from tui.bridge import DRAIN_SECONDS, EventQueue, Job
from tui.fields import FIELDS
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.progress import WHOLE, BuildState, clock
from tui.report import write_report
from tui.screens.dialogs import ConfirmScreen
from tui.screens.line import LineScreen
from tui.screens.messages import FlashRequested, ImageRequested
from tui.session import state_folder
from tui.widgets.bars import KeyBar, TitleBar
from tui.widgets.labels import Plain
from tui.widgets.log_pane import LogPane
from tui.widgets.log_view import LogLine, LogView
from tui.widgets.outcome import Outcome
from tui.widgets.stage_list import StageList
from tui.widgets.throughput import Throughput
from tui.widgets.total_bar import TotalBar

BELL_AFTER = 30.0
"""Seconds from which the end of a build is worth a bell."""
_LINES_OF_FAILURE = 20


class BuildScreen(Screen[None]):
    """Shows one build."""

    CSS_PATH = "build.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("build")
    HELP = """
# Build

The steps run in the order of the plan; what each printed stands in the log below. Escape goes back
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
        self.job = job
        self.glyphs = glyphs
        self.spec = spec
        self.state = BuildState()
        self._queue = EventQueue()
        self._clock = clock
        self._heard = clock()
        self._note_timer: Timer | None = None
        self._title = ""

    @property
    def status(self) -> str:
        """How the build stands."""
        return self.state.status

    @property
    def elapsed(self) -> float:
        """Seconds since the build began, in its own time."""
        if self.state.status != "running":
            return self.state.time
        return self.state.time + (self._clock() - self._heard) * self.job.pace

    # ------------------------------------------------------------------ what is on it

    def compose(self) -> ComposeResult:
        """Title and total, steps beside figures, the outcome, the log."""
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
        """Looks at the queue from now on."""
        self.query_one(LogView).focus()
        self.set_interval(DRAIN_SECONDS, self._drain)
        self._show()

    async def run_build(self) -> None:
        """Runs the job; the app starts it as a worker of its own, so that it outlives a visit."""
        self._heard = self._clock()
        try:
            await self.job.run(self._queue.put)
        except Exception as error:
            report = write_report(state_folder(), error)
            self._queue.put(
                BuildFinished(
                    time=self.state.time,
                    status="failed",
                    seconds=self.state.time,
                    step=self.state.current.id if self.state.current else None,
                    message=f"a fault of Diskwright: {type(error).__name__}: {error}",
                    hint=f"please report it with {report}",
                )
            )
            raise

    # ------------------------------------------------------------------ events

    def take(self, batch: list[AnyEvent]) -> None:
        """Shows a batch of events."""
        if not batch:
            return
        lines: list[LogLine] = []
        for event in batch:
            self.state.feed(event)
            line = log_line(event)
            if line is not None:
                lines.append(line)
        self._heard = self._clock()
        pane = self.query_one(LogPane)
        pane.titles = {step.id: step.title for step in self.state.steps.values()}
        pane.add(lines)
        if isinstance(batch[-1], BuildFinished):
            self._ended()

    def _drain(self) -> None:
        batch = self._queue.drain()
        if batch or self.state.status == "running":
            self.take(batch)
            self._show()

    def _show(self) -> None:
        state, elapsed = self.state, self.elapsed
        self.query_one(StageList).show(state, elapsed)
        self.query_one(Throughput).show(state)
        self.query_one(TotalBar).show(state, elapsed)
        title = self.query_one(TitleBar)
        words = {"running": "Building", "ok": "Built", "failed": "Failed:"}
        name = state.name or self.job.title
        title.file = f"{words.get(state.status, 'Cancelled:')} {name}"
        title.figure = human(state.disk_bytes) if state.disk_bytes else ""
        self._tell_terminal()

    def _tell_terminal(self) -> None:
        state = self.state
        name = state.name or self.job.title
        if state.status == "running":
            doing = f" {state.current.title}" if state.current else ""
            title = f"{state.share() * 100 // WHOLE} % {name}:{doing}"
        else:
            title = f"{name}: {'built' if state.status == 'ok' else state.status}"
        if title != self._title:
            self._title = title
            self.post_message(self.TitleChanged(title))

    def _ended(self) -> None:
        state = self.state
        self.add_class("-over")
        failed = state.failed_step
        if failed is not None:
            self.query_one(LogPane).keep(step=failed.id, stream="")
        if state.time > BELL_AFTER:
            self.app.bell()
        self.refresh_bindings()
        self.call_later(self.query_one(Outcome).show, state, self._answers())

    def _answers(self) -> list[tuple[str, str]]:
        """Returns what to offer, the likeliest first."""
        if self.state.status == "ok":
            verbs = afterwards.offered(self.subjects())
            return [
                *([("look", "Look inside")] if "image" in self.subjects() else []),
                *((f"verb('{item.verb}')", item.label) for item in verbs),
                *([("flash", "Write")] if "image" in self.subjects() else []),
                ("start", "Another image"),
                ("copy_report", "Copy digests"),
            ]
        answers = [("retry", "Retry")] if self.job.outdir is not None else []
        if self.state.status == "failed" and self.failure_path:
            field = FIELDS.get(self.failure_path)
            answers.insert(0, ("field", f"Go to {field.label}" if field else "Change it"))
        return [*answers, ("copy_report", "Copy report"), ("back", "Design")]

    def subjects(self) -> dict[afterwards.Subject, Path]:
        """Returns what verbs could work on: what was built, from what, and where."""
        found: dict[afterwards.Subject, Path | None] = {
            "image": afterwards.image_of(self.state.artifacts),
            "spec": self.spec,
            "outdir": self.job.outdir,
        }
        return {key: path for key, path in found.items() if path is not None}

    @property
    def failure_path(self) -> str:
        """The key path to look at after a failure."""
        if self.job.refused:
            return self.job.refused[0].path
        end = self.state.finished
        return afterwards.path_of_failure(end.step, end.message or "") if end else ""

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
            if answer == "yes" and self.state.status == "running":
                self.say("Cancelling")
                self.app.workers.cancel_group(self.app, "build")

        done = self.state.share() * 100 // WHOLE
        self.app.push_screen(
            ConfirmScreen(
                "Cancel the build?",
                f"{done} % is done after {clock(self.elapsed)}. The tools are stopped and nothing "
                "partial is left.",
                (("no", "Keep building"), ("yes", "Cancel it")),
            ),
            act,
        )

    def action_retry(self) -> None:
        """Builds once more."""
        self.post_message(self.Retry())

    def action_field(self) -> None:
        """Goes to the field that most likely answers the failure."""
        self.post_message(self.FieldWanted(self.failure_path))

    def action_verb(self, verb: str) -> None:
        """Lets a verb work on the image."""
        wanted = next(item for item in afterwards.TABLE if item.verb == verb)
        notes = tuple(self.state.plan.get("notes", ()))
        self.post_message(self.VerbWanted(verb, self.subjects()[wanted.subject], notes))

    def action_look(self) -> None:
        """Looks into the image."""
        self.app.post_message(ImageRequested(self.subjects()["image"]))

    def action_flash(self) -> None:
        """Writes the image to a disk."""
        self.app.post_message(FlashRequested(self.subjects()["image"]))

    def action_copy_report(self) -> None:
        """Copies how it ended."""
        self.app.copy_to_clipboard(report_text(self.state))
        self.say("Copied")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides what makes no sense now."""
        running = self.state.status == "running"
        if action == "cancel":
            return running
        if action in {"copy_report", "start"}:
            return not running
        if action == "retry":
            return not running and self.state.status != "ok" and self.job.outdir is not None
        if action == "field":
            return self.state.status == "failed" and bool(self.failure_path)
        if action in {"look", "flash"}:
            return self.state.status == "ok" and "image" in self.subjects()
        if action == "verb":
            offered = afterwards.offered(self.subjects())
            return not running and any(item.verb == parameters[0] for item in offered)
        return super().check_action(action, parameters)


def log_line(event: AnyEvent) -> LogLine | None:
    """Returns what an event says in the log, if anything."""
    match event:
        case StepStarted():
            return LogLine(event.time, event.id, "step", event.title)
        case LogEvent():
            return LogLine(event.time, event.id, event.stream, event.text)
        case StepFinished(status="skipped" | "cancelled"):
            return LogLine(event.time, event.id, "note", event.status)
        case Artifact():
            text = f"{event.path}: {event.bytes:,} bytes, {' '.join(event.digest)}".rstrip(", ")
            return LogLine(event.time, "", "note", text)
        case BuildFinished(status="failed"):
            return LogLine(event.time, event.step or "", "stderr", event.message or event.status)
    return None


def report_text(state: BuildState) -> str:
    """Returns how a build ended as text to paste elsewhere."""
    if state.status == "ok":
        return "".join(f"{artifact.line}\n" for artifact in state.artifacts)
    end, step = state.finished, state.failed_step
    lines = [f"{state.name}: {state.status}" + (f" in step {step.id}" if step else "")]
    if end is not None:
        lines += [text for text in (end.message, end.hint) if text]
    if step is not None:
        if step.command:
            lines.append(f"command: {shlex.join(step.command)}")
        lines += [f"  {line}" for line in list(step.tail)[-_LINES_OF_FAILURE:]]
    return "\n".join(lines) + "\n"
