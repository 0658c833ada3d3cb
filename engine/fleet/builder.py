"""Builds the images of rows in this process, a few at a time."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path

from engine import __version__
from engine.events import Emit
from engine.fleet.events import DONE, State
from engine.fleet.job import Job, Made, Outcome
from engine.fleet.plan import AT_ONCE, BEGUN, Ask, ImageOutline
from engine.fleet.planners import Planners
from engine.manifest.scan import ScanCancelled
from engine.pipeline import realise
from engine.pipeline.build import BuildResult, build
from engine.pipeline.sharing import Sharing, Shelf
from engine.pipeline.store import Store
from engine.pipeline.threads import in_thread
from engine.pipeline.versions import Versions
from engine.plan.model import Plan
from engine.problem import Refused, errors
from engine.tools.failure import out_of_space


class _Turn:
    """The right of one build to be carried out; it is given back while it waits for another."""

    def __init__(self, turns: asyncio.Semaphore) -> None:
        self._turns = turns
        self._held = False

    async def take(self) -> None:
        await self._turns.acquire()
        self._held = True

    def give(self) -> None:
        if self._held:
            self._held = False
            self._turns.release()

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[None]:
        self.give()
        yield
        await self.take()  # not after a cancel, which needs none


class InProcess:
    """Builds in this process, a few images at a time.

    A build uses all processors where it is large. Where it is small, or takes most of its bytes
    from another, it waits for programs and the disk in between, and the next one goes on then. So
    it does while one waits for what another one makes.
    """

    workers = 1
    slots: int | None = BEGUN

    def __init__(self, planners: Planners | None = None) -> None:
        """Prepares it.

        Args:
            planners: What has read sources already, which are then not read again.
        """
        self._builder = Builder(planners)
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def build(self, job: Job, say: Emit, begun: Callable[[str], None]) -> Outcome:
        """See `engine.fleet.job.Executor.build`."""
        turn = _Turn(self._turns)
        await turn.take()
        try:
            begun("")
            return await self._builder.build(job, say, turn.aside)
        finally:
            turn.give()


class Builder:
    """Builds images, and keeps what they have in common.

    Args:
        planners: What has read sources already.
    """

    def __init__(self, planners: Planners | None = None) -> None:
        self._planners = planners or Planners()
        self._versions = Versions()
        self._shelves: dict[str, Shelf] = {}

    async def plan(self, job: Job) -> ImageOutline:
        """Plans an image, which is kept for when it is built.

        Raises:
            asyncio.CancelledError: The task was cancelled.
        """
        ask = Ask(job.row, Path(job.outdir), job.force)
        return await in_thread(
            lambda stop: next(image for _, image in self._planners.outlines([ask], stop))
        )

    async def build(
        self,
        job: Job,
        say: Emit,
        aside: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    ) -> Outcome:
        """Builds one image in this process, and answers for whatever goes wrong.

        Args:
            job: The task.
            say: Takes the build's events.
            aside: Left while it waits for another build.

        Raises:
            asyncio.CancelledError: The task was cancelled; nothing is left.
        """
        outcome = _unfit(job) or await self._run(job, say, aside)
        if outcome.state not in DONE:
            # Perhaps a source changed after it was read: the next rows look for themselves.
            self._planners = Planners()
        return outcome

    async def _run(
        self, job: Job, say: Emit, aside: Callable[[], AbstractAsyncContextManager[None]]
    ) -> Outcome:
        begun = time.monotonic()
        try:
            plan = await _planned(job, self._planners)
            if realise.wanted(plan):
                if not await realise.realise(plan, say):
                    return _ended(
                        job, begun, "failed", "nix could not build the system", realise.STEP
                    )
                plan = await _planned(job, Planners())
            problems = errors(plan.problems)
            if problems:
                raise Refused(job.row.locate(problems))
            if job.run and job.planned and self._planners.digest(plan) != job.planned:
                return _otherwise(job)
            sharing = Sharing(self._shelf(job), job.shared, job.later, aside)
            result = await build(
                plan, say, outdir=Path(job.outdir), force=job.force, sharing=sharing,
                update=job.force and not job.store, versions=self._versions,
            )  # fmt: skip
        except Refused as refused:
            more = len(refused.problems) - 1
            text = refused.problems[0].line() + (f" (and {more} more problems)" if more else "")
            return _ended(job, begun, "refused", text)
        except Exception as fault:  # one row's fault is not the fleet's end
            message = f"a fault of Diskwright: {type(fault).__name__}: {fault}"
            return _ended(job, begun, "failed", message)
        return _outcome(job, plan, result, time.monotonic() - begun)

    def _shelf(self, job: Job) -> Shelf | None:
        if not job.store:
            return None
        if job.store not in self._shelves:
            store = Store(Path(job.store), job.limit, stays=job.stays)
            self._shelves[job.store] = Shelf(store, stays=job.stays)
        return self._shelves[job.store]


def _unfit(job: Job) -> Outcome | None:
    """Returns the refusal of a task that this machine cannot carry out."""
    if job.program != __version__:
        message = f"this worker has Diskwright {__version__}, and {job.program} planned the fleet"
        hint = "install the same version on every worker"
    elif not Path(job.base).is_dir():
        message = f"this worker does not see the folder {job.base}"
        hint = "sources and output folder lie on a file system that all workers have"
    else:
        return None
    return Outcome(name=job.name, state="refused", message=message, hint=hint, elsewhere=True)


def _otherwise(job: Job) -> Outcome:
    message = "what this worker sees of its sources is not what was planned"
    hint = "all workers need the same files at the same paths; the same command plans them anew"
    return Outcome(name=job.name, state="refused", message=message, hint=hint, elsewhere=True)


async def _planned(job: Job, planners: Planners) -> Plan:
    try:
        return await in_thread(
            lambda stop: planners.plan(job.row, Path(job.outdir), force=job.force, cancelled=stop)
        )
    except ScanCancelled as error:  # only ever asked for by a cancel
        raise Refused([]) from error


def _ended(job: Job, begun: float, state: State, message: str, step: str | None = None) -> Outcome:
    seconds = round(time.monotonic() - begun, 4)
    return Outcome(name=job.name, state=state, seconds=seconds, step=step, message=message)


def _outcome(job: Job, plan: Plan, result: BuildResult, seconds: float) -> Outcome:
    folder = Path(job.outdir)
    made = tuple(
        Made(
            path=os.path.relpath(each.path, folder), bytes=each.bytes, sha256=each.sha256,
            fsverity=each.fsverity,
        )
        for each in result.artifacts
    )  # fmt: skip
    first = {name: at for at, name in enumerate(plan.outputs)}
    return Outcome(
        name=job.name,
        state="ok" if result.status == "ok" else "failed",
        seconds=round(seconds, 4),
        outputs=tuple(sorted(made, key=lambda each: first.get(each.path, len(first)))),
        files=plan.writes if result.status == "ok" else (),
        reused=result.reused,
        step=result.step,
        message=result.message,
        hint=result.hint,
        elsewhere=out_of_space(result.message or ""),
    )
