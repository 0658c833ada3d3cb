"""From the engine's events to the screen: collected at any speed, handed over 20 times a second.

One message for each line of a tool's output would stall the keys for half a second at 20,000
lines a second; a batch costs next to nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from engine.events import AnyEvent, BuildFinished, Emit
from engine.plan.model import Plan
from engine.problem import Problem, Refused

DRAIN_SECONDS = 0.05
"""Between two batches."""
BATCH = 2_000
"""Events in one batch at most, so that a frame stays a frame."""


class EventQueue:
    """Holds events until the screen takes them."""

    def __init__(self) -> None:
        self._events: deque[AnyEvent] = deque()

    def put(self, event: AnyEvent) -> None:
        """Takes an event; never blocks."""
        self._events.append(event)

    def drain(self, most: int = BATCH) -> list[AnyEvent]:
        """Returns what has come since, oldest first, at most so much."""
        return [self._events.popleft() for _ in range(min(most, len(self._events)))]


class Job(Protocol):
    """What a build screen shows: a build, or the replay of one.

    Attributes:
        title: What it works on, before the first event tells.
        outdir: Where outputs go; None where nothing is written.
        pace: Seconds of event time that pass in a second.
        refused: What was wrong before the first step, if anything.
    """

    title: str
    outdir: Path | None
    pace: float
    refused: tuple[Problem, ...]

    async def run(self, emit: Emit) -> None:
        """Runs to the end and emits every event; the last is `BuildFinished`."""


class EngineJob:
    """A real build."""

    pace = 1.0

    def __init__(
        self,
        plan: Plan,
        outdir: Path,
        *,
        force: bool,
        update: bool = False,
        replan: Callable[[], Plan],
    ) -> None:
        """Prepares the build.

        Args:
            plan: What is built.
            outdir: Where the outputs go.
            force: Replace what is there.
            update: Take over from it what has not changed.
            replan: Plans the same spec again, once nix has built the system that it names.
        """
        self.plan = plan
        self._replan = replan
        self.title = plan.name
        self.outdir: Path | None = outdir
        self.force = force
        self.update = update
        self.refused: tuple[Problem, ...] = ()

    async def run(self, emit: Emit) -> None:
        """Builds; a refusal becomes a failure like any other."""
        # Here, because the pipeline takes a third of a second to import: first paint comes first.
        from engine.pipeline import realise
        from engine.pipeline.build import build

        assert self.outdir is not None
        before: list[AnyEvent] = []

        def tell(event: AnyEvent) -> None:
            before.append(event)
            emit(event)

        try:
            if realise.wanted(self.plan):
                if not await realise.realise(self.plan, tell):
                    return
                self.plan = await asyncio.to_thread(self._replan)
            await build(
                self.plan, emit, outdir=self.outdir, force=self.force, update=self.update,
                before=before,
            )  # fmt: skip
        except Refused as refused:
            self.refused = refused.problems
            first = refused.problems[0]
            emit(
                BuildFinished(
                    status="failed", seconds=0, message=first.message, hint=first.hint or None
                )
            )
