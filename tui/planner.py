"""What the wizard adds to the engine's planner: reading that leaves the keys alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.manifest.progress import IsCancelled, OnProgress
from engine.manifest.quiet import without_collection
from engine.plan.model import Plan
from engine.planning import Planner, Resolved, Sources

HEAVY_ENTRIES = 20_000
"""From so many entries on, a first planning leaves the user interface's thread."""
SWITCH_SECONDS = 0.0005
"""How long the scan keeps the interpreter while keys wait."""


def read(
    planner: Planner, resolved: Resolved, progress: OnProgress, cancelled: IsCancelled
) -> Sources:
    """Reads the sources on a thread, and makes a first plan so that the next ones are quick.

    Raises:
        engine.manifest.scan.ScanCancelled: It was asked to stop.
    """
    settings = resolved.settings
    with _giving_way(), without_collection():
        sources = planner.read(settings, progress=progress, cancelled=cancelled)
        # What is measured for one plan is known for all that follow.
        planner.plan(Resolved(settings, ()), sources, planner.base, force=True)
    return sources


def plan(planner: Planner, resolved: Resolved, sources: Sources, outdir: Path) -> Plan:
    """Makes the plan that is shown.

    What is overwritten is shown in Review and asked before the build, not refused here.
    """
    return planner.plan(resolved, sources, outdir, force=True)


def is_quick(resolved: Resolved, sources: Sources) -> bool:
    """Whether a plan answers within a frame and so may be made where the keys are read."""
    return sources.answer(resolved.settings) or sources.contents.entries < HEAVY_ENTRIES


@contextmanager
def _giving_way() -> Iterator[None]:
    """Has this thread hand the interpreter over at once when the user interface wants it."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
