"""The state of a build, folded from its events: what every view of a build shows.

It knows no clock of its own: times are the events', in seconds since the build began.
"""

from __future__ import annotations

import shlex
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.events import (
    AnyEvent,
    Artifact,
    BuildFinished,
    BuildStarted,
    Log,
    Progress,
    StepFinished,
    StepStarted,
)
from tui.throughput import History

StepStatus = Literal["pending", "running", "ok", "failed", "skipped", "cancelled"]
BuildStatus = Literal["running", "ok", "failed", "cancelled"]

WHOLE = 10_000
"""A share of 1 in the unit in which shares are counted."""
ENOUGH_SAMPLES = 1.0
"""Seconds of progress before a time left is worth showing."""
_WINDOW = 4.0
_TAIL = 20


@dataclass(slots=True)
class StepState:
    """One step as far as its events have told.

    Attributes:
        weight: Its part of the overall progress, in bytes.
        begun: When it began.
        seconds: How long it took, once it ended.
        done, total, unit: The latest progress; total 0 means not known.
        reached: The largest share done so far, of `WHOLE`.
        command: The tool it runs, with its arguments; empty where it works in process.
        tail: The last lines it logged.
    """

    id: str
    title: str
    weight: int = 0
    status: StepStatus = "pending"
    begun: float = 0.0
    seconds: float = 0.0
    done: int = 0
    total: int = 0
    unit: str = "bytes"
    reached: int = 0
    command: tuple[str, ...] = ()
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL))
    samples: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def is_over(self) -> bool:
        """Whether it ended, however."""
        return self.status not in {"pending", "running"}

    def rate(self) -> int | None:
        """Returns units a second over the last seconds, None before that can be told."""
        if len(self.samples) < 2:
            return None
        (begin, first), (end, last) = self.samples[0], self.samples[-1]
        if end - begin < ENOUGH_SAMPLES:
            return None
        return int((last - first) / (end - begin))

    def left(self) -> float | None:
        """Returns the seconds its present tool still needs, None before that can be told."""
        rate = self.rate()
        if not rate or self.total <= 0:
            return None
        return max(self.total - self.done, 0) / rate

    def advance(self, event: Progress) -> None:
        """Takes a progress; a tool that starts over begins a new measurement."""
        if event.done < self.done or event.total != self.total:
            self.samples.clear()
        self.done, self.total, self.unit = event.done, event.total, event.unit
        self.samples.append((event.time, event.done))
        while len(self.samples) > 2 and event.time - self.samples[1][0] >= _WINDOW:
            self.samples.popleft()
        if event.total > 0:
            self.reached = max(self.reached, min(event.done * WHOLE // event.total, WHOLE))


class BuildState:
    """Everything the events of one build have told so far."""

    def __init__(self) -> None:
        self.status: BuildStatus = "running"
        self.time = 0.0
        self.plan: dict[str, Any] = {}
        self.steps: dict[str, StepState] = {}
        self.artifacts: list[Artifact] = []
        self.finished: BuildFinished | None = None
        self.history = History()
        self._share = 0

    @property
    def name(self) -> str:
        """What is built."""
        return str(self.plan.get("name", ""))

    @property
    def disk_bytes(self) -> int:
        """Size of the disk."""
        return int(self.plan.get("disk", {}).get("bytes", 0))

    @property
    def running(self) -> list[StepState]:
        """The steps that run, side by side."""
        if self.status != "running":
            return []
        return [step for step in self.steps.values() if step.status == "running"]

    @property
    def rate(self) -> int | None:
        """Bytes a second over the last seconds, of all steps together."""
        rates = [step.rate() for step in self.running if step.unit == "bytes"]
        known = [rate for rate in rates if rate is not None]
        return sum(known) if known else None

    @property
    def failed_step(self) -> StepState | None:
        """The step a failed or cancelled build ended in."""
        return self.steps.get((self.finished.step if self.finished else None) or "")

    def share(self) -> int:
        """Returns how much is done, of `WHOLE`; it never falls."""
        if not self.plan:  # what stands before the plan is not a share of it
            return 0
        # Steps without weight take time too: each gets a little.
        base = sum(step.weight for step in self.steps.values()) // 50 + 1
        whole = sum(step.weight + base for step in self.steps.values())
        done = sum(
            (step.weight + base) * (WHOLE if step.is_over else step.reached)
            for step in self.steps.values()
        )
        self._share = max(self._share, done // whole if whole else 0)
        return WHOLE if self.status == "ok" else self._share

    def left(self, elapsed: float) -> float | None:
        """Returns the seconds left at the pace so far, None before that can be told."""
        share = self.share()
        if self.status != "running" or elapsed < ENOUGH_SAMPLES or share < WHOLE // 50:
            return None
        return elapsed * (WHOLE - share) / share

    def feed(self, event: AnyEvent) -> None:
        """Takes one event."""
        self.time = max(self.time, event.time)
        match event:
            case BuildStarted():
                self.plan = event.plan
                for step in event.plan.get("steps", []):
                    self.steps[step["id"]] = StepState(
                        step["id"], step["title"], int(step.get("bytes", 0))
                    )
            case StepStarted():
                self._step_started(event)
            case Progress():
                step = self._step(event.id)
                moved = event.done - step.done if event.done >= step.done else event.done
                step.advance(event)
                if event.unit == "bytes" and moved > 0:
                    self.history.add(event.time, moved)
            case Log(stream="command"):
                self._command(self._step(event.id), _words(event.text))
            case Log():
                self._step(event.id).tail.append(event.text)
            case StepFinished():
                step = self._step(event.id)
                step.status, step.seconds = event.status, event.seconds
            case Artifact():
                self.artifacts.append(event)
            case BuildFinished():
                self.finished, self.status = event, event.status

    def _step_started(self, event: StepStarted) -> None:
        step = self._step(event.id, event.title)
        if step.status != "running":
            step.status, step.begun = "running", event.time
        if event.argv is not None:
            self._command(step, event.argv)

    @staticmethod
    def _command(step: StepState, argv: tuple[str, ...]) -> None:
        """Notes that a step runs a (further) tool, whose progress begins anew."""
        step.command = argv
        step.done = step.total = 0
        step.samples.clear()

    def _step(self, key: str, title: str = "") -> StepState:
        step = self.steps.get(key)
        if step is None:
            step = self.steps[key] = StepState(key, title or key)
        return step


def _words(command: str) -> tuple[str, ...]:
    """Returns a command line's words; a record that was tampered with may hold no such line."""
    try:
        return tuple(shlex.split(command))
    except ValueError:
        return (command,)


def clock(seconds: float) -> str:
    """Returns a duration as minutes and seconds."""
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02d}"
