"""The Dask cluster that a fleet is built on: one within this process, or one that runs.

How the latter is reached (TLS, time limits) is said by Dask's own configuration.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.fleet.ondask import DISK, OnDask
from engine.fleet.process import LocalProcesses
from engine.fleet.task import dismiss, lend
from engine.problem import Problem, Refused
from engine.tools.extras import FLEET, extra_hint
from engine.units import counted


@contextlib.asynccontextmanager
async def local_workers(
    count: int, outdir: Path, local: LocalProcesses | None = None
) -> AsyncIterator[OnDask]:
    """Starts workers on this machine, for as long as it lasts.

    They are threads of this process that hand jobs to processes of ours: one less for each.

    Args:
        count: How many.
        outdir: Where images go, whose free room the workers share.
        local: Processes that run already, and may have planned rows.

    Raises:
        Refused: Dask is not installed.
    """
    require()
    async with contextlib.AsyncExitStack() as stack:
        if local is None:
            local = stack.enter_context(LocalProcesses(count))
            for _ in range(count):
                local.start()
        distributed = _module()
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="diskwright-"))
        stack.enter_context(_calmed())
        try:
            cluster: Any = _local_cluster(distributed, count, Path(scratch), _free(outdir))
            await stack.enter_async_context(cluster)
            client = distributed.Client(cluster, asynchronous=True, set_as_default=False)
            await stack.enter_async_context(client)
        except (RuntimeError, OSError, TimeoutError) as error:
            message = f"{counted(count, 'worker')} could not be started: {_said(error)}"
            hint = "try once more, or leave out --workers to build in the command's own process"
            raise Refused([Problem("workers-not-started", "error", "", message, hint)]) from None
        workers = list(cluster.workers.values())
        for worker, process in zip(workers, local.processes, strict=False):
            stack.callback(dismiss, worker)
            lend(worker, process)
        planned = {name: workers[number].address for name, number in local.planned.items()}
        yield await OnDask.on(client, planned=planned)


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


@contextlib.contextmanager
def imported_meanwhile() -> Iterator[None]:
    """Has Dask imported, a third of a second, while this process waits for others."""
    thread = threading.Thread(target=importlib.import_module, args=("distributed",))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _module() -> ModuleType:
    require()
    import distributed

    return distributed
