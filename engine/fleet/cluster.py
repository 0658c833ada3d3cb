"""Builds the rows of a fleet on the workers of a Dask cluster, one of its own or one that runs.

Dask (distributed.dask.org) schedules; what it hands to a worker is a `Job`, and what comes back is
an `Outcome`. Images are written where the workers see the output folder. How a cluster is reached
(TLS, time limits) is said by Dask's own configuration.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import msgspec

from engine import events
from engine.events import Emit
from engine.fleet.job import Job, Outcome
from engine.fleet.task import begin, carry_out, dismiss
from engine.problem import Problem, Refused
from engine.tools.extras import FLEET, extra_hint
from engine.units import counted, sized

if TYPE_CHECKING:
    from distributed import Client, Scheduler

DISK = "disk"
"""The resource of workers that says how many bytes they have for images."""

_AHEAD = 2
"""Jobs handed over for each worker of this machine: one that runs, one that waits to be next."""

_STOP_SECONDS = 12.0
_TRIES = 3


@contextlib.asynccontextmanager
async def local_workers(count: int, outdir: Path) -> AsyncIterator[OnDask]:
    """Starts workers on this machine, for as long as it lasts.

    They are threads of this process that hand jobs to processes of ours: one less for each.

    Args:
        count: How many.
        outdir: Where images go, whose free room the workers share.

    Raises:
        Refused: Dask is not installed.
    """
    distributed = _module()
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(dismiss)
        begin(count)
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="diskwright-"))
        stack.enter_context(_calmed())
        try:
            cluster = _local_cluster(distributed, count, Path(scratch), _free(outdir))
            await stack.enter_async_context(cluster)
            client = distributed.Client(cluster, asynchronous=True, set_as_default=False)
            await stack.enter_async_context(client)
        except (RuntimeError, OSError, TimeoutError) as error:
            message = f"{counted(count, 'worker')} could not be started: {_said(error)}"
            hint = "try once more, or leave out --workers to build in the command's own process"
            raise Refused([Problem("workers-not-started", "error", "", message, hint)]) from None
        yield await OnDask.on(client, slots=_AHEAD * count)


def _said(error: BaseException) -> str:
    """Returns what went wrong first: Dask wraps one error in another."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__


def _calmed() -> contextlib.AbstractContextManager[object]:
    """Has Dask's workers of this process not watch each other all the time."""
    import dask

    return dask.config.set(
        {
            "distributed.worker.profile.enabled": False,
            "distributed.scheduler.active-memory-manager.start": False,
            "distributed.admin.system-monitor.interval": "10s",
            "distributed.admin.tick.interval": "1s",
            "distributed.admin.tick.limit": "1h",
        }
    )


def _local_cluster(
    distributed: ModuleType, count: int, scratch: Path, room: int
) -> contextlib.AbstractAsyncContextManager[object]:
    """Returns a cluster within this process, which nobody can reach from outside."""
    dumb = {"start_http_server": lambda *given, **named: None}
    common = {"protocol": "inproc://", "dashboard": False}
    options = common | {
        "nthreads": 1, "memory_limit": None, "local_directory": str(scratch),
        "silence_logs": logging.CRITICAL, "resources": {DISK: room},
    }  # fmt: skip
    worker = {"cls": type("Worker", (distributed.Worker,), dumb), "options": options}
    cluster: contextlib.AbstractAsyncContextManager[object] = distributed.SpecCluster(
        scheduler={"cls": type("Scheduler", (distributed.Scheduler,), dumb), "options": common},
        workers=dict.fromkeys(range(count), worker),
        asynchronous=True,
        silence_logs=logging.CRITICAL,
    )
    return cluster


@contextlib.asynccontextmanager
async def running_cluster(address: str) -> AsyncIterator[OnDask]:
    """Joins a cluster that runs.

    Raises:
        Refused: Dask is not installed, or nobody answers at the address.
    """
    distributed = _module()
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = await distributed.Client(address, asynchronous=True, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        message = f"no scheduler of Dask answers at {address}: {error}"
        hint = "start one with `dask scheduler`; for tls:// addresses see Dask's configuration"
        raise Refused([Problem("no-scheduler", "error", "", message, hint)]) from None
    try:
        yield await OnDask.on(client)
    finally:
        with contextlib.suppress(OSError, TimeoutError):
            await client.close(timeout=5)


def _free(outdir: Path) -> int:
    there = next(path for path in (outdir.absolute(), *outdir.absolute().parents) if path.exists())
    status = os.statvfs(there)
    return status.f_bavail * status.f_frsize


def require() -> None:
    """Refuses where Dask is not installed.

    Raises:
        Refused: It is not; the problem says what to do.
    """
    if find_spec("distributed") is None:
        message = f"{FLEET.package} is not installed, which is needed to {FLEET.purpose}"
        problem = Problem("fleet-extra-missing", "error", "", message, extra_hint(FLEET))
        raise Refused([problem])


def _module() -> ModuleType:
    require()
    import distributed

    return distributed


class OnDask:
    """Has workers of Dask build. Dask itself decides which, and tries again what a worker lost.

    Attributes:
        workers: How many there are at the beginning.
        slots: How many jobs may be handed over at a time. A cluster that grows with its work is to
            see all of them.
    """

    def __init__(
        self, client: Client, rooms: Mapping[str, float], slots: int | None = None
    ) -> None:
        self.workers = len(rooms)
        self.slots = slots
        self._client = cast("Any", client)  # which is typed in part only
        self._count = 0
        self._rooms = dict(rooms)
        self._topic = f"diskwright-{uuid.uuid4().hex}"
        self._listeners: dict[str, Callable[[dict[str, Any]], None]] = {}
        self._client.subscribe_topic(self._topic, self._heard)

    @classmethod
    async def on(cls, client: Client, *, slots: int | None = None) -> OnDask:
        """Returns the executor on a client's cluster.

        Args:
            client: Of the cluster.
            slots: How many jobs may be handed over at a time; None for all.

        Raises:
            Refused: It has no workers.
        """
        asked: Any = client
        rooms = await asked.run_on_scheduler(_rooms)
        if not rooms:
            message = "the cluster of Dask has no workers"
            hint = "start some with `dask worker ADDRESS`"
            raise Refused([Problem("no-workers", "error", "", message, hint)])
        return cls(client, rooms, slots)

    async def build(self, job: Job, say: Emit, begun: Callable[[str], None]) -> Outcome:
        """See `engine.fleet.job.Executor.build`."""
        refused = self._too_large(job)
        if refused is not None:
            return refused
        outcome = await self._once(job, say, begun, None)
        failed: list[Outcome] = []
        while outcome.elsewhere and len(failed) < _TRIES - 1:
            failed.append(outcome)
            others = await self._others({one.worker for one in failed})
            # A full disk stays full, but a process that is gone is replaced on the same worker.
            if not others and outcome.state != "lost":
                break
            outcome = await self._once(job, say, begun, others or None)
        return _with_losses(outcome, failed)

    def _too_large(self, job: Job) -> Outcome | None:
        known = [room for room in self._rooms.values() if room > 0]
        if not known or job.room <= max(known):
            return None
        message = (
            f"it needs {sized(job.room)} of disk, and the worker with most offers "
            f"{sized(int(max(known)))}"
        )
        hint = 'start workers with more: `dask worker --resources "disk=BYTES"`'
        return Outcome(name=job.name, state="refused", message=message, hint=hint)

    async def _others(self, tried: set[str]) -> list[str]:
        """Returns the addresses of workers that have not tried it."""
        names: dict[str, str] = await self._client.run_on_scheduler(_names)
        return [address for address, name in names.items() if name not in tried]

    async def _once(
        self, job: Job, say: Emit, begun: Callable[[str], None], among: list[str] | None
    ) -> Outcome:
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        over = asyncio.Event()
        running = False

        def heard(message: dict[str, Any]) -> None:
            nonlocal running
            if message["kind"] == "begun":
                running = True
                begun(message["by"])
            for line in message["lines"]:
                say(events.decode(line))
            if message["kind"] == "over":
                over.set()

        self._listeners[job.name] = heard
        limited = any(self._rooms.values())
        self._count += 1  # the order of the file
        future = self._client.submit(
            carry_out, msgspec.json.encode(job), self._topic, key=f"{job.name}-{uuid.uuid4().hex}",
            resources={DISK: job.room} if limited else None, workers=among, pure=False,
            priority=-self._count,
        )  # fmt: skip
        try:
            return msgspec.json.decode(await future, type=Outcome)
        except KilledWorker as error:
            message = f"{error.allowed_failures + 1} workers were lost while they built it"
            return Outcome(name=job.name, state="lost", message=message)
        except FutureCancelledError:
            message = "the connection to the scheduler is lost"
            hint = "go on with --resume once it is back"
            return Outcome(name=job.name, state="lost", message=message, hint=hint)
        except asyncio.CancelledError:
            with contextlib.suppress(OSError, TimeoutError):
                await self._client.cancel([future], force=True)
                if running:
                    await asyncio.wait_for(over.wait(), _STOP_SECONDS)
            raise
        finally:
            self._listeners.pop(job.name, None)

    def _heard(self, event: tuple[float, dict[str, Any]]) -> None:
        listener = self._listeners.get(event[1]["image"])
        if listener is not None:
            listener(event[1])


def _with_losses(outcome: Outcome, failed: Sequence[Outcome]) -> Outcome:
    """Returns an outcome that says how often a row was tried that a process was lost with."""
    lost = [one for one in failed if one.state == "lost"]
    if not lost or outcome.state not in {"ok", "lost"}:
        return outcome
    tries = len(failed) + 1
    said = outcome if outcome.state == "lost" else lost[-1]
    message = f"{said.message} on worker {said.worker}; "
    message += f"try {tries} built it" if outcome.state == "ok" else f"it was tried {tries} times"
    return msgspec.structs.replace(outcome, message=message)


def _rooms(dask_scheduler: Scheduler) -> dict[str, float]:
    """Runs on the scheduler: bytes of disk that each worker offers, 0 where it does not say."""
    return {
        address: worker.resources.get("disk", 0)
        for address, worker in dask_scheduler.workers.items()
    }


def _names(dask_scheduler: Scheduler) -> dict[str, str]:
    """Runs on the scheduler: what each worker is called, by address."""
    return {address: str(worker.name) for address, worker in dask_scheduler.workers.items()}
