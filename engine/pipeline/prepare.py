"""From a spec to its plan in one call: resolve, scan, look at the machine, plan."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from engine.boot.install import install
from engine.manifest.scan import scan
from engine.nix.gather import gather, settled
from engine.plan.host import probe
from engine.plan.model import Plan
from engine.plan.plan import make_plan
from engine.problem import errors
from engine.spec.model import ImageSpec
from engine.spec.resolve import resolve


def prepare(
    spec: ImageSpec,
    *,
    base: Path,
    file: str | None = None,
    outdir: Path | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Plan:
    """Returns the plan of a spec; whatever is wrong with it stands in its problems.

    Args:
        base: Folder that relative sources start from.
        file: The spec's name, for problems.
        outdir: Where a build would write, so that its room and contents are looked at too.
        force: Outputs that exist may be replaced.
        progress: Called with entries and bytes found while sources are scanned.
        cancelled: Asked now and then whether to stop scanning.
    """
    settings, problems = resolve(spec, base, os.environ)
    brought = gather(settings, os.environ)
    settings = settled(settings, brought)
    contents = scan(settings, progress=progress, cancelled=cancelled, extra=brought.parts)
    # Without its system an image has nothing to boot, which is no second mistake.
    lacking = bool(errors(brought.problems))
    scanned = install(replace(settings, loader="none") if lacking else settings, contents.volumes)
    host = probe(settings, outdir, force=force)
    plan = make_plan(settings, scanned.volumes, host, (*problems, *brought.problems), scanned.boot)
    if file is None:
        return plan
    located = tuple(
        replace(problem, file=file) if problem.path and not problem.file else problem
        for problem in plan.problems
    )
    return replace(plan, problems=located)
