"""Which rows of a fleet there is anything to do for, and the plan of those."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.fleet import record
from engine.fleet.events import DONE
from engine.fleet.identity import Identities
from engine.fleet.model import Fleet, Gathered, Wrong
from engine.fleet.plan import FleetPlan, Outlines, plan_fleet, total_space
from engine.fleet.record import RowRecord
from engine.manifest.progress import IsCancelled, ScanCancelled
from engine.plan.outdir import refusals
from engine.problem import Problem, Refused
from engine.units import sized

_BEGUN = frozenset({"running", "lost"})


@dataclass(frozen=True, slots=True)
class Prepared:
    """What there is to do.

    Attributes:
        fleet: What was asked for.
        outdir: Where it goes.
        plan: Of the rows that have to be built.
        kept: Rows of which nothing changed, or that `resume` leaves as they are.
        inputs: Digest of what each row comes from, by image; "" where only building tells.
        replaceable: Images whose outputs are there and may be replaced.
        files: What the fleet before left of the rows that have to be built, by image.
        gone: Images of the fleet before that it does not have any more.
    """

    fleet: Fleet
    outdir: Path
    plan: FleetPlan
    kept: Mapping[str, RowRecord]
    inputs: Mapping[str, str]
    replaceable: frozenset[str]
    files: Mapping[str, Mapping[str, str]]
    gone: tuple[str, ...] = ()

    @property
    def errors(self) -> tuple[Wrong, ...]:
        """What keeps the fleet from being built at all."""
        return self.plan.errors


def prepare(
    fleet: Fleet,
    outdir: Path,
    *,
    force: bool = False,
    resume: bool = False,
    outlines: Outlines | None = None,
    missing: Callable[[], None] = lambda: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: IsCancelled | None = None,
) -> Prepared:
    """Finds out which rows have to be built, and plans those; writes nothing.

    Args:
        fleet: From `read_fleet`.
        outdir: Where it goes.
        force: Files that exist may be replaced, whoever made them.
        resume: Rows that are done stay as they are, even where their sources have changed.
        outlines: What plans rows; this process without one.
        missing: Called for each row that has to be built, as soon as that is known.
        progress: Called with rows planned and in all.
        cancelled: Asked now and then whether to stop.

    Raises:
        Refused: The folder cannot be the output folder, or holds what is no fleet's.
        ScanCancelled: It was asked to stop.
    """
    problems = refusals(outdir, os.environ)
    if problems:
        raise Refused(problems)
    before = record.load(outdir, force=force)
    identities = Identities()
    inputs: dict[str, str] = {}
    kept: dict[str, RowRecord] = {}
    files: dict[str, Mapping[str, str]] = {}
    for row in fleet.rows:
        if cancelled is not None and cancelled():
            raise ScanCancelled
        known = before.get(row.name, RowRecord(image=row.name))
        there = record.intact(outdir / row.name, known)
        # Of a row whose build was ended from outside, some files may be new already.
        # One that had begun had nobody else's files in its way.
        if there or (known.files and known.state not in DONE) or known.state in _BEGUN:
            files[row.name] = known.files
        done = there and known.state in DONE
        if done and resume:
            inputs[row.name], kept[row.name] = known.inputs, known
            continue
        inputs[row.name] = identities.of(row)
        if done and inputs[row.name] and known.inputs == inputs[row.name]:
            kept[row.name] = known
        else:
            missing()
    replaceable = {row.name for row in fleet.rows} if force else set(files)
    plan = plan_fleet(
        fleet, outdir=outdir, replaceable=replaceable.__contains__,
        wanted=lambda name: name not in kept, outlines=outlines, progress=progress,
        cancelled=cancelled,
    )  # fmt: skip
    plan = _with_space(plan, outdir)
    names = {row.name for row in fleet.rows}
    gone = tuple(name for name in before if name not in names)
    return Prepared(fleet, outdir, plan, kept, inputs, frozenset(replaceable), files, gone)


def _with_space(plan: FleetPlan, outdir: Path) -> FleetPlan:
    """Adds the problem of an output folder that has no room for all rows."""
    there = next(path for path in (outdir.absolute(), *outdir.absolute().parents) if path.exists())
    status = os.statvfs(there)
    free, needed = status.f_bavail * status.f_frsize, total_space(plan.rows)
    if needed <= free or not plan.rows:
        return plan
    found = Gathered()
    for wrong in plan.wrong:
        found.note(wrong)
    found.add(
        Problem(
            "fleet-space",
            "error",
            "",
            f"{len(plan.rows)} images need about {sized(needed)} in {outdir}, "
            f"and {sized(free)} are free",
            "free some space, or give another output folder",
        )
    )
    return _with_problems(plan, found.all)


def _with_problems(plan: FleetPlan, wrong: tuple[Wrong, ...]) -> FleetPlan:
    """Returns the plan with other problems."""
    return FleetPlan(plan.path, plan.rows, wrong, plan.shares, plan.notes)
