"""A fleet being looked at: its rows, how each stands, and what can be done. Knows no screen."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from engine.events import AnyEvent, BuildFinished, Emit, Progress, StepFinished, StepStarted
from engine.fleet.events import (
    DONE,
    FleetEvent,
    FleetFinished,
    FleetStarted,
    RowFinished,
    RowStarted,
    Said,
    State,
)
from engine.fleet.planners import Planners
from engine.fleet.prepare import Prepared, prepare
from engine.fleet.read import read_fleet
from engine.problem import Problem, Refused
from engine.units import human
from tui.glyphs import Glyphs
from tui.text import counted, visible

KEPT = 5_000
"""Events of a row that are kept for its page; older ones of its log are dropped."""

_BAR = 10
_BATCH = 2_000
_WHOLE = 1_000
_WAITING = {"waiting", "running"}

Phase = Literal["planning", "planned", "refused", "running", "over"]


@dataclass(slots=True)
class RowState:
    """One row.

    Attributes:
        bytes: Of the disk, once it is planned.
        weights: Of its steps, by id, once it has begun.
        done: Steps that are over.
        share: How much of the running step is done, in thousandths.
        rate: Bytes a second of that step.
        events: For the page of the row.
    """

    name: str
    state: State = "waiting"
    bytes: int = 0
    worker: str = ""
    seconds: float = 0.0
    reused: int = 0
    step: str = ""
    title: str = ""
    message: str = ""
    hint: str = ""
    weights: dict[str, int] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    share: int = 0
    rate: int = 0
    began: float = 0.0
    step_began: float = 0.0
    events: deque[AnyEvent] = field(default_factory=lambda: deque(maxlen=KEPT))
    first: AnyEvent | None = None
    listeners: list[Emit] = field(default_factory=list)

    @property
    def progress(self) -> int:
        """How much of the whole row is done, in thousandths."""
        if self.state in DONE:
            return _WHOLE
        whole = sum(self.weights.values())
        if not whole:
            return 0
        over = sum(self.weights.get(step, 0) for step in self.done)
        running = self.weights.get(self.step, 0) * self.share // _WHOLE
        return min((over + running) * _WHOLE // whole, _WHOLE - 1)

    def hear(self, event: AnyEvent) -> None:
        """Takes an event of its build; times count from the row's beginning."""
        event = msgspec.structs.replace(event, time=max(event.time - self.began, 0.0))
        match event:
            case StepStarted():
                self.step, self.title, self.share, self.rate = event.id, event.title, 0, 0
                self.step_began = event.time
            case Progress(total=total) if total and event.id == self.step:
                self.share = event.done * _WHOLE // total
                took = event.time - self.step_began
                if event.unit == "bytes" and took > 0:
                    self.rate = int(event.done / took)
            case StepFinished():
                self.done.add(event.id)
                self.rate = 0
            case _:
                pass
        if self.first is None and hasattr(event, "plan"):
            self.first = event
            steps = event.plan.get("steps", ())
            self.weights = {step["id"]: max(step["bytes"], 1 << 20) for step in steps}
        else:
            self.events.append(event)
        for listener in self.listeners:
            listener(event)


class FleetSession:
    """A fleet: planned, then built, by a job of its own or as it was recorded.

    Attributes:
        path: The fleet's file, or its record.
        outdir: Where it is built; None for a record.
        phase: How it stands as a whole.
        rows: In the order of the file.
        problems: What keeps it from being built.
        workers: Processes of this machine that build, or 0 for this one alone.
    """

    def __init__(
        self, path: Path, outdir: Path | None, *, events: Iterable[FleetEvent] = (), pace: float = 1
    ) -> None:
        self.path, self.outdir = path, outdir
        self.phase: Phase = "planning"
        self.rows: dict[str, RowState] = {}
        self.problems: tuple[str, ...] = ()
        self.workers = 0
        self.summary = ""
        self.time = 0.0
        self.only_failures = False
        self._events = tuple(events)
        self._pace = pace
        self._planners = Planners()
        self._prepared: Prepared | None = None
        self._queue: deque[FleetEvent] = deque()
        self._retry: Callable[[str], bool] | None = None

    # ------------------------------------------------------------------ what happens

    async def plan(self) -> None:
        """Reads the fleet and plans its rows; writes nothing."""
        if self._events:
            return
        stopped = threading.Event()
        try:
            self._prepared = await asyncio.to_thread(self._planned, stopped.is_set)
        except Refused as refused:
            self._refused(refused.problems)
            return
        finally:
            # Where nobody waits any more, the thread is not to keep the wizard from ending.
            stopped.set()
        prepared = self._prepared
        self.rows = {
            row.name: RowState(row.name, "unchanged" if row.name in prepared.kept else "waiting")
            for row in prepared.fleet.rows
        }
        for row in prepared.plan.rows:
            self.rows[row.row.name].bytes = row.bytes
        for name, kept in prepared.kept.items():
            self.rows[name].bytes = kept.bytes
        for wrong in prepared.plan.wrong:
            if wrong.problem.severity == "error":
                for name in wrong.rows:
                    self.rows[name].state = "refused"
                    self.rows[name].message = wrong.problem.line()
        self.problems = tuple(one.line() for one in prepared.errors)
        self.phase = "refused" if self.problems else "planned"

    def _planned(self, cancelled: Callable[[], bool]) -> Prepared:
        assert self.outdir is not None
        fleet = read_fleet(self.path)
        return prepare(fleet, self.outdir, outlines=self._planners.outlines, cancelled=cancelled)

    def _refused(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problem.line() for problem in problems)
        self.phase = "refused"

    async def run(self) -> None:
        """Builds what has to be built, or plays the record."""
        self.phase = "running"
        if self._events:
            await self._replay()
            return
        # Here, because the pipeline takes a third of a second to import.
        from engine.fleet.builder import InProcess
        from engine.fleet.cluster import local_workers
        from engine.fleet.job import Executor
        from engine.fleet.run import Run

        prepared = self._prepared
        assert prepared is not None
        executor: Executor = InProcess(self._planners)
        try:
            async with AsyncExitStack() as stack:
                if self.workers:
                    self._planners.forget()
                    local = local_workers(self.workers, prepared.outdir)
                    executor = await stack.enter_async_context(local)
                run = Run(prepared, executor, self._queue.append)
                self._retry = run.retry
                await run.run()
        except Refused as refused:
            self._refused(refused.problems)
        except OSError as error:
            self.problems, self.phase = (str(error),), "refused"
        finally:
            self._retry = None

    async def _replay(self) -> None:
        before = 0.0
        for event in self._events:
            now = _time(event)
            if self._pace and now > before:
                await asyncio.sleep(min(now - before, 3.0) / self._pace)
            before = max(before, now)
            self._queue.append(event)

    def drain(self) -> bool:
        """Takes what has come since; whether there was anything."""
        count = min(len(self._queue), _BATCH)
        for _ in range(count):
            self._take(self._queue.popleft())
        return count > 0

    def _take(self, event: FleetEvent) -> None:
        self.time = max(self.time, _time(event))
        match event:
            case FleetStarted():
                for outline in event.rows:
                    row = self.rows.setdefault(outline.image, RowState(outline.image))
                    row.state, row.bytes = outline.state, outline.bytes or row.bytes
                self.phase = "running"
            case RowStarted(image=image):
                row = self.rows[image] = RowState(
                    image, "running", self.rows[image].bytes, event.worker, began=event.time
                )
            case Said(image=image):
                self.rows[image].hear(event.event)
            case RowFinished(image=image):
                row = self.rows[image]
                row.state, row.seconds, row.reused = event.state, event.seconds, event.reused
                row.message, row.hint = event.message or "", event.hint or ""
                row.bytes = row.bytes or event.bytes
                _end(row, event)
            case FleetFinished():
                self.phase = "over"

    # ------------------------------------------------------------------ how it stands

    @property
    def is_running(self) -> bool:
        """Whether rows are being built."""
        return self.phase == "running"

    @property
    def shown(self) -> list[int]:
        """Numbers of the rows that pass the filter."""
        return [
            number
            for number, row in enumerate(self.rows.values())
            if not self.only_failures or row.state not in DONE | _WAITING
        ]

    @property
    def line(self) -> str:
        """The whole in one line."""
        if self.phase == "planning":
            return "Reading and planning the rows..."
        counts = Counter(row.state for row in self.rows.values())
        states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        size = human(sum(row.bytes for row in self.rows.values()))
        if self.phase == "refused":
            return f"Nothing is built: {counted(len(self.problems), 'problem')}"
        by = f" by {self.workers} workers" if self.workers else ""
        if self.phase == "planned":
            images = counted(len(self.rows), "image")
            return f"{images}, {size} of disks; F5 builds them{by}: {states}"
        again = f"; F5 builds{by}" if by and self.phase == "over" else ""
        return f"{states} after {self.time:.0f} s{again}"

    @property
    def outcome(self) -> Literal["", "ok", "failed"]:
        """How it ended, once it has."""
        if self.phase != "over":
            return ""
        return "ok" if all(row.state in DONE for row in self.rows.values()) else "failed"

    def allows(self, action: str, row: RowState | None) -> bool:
        """Whether an action makes sense now, of the row under the cursor."""
        if action in {"build", "workers"}:
            return self.phase == "planned" or (self.phase == "over" and self.outdir is not None)
        if action == "cancel":
            return self.is_running
        if action == "retry":
            failed = row is not None and row.state not in DONE | _WAITING
            return failed and self.outdir is not None and self.phase in {"running", "over"}
        if action == "open":
            return row is not None and row.first is not None
        return True

    def change_workers(self) -> None:
        """Takes twice as many workers, from two to as many as there are processors, then none.

        Raises:
            Refused: What they need is not installed.
        """
        from engine.fleet.cluster import require
        from engine.tools.processors import processors

        require()
        most = max(processors(), 2)
        self.workers = 0 if self.workers == most else min(max(2 * self.workers, 2), most)

    def retry(self, name: str) -> bool:
        """Puts a row back in while the others run; whether it could be."""
        return self._retry is not None and self._retry(name)


class FleetRows:
    """The rows as a table shows them."""

    titles: tuple[str, ...] = ("Image", "State", "Done", "Rate", "Worker", "What")
    widths: tuple[int, ...] = (16, 9, _BAR, 11, 6, 30)

    def __init__(self, session: FleetSession, glyphs: Glyphs) -> None:
        self._session = session
        self._names = list(session.rows)
        self._glyphs = glyphs

    def __len__(self) -> int:
        return len(self._names)

    def cells(self, index: int) -> tuple[str, ...]:
        """Returns a row's texts."""
        row = self._session.rows[self._names[index]]
        filled = row.progress * _BAR // _WHOLE
        bar = self._glyphs.used * filled + self._glyphs.free * (_BAR - filled)
        rate = f"{human(row.rate)}/s" if row.rate and row.state == "running" else ""
        return visible(row.name), row.state, bar, rate, visible(row.worker), visible(_what(row))


def _what(row: RowState) -> str:
    if row.state == "running":
        return row.title
    if row.state == "ok":
        taken = f", {human(row.reused)} taken over" if row.reused else ""
        return f"{human(row.bytes)} in {row.seconds:.1f} s{taken}"
    if row.message:
        return row.message
    return human(row.bytes) if row.bytes else ""


def _time(event: FleetEvent) -> float:
    return event.event.time if isinstance(event, Said) else event.time


def _end(row: RowState, event: RowFinished) -> None:
    """Ends the page of a row whose build did not say itself that it is over."""
    last = row.events[-1] if row.events else None
    if row.first is not None and not isinstance(last, BuildFinished):
        status: Literal["failed", "cancelled"] = (
            "cancelled" if event.state == "cancelled" else "failed"
        )
        row.hear(
            BuildFinished(
                time=event.time, status=status, seconds=event.seconds, step=event.step,
                message=event.message, hint=event.hint,
            )
        )  # fmt: skip


class RowJob:
    """The build of one row as its page watches it: what was told so far, then what follows."""

    outdir: Path | None = None
    pace = 1.0

    def __init__(self, row: RowState) -> None:
        self.title = row.name
        self.refused: tuple[Problem, ...] = ()
        self._row = row

    async def run(self, emit: Emit) -> None:
        """Emits everything, until the build ends or nobody watches any more."""
        row = self._row
        over = asyncio.Event()

        def heard(event: AnyEvent) -> None:
            emit(event)
            if isinstance(event, BuildFinished):
                over.set()

        if row.first is not None:
            heard(row.first)
        for event in list(row.events):
            heard(event)
        row.listeners.append(heard)
        try:
            await over.wait()
        finally:
            row.listeners.remove(heard)
