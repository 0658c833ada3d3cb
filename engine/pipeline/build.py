"""A build: all steps of the plan, or nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.events import (
    AnyEvent,
    Artifact,
    BuildFinished,
    BuildStarted,
    Emit,
    StepFinished,
    StepStarted,
)
from engine.manifest.entry import Entry, SourceChanged
from engine.pipeline import failure
from engine.pipeline.proof import Verdict
from engine.pipeline.record import Recorder
from engine.pipeline.schedule import Earlier, StepsFailed, run_all
from engine.pipeline.sharing import Sharing
from engine.pipeline.staging import Staging, locked
from engine.pipeline.steps import STEPS
from engine.pipeline.work import Work
from engine.pipeline.writeback import steady
from engine.plan.model import Plan
from engine.plan.outdir import conflicts, look, obstacles, refusals
from engine.plan.outputs import RECORD
from engine.plan.preflight import peak_bytes, unique
from engine.plan.render import to_json
from engine.plan.verity import with_root_hashes
from engine.problem import Problem, Refused, errors
from engine.provenance.inputs import Inputs
from engine.tools.failure import StepFailed, out_of_space


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """How a build ended.

    Attributes:
        artifacts: The finished outputs, none unless `status` is "ok".
        step: Id of the step that failed.
        message: What went wrong.
        hint: What to change.
        reused: Bytes that were taken over from a store.
    """

    status: Literal["ok", "failed"]
    seconds: float
    artifacts: tuple[Artifact, ...] = ()
    step: str | None = None
    message: str | None = None
    hint: str | None = None
    reused: int = 0


async def build(
    plan: Plan,
    emit: Emit,
    *,
    outdir: Path,
    force: bool = False,
    before: Sequence[AnyEvent] = (),
    sharing: Sharing | None = None,
) -> BuildResult:
    """Writes what the plan says into `outdir`, or nothing but a record of the attempt.

    Args:
        plan: From `engine.plan.plan.make_plan`, without errors.
        emit: Called with every event, on the event loop's thread; must not block.
        outdir: Made if it is not there.
        force: Replace outputs that exist, once the new ones are complete.
        before: What was said before there was a plan; it only goes into the record.
        sharing: What it takes from a store, and puts there.

    Raises:
        Refused: The plan has errors, files exist that may not be replaced, the folder cannot be
            an output folder, or another build writes there. Nothing was written.
        asyncio.CancelledError: The task was cancelled; no process and no partial output is left.
    """
    with _prepared(plan, emit, outdir, force=force) as (recorder, staging):
        for event in before:
            recorder.record(event)
        with contextlib.closing(sharing or Sharing()) as shared:
            return await _build(plan, recorder, staging, shared)


@contextlib.contextmanager
def _prepared(
    plan: Plan, emit: Emit, outdir: Path, *, force: bool
) -> Iterator[tuple[Recorder, Staging]]:
    """Keeps the output folder to this build and leaves nothing there but outputs and record."""
    outdir = outdir.absolute()
    refuse(plan, outdir, force=force)
    with locked(outdir):
        refuse(plan, outdir, force=force)  # again: another build may just have ended there
        staging = Staging(outdir, plan.output.stem, force=force)
        with _recorder(staging, emit) as recorder:
            try:
                yield recorder, staging
            finally:
                with contextlib.suppress(OSError):
                    staging.publish_record()


@contextlib.contextmanager
def _recorder(staging: Staging, emit: Emit) -> Iterator[Recorder]:
    """Makes the hidden folder and begins the record, the first thing that a build writes."""
    try:
        staging.begin()
    except OSError as error:
        raise _unwritable(staging, error) from error
    try:
        try:
            recorder = Recorder(staging.part(RECORD), emit)
        except OSError as error:
            raise _unwritable(staging, error) from error
        with recorder:
            yield recorder
    finally:
        staging.discard()


def _unwritable(staging: Staging, error: OSError) -> Refused:
    message = f"the output folder {staging.outdir} cannot be written to: {error.strerror}"
    return Refused([Problem("output-folder", "error", "", message, "give another output folder")])


def refuse(plan: Plan, outdir: Path, *, force: bool) -> None:
    """Raises what speaks against building this plan into that folder."""
    found = look(outdir, plan.writes)
    problems = [
        *errors(plan.problems),
        *refusals(outdir, os.environ),
        *obstacles(outdir, found, plan.writes),
    ]
    if not force:
        problems += conflicts(outdir, found, outputs=plan.outputs, writes=plan.writes)
    if problems:
        raise Refused(list(unique(problems)))


async def _build(plan: Plan, emit: Recorder, staging: Staging, sharing: Sharing) -> BuildResult:
    emit(BuildStarted(plan=to_json(plan)))
    run = _Run(plan, emit, staging, sharing)
    try:
        with steady(staging.folder):
            await run_all(plan.steps, run.step, hashed=bool(plan.hash_trees))
    except StepsFailed as ended:
        result = _failed(ended, emit, plan, staging)
    else:
        artifacts = tuple(run.artifacts.values())
        result = BuildResult(
            status="ok", seconds=emit.elapsed, artifacts=artifacts, reused=sharing.reused
        )  # fmt: skip
    emit(
        BuildFinished(
            status=result.status,
            seconds=result.seconds,
            step=result.step,
            message=result.message,
            hint=result.hint,
        )
    )
    return result


class _Run:
    """The steps of one build and what they hand on to each other."""

    def __init__(self, plan: Plan, emit: Recorder, staging: Staging, sharing: Sharing) -> None:
        self.artifacts: dict[str, Artifact] = {}
        self._plan = plan
        self._emit = emit
        self._staging = staging
        self._sharing = sharing
        self._proofs: list[Verdict] = []
        self._loader_files: list[Entry] = []
        self._root_hashes: dict[str, str] = {}
        self._inputs = Inputs()

    async def step(self, position: int, earlier: Earlier) -> None:
        """Carries out a step of the plan."""
        step = self._plan.steps[position]
        work = Work(
            plan=self._plan, step=step, staging=self._staging, emit=self._emit, earlier=earlier,
            artifacts=self.artifacts, proofs=self._proofs, inputs=self._inputs,
            loader_files=self._loader_files, root_hashes=self._root_hashes,
        )  # fmt: skip
        known = len(self._root_hashes)
        with _narrated(work, self._emit):
            await self._sharing.perform(work, STEPS[step.verb])
        if len(self._root_hashes) > known:
            self._plan = with_root_hashes(self._plan, self._root_hashes)


def _failed(ended: StepsFailed, emit: Recorder, plan: Plan, staging: Staging) -> BuildResult:
    """Returns how a build failed, or raises what is not a failure of a step, once it is told."""
    step, error = ended.step, ended.error
    if isinstance(error, StepFailed | SourceChanged | OSError):
        problem = _explain(error, plan, staging)
        return BuildResult(
            status="failed",
            seconds=emit.elapsed,
            step=step,
            message=problem.message,
            hint=problem.hint or None,
        )
    if isinstance(error, asyncio.CancelledError):
        emit(BuildFinished(status="cancelled", seconds=emit.elapsed, step=step))
    else:
        message = f"a fault of Diskwright: {type(error).__name__}: {error}"
        emit(BuildFinished(status="failed", seconds=emit.elapsed, step=step, message=message))
    raise error from None


@contextlib.contextmanager
def _narrated(work: Work, emit: Recorder) -> Iterator[None]:
    """Emits a step's beginning and end, however it ends."""
    begun = emit.elapsed
    status: Literal["ok", "failed", "cancelled"] = "failed"
    argv = work.step.argv[0] if work.step.argv else None
    emit(StepStarted(id=work.step.id, title=work.step.title, argv=argv))
    try:
        yield
        status = "ok"
    except asyncio.CancelledError:
        status = "cancelled"
        raise
    finally:
        seconds = round(emit.elapsed - begun, 4)
        emit(StepFinished(id=work.step.id, status=status, seconds=seconds))


def _explain(
    error: StepFailed | SourceChanged | OSError, plan: Plan, staging: Staging
) -> StepFailed:
    """Returns the failure as a person should read it: a full disk by its figures."""
    if isinstance(error, SourceChanged):
        return StepFailed(str(error), "leave the sources alone while a build reads them")
    room = failure.Room(staging.outdir, needed=peak_bytes(plan), written=staging.allocated())
    if isinstance(error, OSError):
        return failure.from_os_error(error, room)
    if out_of_space(error.message) or room.tight:
        return failure.full(room, error.message)
    return error
