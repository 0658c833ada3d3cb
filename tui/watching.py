"""A build being watched: what it has come to, and what can be done about it. Knows no screen."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from engine.events import AnyEvent, Artifact, BuildFinished, Log, StepFinished, StepStarted
from engine.units import in_bytes
from tui import afterwards
from tui.bridge import EventQueue, Job
from tui.fields import FIELDS
from tui.loglines import LogLine
from tui.progress import WHOLE, BuildState
from tui.proofs import Proof, proofs_of
from tui.report import write_report
from tui.session import state_folder

BELL_AFTER = 30.0
"""Seconds from which the end of a build is worth a bell."""
_LINES_OF_FAILURE = 20
_WORDS = {"running": "Building", "ok": "Built", "failed": "Failed:"}

Needs = Literal["running", "over"]


class BuildSession:
    """One build: its job, its events so far, and what they allow.

    Attributes:
        job: What runs.
        state: All events so far, folded.
        spec: The saved spec it is built from, if any.
        proofs: The boots of the image that were seen.
    """

    def __init__(self, job: Job, *, spec: Path | None, clock: Callable[[], float]) -> None:
        self.job, self.spec = job, spec
        self.state = BuildState()
        self.proofs: tuple[Proof, ...] = ()
        self._queue = EventQueue()
        self._clock = clock
        self._heard = clock()

    # ------------------------------------------------------------------ what happens

    async def run(self) -> None:
        """Runs the job; a fault of ours ends the build like any failure, and is raised, too."""
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
                    step=next((step.id for step in self.state.running), None),
                    message=f"a fault of Diskwright: {type(error).__name__}: {error}",
                    hint=f"please report it with {report}",
                )
            )
            raise

    def drain(self) -> list[AnyEvent]:
        """Returns what has come since; `take` is to be given it."""
        return self._queue.drain()

    def take(self, batch: list[AnyEvent]) -> list[LogLine]:
        """Takes events into the state; returns what they say in the log."""
        for event in batch:
            self.state.feed(event)
        self._heard = self._clock()
        return [line for event in batch if (line := log_line(event)) is not None]

    def look_for_proofs(self) -> None:
        """Reads which boots the build saw; each is a fact of the image's own manifest."""
        image = self.subjects().get("image")
        if self.state.status == "ok" and image is not None:
            self.proofs = proofs_of(image)

    def prove(self, proof: Proof) -> None:
        """Takes a boot that was seen on the console; it replaces one of the same firmware."""
        others = (one for one in self.proofs if one.firmware != proof.firmware)
        self.proofs = (*others, proof)

    # ------------------------------------------------------------------ how it stands

    @property
    def is_running(self) -> bool:
        """Whether it goes on."""
        return self.state.status == "running"

    @property
    def elapsed(self) -> float:
        """Seconds since the build began, in its own time."""
        if not self.is_running:
            return self.state.time
        return self.state.time + (self._clock() - self._heard) * self.job.pace

    @property
    def percent(self) -> int:
        """How much is done."""
        return self.state.share() * 100 // WHOLE

    @property
    def name(self) -> str:
        """What is built."""
        return self.state.name or self.job.title

    @property
    def head(self) -> str:
        """How it stands, and of what, for a title bar."""
        return f"{_WORDS.get(self.state.status, 'Cancelled:')} {self.name}"

    @property
    def title(self) -> str:
        """The same for the terminal's own title."""
        state = self.state
        if self.is_running:
            titles = ", ".join(step.title for step in state.running)
            doing = f" {titles}" if titles else ""
            return f"{self.percent} % {self.name}:{doing}"
        return f"{self.name}: {'built' if state.status == 'ok' else state.status}"

    @property
    def is_worth_a_bell(self) -> bool:
        """Whether somebody may have gone away meanwhile."""
        return self.state.time > BELL_AFTER

    # ------------------------------------------------------------------ what can be done

    def subjects(self) -> dict[afterwards.Subject, Path]:
        """Returns what verbs could work on: what was built, from what, and where."""
        found: dict[afterwards.Subject, Path | None] = {
            "image": afterwards.image_of(self.state.artifacts),
            "spec": self.spec,
            "outdir": self.job.outdir,
        }
        return {key: path for key, path in found.items() if path is not None}

    @property
    def flashable(self) -> Path | None:
        """The image to write to a disk, as it is or compressed."""
        return afterwards.flashable_of(self.state.artifacts)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the plan said of what was built."""
        return tuple(self.state.plan.get("notes", ()))

    @property
    def failure_path(self) -> str:
        """The key path to look at after a failure, or ""."""
        if self.job.refused:
            return self.job.refused[0].path
        end = self.state.finished
        return afterwards.path_of_failure(end.step, end.message or "") if end else ""

    def answers(self) -> list[tuple[str, str]]:
        """Returns actions to offer at the end with what they are called, the likeliest first."""
        if self.state.status == "ok":
            verbs = afterwards.offered(self.subjects())
            return [
                *([("look", "Look inside")] if "image" in self.subjects() else []),
                *((f"verb('{item.verb}')", item.label) for item in verbs),
                *([("flash", "Write")] if self.flashable is not None else []),
                ("start", "Another image"),
                ("copy_report", "Copy digests"),
            ]
        answers = [("retry", "Retry")] if self.job.outdir is not None else []
        if self.state.status == "failed" and self.failure_path:
            field = FIELDS.get(self.failure_path)
            answers.insert(0, ("field", f"Go to {field.label}" if field else "Change it"))
        return [*answers, ("copy_report", "Copy report"), ("back", "Design")]

    def allows(self, action: str, of: object = None) -> bool:
        """Whether an action makes sense now; `of` is the verb of the action "verb"."""
        status = self.state.status
        match action:
            case "cancel":
                return self.is_running
            case "copy_report" | "start":
                return not self.is_running
            case "retry":
                return status not in {"running", "ok"} and self.job.outdir is not None
            case "field":
                return status == "failed" and bool(self.failure_path)
            case "flash":
                return status == "ok" and self.flashable is not None
            case "look":
                return status == "ok" and "image" in self.subjects()
            case "verb":
                offered = afterwards.offered(self.subjects())
                return not self.is_running and any(item.verb == of for item in offered)
        return True


def log_line(event: AnyEvent) -> LogLine | None:
    """Returns what an event says in the log, if anything."""
    match event:
        case StepStarted():
            return LogLine(event.time, event.id, "step", event.title)
        case Log():
            return LogLine(event.time, event.id, event.stream, event.text)
        case StepFinished(status="skipped" | "cancelled"):
            return LogLine(event.time, event.id, "note", event.status)
        case Artifact():
            text = f"{event.path}: {in_bytes(event.bytes)}, {' '.join(event.digest)}".rstrip(", ")
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
