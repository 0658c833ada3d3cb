"""Has a design planned while keys are read: at once where that is quick, else on a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from textual.screen import Screen
from textual.worker import get_current_worker

from engine.manifest.scan import ScanCancelled
from engine.planning import Resolved, Sources
from tui import planner as planning
from tui.designing import DesignSession

SCAN_DELAY = 0.12
"""Seconds without an edit before the sources are walked again."""


class Replanner:
    """Plans a design; what a newer edit overtakes is dropped."""

    def __init__(
        self, screen: Screen[None], design: DesignSession, outdir: Callable[[], str],
        show: Callable[[], None],
    ) -> None:  # fmt: skip
        """Prepares it.

        Args:
            screen: Whose workers are used.
            design: What is planned; it takes what is found.
            outdir: Answers where a build would write.
            show: Called on the user interface's thread when the design has something to show.
        """
        self._screen, self._design = screen, design
        self._outdir, self._show = outdir, show

    def replan(self) -> None:
        """Plans the spec: at once with the entries known, and again once others are found."""
        design = self._design
        resolved, sources = design.resolve(), design.sources
        if sources is not None and sources.answer(resolved.settings):
            self._screen.workers.cancel_group(self._screen, "scan")
            self._plan(resolved, sources, scanning=False)
            return
        if sources is not None:
            self._plan(resolved, sources, scanning=True)
        else:
            design.waits(resolved)
            self._show()
        # Called when it starts: one that an edit overtakes before that is never made. mypy cannot
        # tell a function that returns a coroutine from one that returns anything.
        scan = cast("Any", partial(self._scan, resolved))
        self._screen.run_worker(scan, exclusive=True, group="scan")

    def _plan(self, resolved: Resolved, sources: Sources, *, scanning: bool) -> None:
        if planning.is_quick(resolved, sources):
            self._screen.workers.cancel_group(self._screen, "plan")
            plan = planning.plan(self._design.planner, resolved, sources, Path(self._outdir()))
            self._design.took(resolved, plan, scanning=scanning)
            self._show()
        else:
            aside = partial(self._plan_aside, resolved, sources, Path(self._outdir()), scanning)
            self._screen.run_worker(aside, thread=True, exclusive=True, group="plan")

    def _plan_aside(
        self, resolved: Resolved, sources: Sources, outdir: Path, scanning: bool
    ) -> None:
        worker = get_current_worker()
        plan = planning.plan(self._design.planner, resolved, sources, outdir)

        def take() -> None:
            self._design.took(resolved, plan, scanning=scanning)
            self._show()

        if not worker.is_cancelled:
            self._screen.app.call_from_thread(take)

    async def _scan(self, resolved: Resolved) -> None:
        if self._design.sources is not None:
            await asyncio.sleep(SCAN_DELAY)
        worker = get_current_worker()

        def count(entries: int, size: int) -> None:
            self._design.counted(entries, size)
            self._show()

        def progress(entries: int, size: int) -> None:
            self._screen.app.call_from_thread(count, entries, size)

        try:
            sources = await asyncio.to_thread(
                planning.read, self._design.planner, resolved, progress,
                lambda: worker.is_cancelled,
            )  # fmt: skip
        except ScanCancelled:
            return
        if worker.is_cancelled:
            return
        self._design.sources = sources
        self._plan(self._design.resolve(), sources, scanning=False)
