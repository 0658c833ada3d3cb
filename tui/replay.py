"""A recorded build played again on the build screen, at its own pace or another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from engine.events import AnyEvent, Emit
from engine.problem import Problem

LONGEST_PAUSE = 3.0
"""Seconds that a silence in the record lasts at most."""


class ReplayJob:
    """Emits recorded events at the times they were recorded."""

    outdir: Path | None = None

    def __init__(self, events: Iterable[AnyEvent], *, pace: float = 1.0, title: str = "") -> None:
        """Prepares a replay.

        Args:
            events: What was recorded.
            pace: 2 plays twice as fast; 0 without any pause.
            title: What to call it before the first event is out.
        """
        self.events = tuple(events)
        self.pace = pace
        self.title = title
        self.refused: tuple[Problem, ...] = ()

    async def run(self, emit: Emit) -> None:
        """Plays to the end."""
        before = 0.0
        for event in self.events:
            pause = min(event.time - before, LONGEST_PAUSE)
            before = event.time
            if self.pace and pause > 0:
                await asyncio.sleep(pause / self.pace)
            emit(event)
