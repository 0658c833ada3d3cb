"""Fleets on real workers of Dask, and what becomes of them when parts of the cluster die."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from engine.cli.main import main
from engine.events import StepStarted
from engine.fleet.cluster import OnDask, local_workers, running_cluster
from engine.fleet.events import FleetEvent, Said
from engine.fleet.prepare import prepare
from engine.fleet.read import read_fleet
from engine.fleet.run import FleetResult, Run
from engine.problem import Refused
from tests.engine.fleet.conftest import Yard

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of Dask's own sockets
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
ROOT = Path(__file__).parents[3]
HOOK = "hooks.after_build=sleep 2"


def states(result: FleetResult) -> dict[str, str]:
    return {row.image: row.state for row in result.rows}


def none_left() -> None:
    """Waits until no build's process is there any more."""
    deadline = time.monotonic() + 30
    ours: list[str] = []
    while time.monotonic() < deadline:
        lines = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True).stdout
        parents = ("1", str(os.getpid()))
        ours = [one for one in lines.splitlines() if "engine.fleet.worker" in one]
        ours = [one for one in ours if one.split()[0] in parents]
        if not ours:
            return
        time.sleep(0.2)
    raise AssertionError(ours)


async def on_workers(
    yard: Yard,
    *overrides: str,
    strike: Callable[[OnDask, FleetEvent], None] | None = None,
    workers: int = 2,
) -> FleetResult:
    prepared = prepare(read_fleet(yard.fleet, overrides), yard.out)
    async with local_workers(workers, yard.out) as executor:

        def emit(event: FleetEvent) -> None:
            if strike is not None:
                strike(executor, event)

        return await Run(prepared, executor, emit).run()


def test_two_workers_build_what_one_process_builds(yard: Yard) -> None:
    yard.rows("1", "2", "3", "4")
    result = asyncio.run(on_workers(yard))
    images = yard.images()
    alone = yard.folder / "alone"
    assert main(["fleet", str(yard.fleet), "-o", str(alone), "--quiet"]) == 0

    assert states(result) == dict.fromkeys(images, "ok")
    assert {row.worker for row in result.rows} == {"0", "1"}
    for name, image in images.items():
        assert (alone / name / f"{name}.img").read_bytes() == image
    assert set(states(asyncio.run(on_workers(yard))).values()) == {"unchanged"}
    none_left()


def listening() -> list[str]:
    """Returns the addresses at which this process waits for others."""
    inodes = set()
    for handle in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the folder itself is gone
            inodes.add(str(handle.readlink()))
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/self/net", table).read_text().splitlines()[1:]:
            # proc(5): slot, local and remote address, state (0A: LISTEN), ..., inode
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in inodes:
                found.append(words[1])
    return found


def test_workers_of_this_machine_have_no_port_and_do_not_get_into_each_others_way(
    yard: Yard,
) -> None:
    before = listening()

    async def both() -> list[str]:
        async with local_workers(2, yard.out) as one, local_workers(1, yard.out) as two:
            assert (one.workers, two.workers) == (2, 1)
            return listening()

    assert asyncio.run(both()) == before
    none_left()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_is_killed_costs_its_row_a_second_try(yard: Yard, workers: int) -> None:
    yard.rows("1", "2", "3")
    killed: list[int] = []

    def strike(executor: OnDask, event: FleetEvent) -> None:
        match event:
            case Said(image="node-2", event=StepStarted(id="hook")) if not killed:
                killed.append(builder(yard.out / "node-2"))
                os.kill(killed[0], signal.SIGKILL)

    result = asyncio.run(on_workers(yard, HOOK, strike=strike, workers=workers))

    assert len(killed) == 1
    assert set(states(result).values()) == {"ok"}
    said = {row.image: row.message for row in result.rows if row.message}
    assert said.keys() == {"node-2"}
    assert said["node-2"].startswith("the process that built it was killed (SIGKILL) on worker ")
    assert sorted(yard.images()) == ["node-1", "node-2", "node-3"]
    assert list(yard.out.rglob("*part*")) == []
    none_left()


def test_workers_that_start_while_rows_are_planned_end_with_what_is_wrong(
    yard: Yard, capsys: pytest.CaptureFixture[str]
) -> None:
    yard.rows("1", "2", more='[[row.contents]]\nsource = "missing"\ntarget = "/x"\n')
    words = ["fleet", str(yard.fleet), "-o", str(yard.out), "--workers", "2"]

    assert main(words) == 2
    assert "does not exist" in capsys.readouterr().err
    none_left()
    assert not yard.out.exists()


def builder(folder: Path) -> int:
    """Returns the process that builds an image, of which a tool works in a folder."""
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone since
            if (path / "cwd").readlink().is_relative_to(folder):
                above = path
                while b"engine.fleet.worker" not in (above / "cmdline").read_bytes():
                    # proc_pid_stat(5): the name in brackets, then state and parent.
                    parent = (above / "stat").read_bytes().rpartition(b")")[2].split()[1]
                    above = Path("/proc", parent.decode())
                return int(above.name)
    raise AssertionError(folder)


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Starts a scheduler and a worker, as somebody else would; yields address and scheduler."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    file = folder / "scheduler.json"
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL,
                             "env": environment, "cwd": folder}  # fmt: skip
    dask = [sys.executable, "-P", "-m", "dask"]
    scheduler = subprocess.Popen(
        [*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
         "--scheduler-file", str(file)], **quiet,
    )  # fmt: skip
    worker = subprocess.Popen(
        [*dask, "worker", "--scheduler-file", str(file), "--nthreads", "1", "--name", "far",
         "--resources", "disk=1e12", "--no-dashboard", "--local-directory", str(folder / "scratch"),
         "--death-timeout", "60"], **quiet,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        yield json.loads(file.read_text())["address"], scheduler
    finally:
        for process in (worker, scheduler):
            process.terminate()
            process.wait(timeout=30)


def test_a_scheduler_that_goes_costs_what_runs_and_the_rest_goes_on_later(yard: Yard) -> None:
    yard.rows("1", "2", "3")

    async def run() -> FleetResult:
        prepared = prepare(read_fleet(yard.fleet, [HOOK]), yard.out)
        reached: list[str] = []
        with cluster(yard.folder) as (address, scheduler):

            def emit(event: FleetEvent) -> None:
                match event:
                    case Said(event=StepStarted(id="hook")):
                        reached.append(event.image)
                        if len(reached) == 2:
                            scheduler.kill()

            for _ in range(100):  # its worker may not be there yet
                try:
                    async with running_cluster(address) as executor:
                        return await Run(prepared, executor, emit).run()
                except Refused:
                    await asyncio.sleep(0.2)
        raise AssertionError("no worker came")

    result = asyncio.run(run())
    by_state = sorted(states(result).values())
    assert by_state == ["lost", "lost", "ok"]
    assert all("scheduler" in str(row.message) for row in result.rows if row.state == "lost")
    none_left()
    assert list(yard.out.rglob("*part*")) == []
    words = ["fleet", str(yard.fleet), "-o", str(yard.out), "--resume", "--quiet", "--set", HOOK]
    assert main(words) == 0
    assert sorted(yard.images()) == ["node-1", "node-2", "node-3"]


def test_an_address_where_nobody_answers_is_refused(yard: Yard) -> None:
    yard.rows("1")
    refused = subprocess.run(
        [sys.executable, "-P", "-m", "engine.cli", "fleet", str(yard.fleet), "-o", str(yard.out),
         "--scheduler", "tcp://127.0.0.1:9"],
        capture_output=True, text=True,
        env=os.environ | {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"},
    )  # fmt: skip

    assert refused.returncode == 2
    assert "no scheduler of Dask answers at tcp://127.0.0.1:9" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not yard.out.exists()


def test_a_cancel_ends_all_workers(yard: Yard) -> None:
    yard.rows("1", "2", "3")
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "engine.cli", "fleet", str(yard.fleet), "-o", str(yard.out),
         "--workers", "2", "--events", "-", "--set", "hooks.after_build=sleep 30"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if '"id":"hook"' in line:
            process.send_signal(signal.SIGINT)
            break
    process.stdout.read()
    assert process.stderr is not None
    told = process.stderr.read()

    assert process.wait(timeout=60) == 130
    assert "Traceback" not in told
    none_left()
    assert yard.images() == {}
    assert list(yard.out.rglob("*part*")) == []
    process.stdout.close()
    process.stderr.close()
