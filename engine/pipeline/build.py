"""A build: all steps of the plan, or nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from engine.events import (
    AnyEvent,
    Artifact,
    BuildFinished,
    BuildStarted,
    Emit,
    Log,
    StepFinished,
    StepStarted,
)
from engine.manifest.entry import Entry, SourceChanged
from engine.pipeline import failure
from engine.pipeline.ahead import Ahead
from engine.pipeline.following import Following
from engine.pipeline.locking import locked
from engine.pipeline.proof import Verdict
from engine.pipeline.record import Recorder
from engine.pipeline.remembering import leave, renew, seen_again
from engine.pipeline.reusing import Reuse, steps_of
from engine.pipeline.schedule import Earlier, StepsFailed, run_all
from engine.pipeline.sharing import Sharing
from engine.pipeline.staging import Staging
from engine.pipeline.steps import STEPS
from engine.pipeline.threads import in_thread
from engine.pipeline.versions import Versions, tools_of
from engine.pipeline.work import Work
from engine.pipeline.writeback import steady
from engine.plan.as_json import to_json
from engine.plan.model import Plan, StepPlan
from engine.plan.outdir import conflicts, look, obstacles, refusals
from engine.plan.outputs import RECORD
from engine.plan.preflight import peak_bytes, unique
from engine.plan.verity import with_root_hashes
from engine.problem import Problem, Refused, errors
from engine.provenance.inputs import Inputs
from engine.reuse.record import Seen, Unbelievable
from engine.tools import runner
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
    update: bool = False,
    asked: str = "",
    seen: Seen | None = None,
    before: Sequence[AnyEvent] = (),
    sharing: Sharing | None = None,
    versions: Versions | None = None,
) -> BuildResult:
    """Writes what the plan says into `outdir`, or nothing but a record of the attempt.

    Args:
        plan: From `engine.plan.plan.make_plan`, without errors.
        emit: Called with every event, on the event loop's thread; must not block.
        outdir: Made if it is not there.
        force: Replace outputs that exist, once the new ones are complete.
        update: Replace those of an earlier build, and take over from them what has not changed.
        asked: What the plan was made of (`engine.reuse.sources.asked`), for an update that finds
            nothing to do before it has a plan.
        seen: What was seen of the sources, where they were not scanned for the plan.
        before: What was said before there was a plan; it only goes into the record.
        sharing: What it takes from a store, and puts there.
        versions: Of tools, which the builds of one process need ask for once.

    Raises:
        Refused: The plan has errors, files exist that may not be replaced, the folder cannot be
            an output folder, or another build writes there. Nothing was written.
        asyncio.CancelledError: The task was cancelled; no process and no partial output is left.
    """
    with _prepared(plan, emit, outdir, force=force, update=update) as (recorder, staging):
        for event in before:
            recorder.record(event)
        reuse = Reuse(update=update, asked=asked, seen=seen)
        with contextlib.closing(reuse), contextlib.closing(sharing or Sharing()) as shared:
            if shared.shelf is None:
                reuse.plan = plan
            return await _build(plan, recorder, staging, shared, reuse, versions or Versions())


@contextlib.contextmanager
def _prepared(
    plan: Plan, emit: Emit, outdir: Path, *, force: bool, update: bool
) -> Iterator[tuple[Recorder, Staging]]:
    """Keeps the output folder to this build and leaves nothing there but outputs and record."""
    outdir = outdir.absolute()
    refuse(plan, outdir, force=force, update=update)
    with locked(outdir):
        # again: another build may just have ended there
        refuse(plan, outdir, force=force, update=update)
        staging = Staging(outdir, plan.output.stem, force=force, update=update)
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
        if staging.returned:
            with contextlib.suppress(OSError, Unbelievable):  # then the next one begins anew
                seen_again(staging.outdir, staging.returned)


def _unwritable(staging: Staging, error: OSError) -> Refused:
    message = f"the output folder {staging.outdir} cannot be written to: {error.strerror}"
    return Refused([Problem("output-folder", "error", "", message, "give another output folder")])


def refuse(plan: Plan, outdir: Path, *, force: bool, update: bool = False) -> None:
    """Raises what speaks against building this plan into that folder."""
    found = look(outdir, plan.writes)
    problems = [
        *errors(plan.problems),
        *refusals(outdir, os.environ),
        *obstacles(outdir, found, plan.writes),
    ]
    if not force:
        problems += conflicts(
            outdir, found, outputs=() if update else plan.outputs, writes=plan.writes
        )
    if problems:
        raise Refused(list(unique(problems)))


async def _build(
    plan: Plan, emit: Recorder, staging: Staging, sharing: Sharing, reuse: Reuse,
    versions: Versions,
) -> BuildResult:  # fmt: skip
    running = sharing.ordered(steps_of(plan, update=reuse.update))
    emit(BuildStarted(plan=to_json(replace(plan, steps=running))))
    following = Following(plan, running, staging.image, wanted=sharing.shelf is None)
    run = _Run(plan, running, emit, staging, sharing, reuse, versions, following)
    try:
        with contextlib.closing(following), steady(staging.folder):
            await run.all()
        if reuse.plan is not None:
            await _leave(plan, staging, emit, reuse, run.artifacts)
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

    def __init__(
        self, plan: Plan, running: Sequence[StepPlan], emit: Recorder, staging: Staging,
        sharing: Sharing, reuse: Reuse, versions: Versions, following: Following,
    ) -> None:  # fmt: skip
        self.artifacts: dict[str, Artifact] = {}
        self.inputs = Inputs()
        self._plan = plan
        self._running = running
        self._reuse = reuse
        self._emit = emit
        self._staging = staging
        self._sharing = sharing
        self._versions = versions
        self._following = following
        self._proofs: list[Verdict] = []
        self._loader_files: dict[str, list[Entry]] = {}
        self._root_hashes: dict[str, str] = {}
        asked = partial(versions.of, tools_of(plan), plan.identity.epoch, step="checksum")
        self._ahead = Ahead(reuse, self.inputs.data, asked)

    async def all(self) -> None:
        """Carries out all steps; raises as `run_all`."""
        if not self._reuse.update:  # which may find nothing to do
            self._ahead.begin()
        try:
            await run_all(self._running, self.step, hashed=bool(self._plan.hash_trees))
        finally:
            await self._ahead.end()

    async def step(self, position: int, earlier: Earlier) -> None:
        """Carries out a step of the plan, or one that an update adds."""
        first = self._running[position]
        step = next((one for one in self._plan.steps if one.id == first.id), first)
        if self._reuse.skips(step):
            self._emit(StepStarted(id=step.id, title=step.title))
            self._emit(StepFinished(id=step.id, status="skipped", seconds=0.0))
            return
        work = Work(
            plan=self._plan, step=step, staging=self._staging, emit=self._emit, earlier=earlier,
            artifacts=self.artifacts, proofs=self._proofs, inputs=self.inputs,
            loader_files=self._loader_files, root_hashes=self._root_hashes,
            reuse=self._reuse, repeats=self._sharing.repeats, versions=self._versions,
            following=self._following, ahead=self._ahead,
        )  # fmt: skip
        known = len(self._root_hashes)
        with _narrated(work, self._emit):
            await self._sharing.perform(work, STEPS[step.verb])
        self._following.over(first)
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


async def _leave(
    plan: Plan, staging: Staging, emit: Recorder, reuse: Reuse, artifacts: dict[str, Artifact]
) -> None:
    """Leaves the record for the next update; without one, that begins from nothing."""
    call = partial(leave, plan, staging.outdir, reuse, artifacts, staging.published)
    if reuse.nothing and reuse.record is not None:
        staging.keep_record()
        call = partial(renew, plan, staging.outdir, reuse)
        for artifact in reuse.record.artifacts(staging.outdir):
            artifacts[artifact.path] = artifact
            emit(artifact)
    left = asyncio.ensure_future(in_thread(lambda stopped: call()))
    await runner.finished(left)  # the outputs have their names: it is too late for a cancel
    try:
        left.result()
    except OSError as error:
        text = f"the next --update will build from nothing: {error}"
        emit(Log(id=plan.steps[-1].id, stream="note", text=text))


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
