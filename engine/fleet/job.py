"""One row's build as a task: small data in, small data out; the image stays where it is made."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from engine import __version__
from engine.events import Artifact, Emit
from engine.fleet.events import DONE, State
from engine.fleet.identity import EPOCH
from engine.fleet.model import Row
from engine.fleet.plan import AT_ONCE, BEGUN
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
from engine.spec.model import ImageSpec
from engine.tools.failure import out_of_space


@dataclass(frozen=True, slots=True)
class StoreUse:
    """The store of a fleet.

    Attributes:
        folder: The store; None for none.
        stays: It is kept for later fleets.
        limit: Bytes that it may take, or None.
    """

    folder: Path | None = None
    stays: bool = False
    limit: int | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker needs to build one image; a few kilobytes.

    Attributes:
        where, file: Of the row and its spec, for messages.
        base: Folder that relative sources start from; the worker sees the same files there.
        outdir: Folder of the image.
        force: Outputs that exist may be replaced.
        epoch: The environment's SOURCE_DATE_EPOCH, or None.
        program: Version that planned the fleet; a worker of another one refuses.
        store: Folder of the store that builds share, or "" for none.
        stays: The store is kept for later builds.
        limit: Bytes that it may take, or None.
        shared: Volumes that other images have, too: by id a name for what makes them the same.
        later: Those of them that another row is to make.
        room: Bytes that it takes of the output folder at the most.
    """

    name: str
    where: str
    file: str
    spec: ImageSpec
    base: str
    outdir: str
    force: bool = False
    epoch: str | None = None
    program: str = __version__
    store: str = ""
    stays: bool = False
    limit: int | None = None
    shared: dict[str, str] = {}
    later: tuple[str, ...] = ()
    room: int = 0

    @classmethod
    def of(
        cls,
        row: Row,
        outdir: Path,
        *,
        force: bool,
        use: StoreUse,
        shared: Mapping[str, str],
        later: Iterable[str] = (),
        room: int,
    ) -> Job:
        """Returns the task of a row."""
        return cls(
            name=row.name, where=row.where, file=row.file, spec=row.spec,
            base=str(row.base.absolute()), outdir=str(outdir.absolute()), force=force,
            epoch=os.environ.get(EPOCH), store=str(use.folder.absolute()) if use.folder else "",
            stays=use.stays, limit=use.limit, shared=dict(shared), later=tuple(later), room=room,
        )  # fmt: skip

    @property
    def row(self) -> Row:
        """The row, as planning takes it."""
        return Row(0, self.name, self.where, self.spec, Path(self.base), self.file)


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """One finished output."""

    path: str
    bytes: int
    sha256: str | None = None
    fsverity: str | None = None

    def line(self, folder: Path) -> str:
        """Returns the output as the list of its digests has it, with the folder in front."""
        path = os.fsencode(folder / self.path).decode("utf-8", "replace")
        return Artifact(
            path=path, bytes=self.bytes, sha256=self.sha256, fsverity=self.fsverity
        ).line


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How the build of an image ended.

    Attributes:
        outputs: The image first; none unless `state` is "ok".
        files: Names of all files that the build left in the image's folder.
        reused: Bytes taken over from what there was.
        elsewhere: Another worker may do better: this one's disk is full, or it is gone.
    """

    name: str
    state: State
    seconds: float = 0.0
    worker: str = ""
    outputs: tuple[Made, ...] = ()
    files: tuple[str, ...] = ()
    reused: int = 0
    step: str | None = None
    message: str | None = None
    hint: str | None = None
    elsewhere: bool = False

    @property
    def digest(self) -> str:
        """Of the image, with its kind; "" where none was made."""
        if not self.outputs:
            return ""
        image = self.outputs[0]
        if image.sha256 is not None:
            return f"sha256:{image.sha256}"
        return f"fsverity:sha256:{image.fsverity}" if image.fsverity is not None else ""


class Executor(Protocol):
    """What carries jobs out.

    Attributes:
        workers: How many there are at the beginning.
        slots: How many jobs may be handed over at a time; None for as many as there are.
    """

    workers: int
    slots: int | None

    async def build(self, job: Job, say: Emit, begun: Callable[[str], None]) -> Outcome:
        """Builds one image.

        Args:
            job: The task.
            say: Takes the build's events, on the event loop's thread.
            begun: Called with the worker's name once one begins.

        Raises:
            asyncio.CancelledError: The task was cancelled; nothing of it goes on or is left.
        """
        ...


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
        """See `Executor.build`."""
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
                raise Refused(problems)
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
