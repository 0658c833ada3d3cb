"""How a build is shown on standard error: a repainted line per step, or plain lines in a pipe."""

from __future__ import annotations

import shutil
import sys
import time
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TextIO

from engine.events import (
    AnyEvent,
    BuildFinished,
    Log,
    Progress,
    StepFinished,
    StepStarted,
)
from engine.plan.model import Plan
from engine.units import human

_MARKS = {"ok": "✓", "failed": "✗", "skipped": "-", "cancelled": "✗"}
_BAR = 24
_LAST_LINES = 20
_TOLD = frozenset({"compare", "take-over"})
"""Steps whose notes are for everybody: what an update takes over, or why it does not."""


class Narration(Protocol):
    """Tells a build's events to a person."""

    def __call__(self, event: AnyEvent) -> None:
        """Takes one event."""

    def __enter__(self) -> Self:
        """Begins."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leaves the terminal as it was."""


def narration(plan: Plan, *, quiet: bool, stream: TextIO | None = None) -> Narration:
    """Returns the narration that suits where standard error goes."""
    out = stream or sys.stderr
    if quiet:
        return Quiet(out)
    if out.isatty():
        return Painted(out)
    return Plain(out)


class Quiet:
    """Speaks up only when a build fails."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._tails: dict[str, deque[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to put right."""

    def __call__(self, event: AnyEvent) -> None:
        """Takes one event."""
        match event:
            case StepStarted(id=step):
                self._tails[step] = deque(maxlen=_LAST_LINES)
            case Log(id=step, stream=stream, text=text) if stream != "command":
                self._tails.setdefault(step, deque(maxlen=_LAST_LINES)).append(text)
            case StepFinished(id=step, status="ok"):
                self._tails.pop(step, None)
            case BuildFinished():
                self._finished(event)

    def _finished(self, event: BuildFinished) -> None:
        if event.status == "ok":
            return
        if event.status == "cancelled":
            self._say(f"cancelled in step {event.step}; nothing was left behind")
            return
        for line in self._tails.get(event.step or "", ()):
            self._say(f"  | {line}")
        self._say(f"error: {event.step}: {event.message}")
        if event.hint:
            self._say(f"hint: {event.hint}")

    def _say(self, text: str) -> None:
        print(text, file=self._out, flush=True)


class Plain(Quiet):
    """One line for each thing that happens, for pipes and logs.

    Lines stand below the title of their step; where another one spoke in between, it comes again.
    """

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._titles: dict[str, str] = {}
        self._speaking = ""

    def __call__(self, event: AnyEvent) -> None:
        """Takes one event."""
        match event:
            case StepStarted():
                self._titles[event.id] = event.title
                self._speaking = event.id
                self._say(f"==> {event.title}")
            case Log(stream="command"):
                self._below(event.id, f"  $ {event.text}")
                return
            case Log():
                self._below(event.id, f"  | {event.text}")
                return
            case StepFinished():
                self._below(event.id, f"  {event.status}, {event.seconds:.2f} s")
            case BuildFinished(status="ok"):
                self._say(f"done in {event.seconds:.2f} s")
        super().__call__(event)

    def _below(self, step: str, line: str) -> None:
        if step != self._speaking:
            self._speaking = step
            self._say(f"==> {self._titles.get(step, step)}, still")
        self._say(line)


@dataclass(slots=True)
class _Running:
    """A step that is painted."""

    title: str
    begun: float
    progress: Progress | None = None

    def text(self, *, short: bool) -> str:
        """Returns the step and how far it is, in full or as a share only."""
        if self.progress is None:
            return self.title
        if short:
            done, total = self.progress.done, self.progress.total
            return f"{self.title} {done * 100 // total} %" if total > 0 else self.title
        return f"{self.title}  {progress_text(self.progress, time.monotonic() - self.begun)}"


class Painted(Quiet):
    """A line for each step, repainted while it runs: bar, rate and time left.

    Steps that run side by side share the line.
    """

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._running: dict[str, _Running] = {}
        self._painted = False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends a line that a step left unfinished."""
        self._wipe()

    def __call__(self, event: AnyEvent) -> None:
        """Takes one event."""
        match event:
            case StepStarted():
                self._running[event.id] = _Running(event.title, time.monotonic())
                self._repaint()
            case Progress() if event.id in self._running:
                self._running[event.id].progress = event
                self._repaint()
            case StepFinished():
                step = self._running.pop(event.id, None)
                self._wipe()
                title = step.title if step else event.id
                self._say(f"{_MARKS[event.status]} {title}  {event.seconds:.2f} s")
                for line in self._tails.get(event.id, ()) if event.id in _TOLD else ():
                    self._say(f"  {line}")
                self._repaint()
            case BuildFinished():
                self._wipe()
                if event.status == "ok":
                    self._say(f"done in {event.seconds:.2f} s")
        super().__call__(event)

    def _repaint(self) -> None:
        steps = self._running.values()
        if steps:
            self._paint("… " + " · ".join(step.text(short=len(steps) > 1) for step in steps))

    def _paint(self, text: str) -> None:
        width = shutil.get_terminal_size().columns
        self._out.write(f"\r\x1b[K{text[: width - 1]}")
        self._out.flush()
        self._painted = True

    def _wipe(self) -> None:
        if self._painted:
            self._out.write("\r\x1b[K")
            self._painted = False


def progress_text(event: Progress, elapsed: float) -> str:
    """Returns bar, amounts, rate and time left of a step that has run `elapsed` seconds."""
    amount = human if event.unit == "bytes" else str
    if event.total <= 0:
        return amount(event.done)
    filled = min(event.done * _BAR // event.total, _BAR)
    parts = [
        "█" * filled + "░" * (_BAR - filled),
        f"{event.done * 100 // event.total:3d} %",
        f"{amount(event.done)} of {amount(event.total)}",
    ]
    if elapsed > 0.5 and event.done:
        rate = int(event.done / elapsed)
        parts.append(f"{amount(rate)}/s")
        parts.append(f"{_clock((event.total - event.done) // max(rate, 1))} left")
    return "  ".join(parts)


def _clock(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02d}"
