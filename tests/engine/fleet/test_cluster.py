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
from engine.fleet.cluster import local_workers, running_cluster
from engine.fleet.events import FleetEvent, RowFinished, RowStarted, Said
from engine.fleet.ondask import OnDask
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


def children() -> list[int]:
    """Returns the processes of this one that build."""
    lines = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True).stdout
    words = [line.split() for line in lines.splitlines() if "engine.fleet.worker" in line]
    return [int(pid) for pid, parent, *_ in words if parent == str(os.getpid())]


def test_a_process_that_is_killed_within_a_task_costs_its_neighbours_nothing(yard: Yard) -> None:
    yard.rows(*map(str, range(1, 13)))
    ended: list[str] = []

    def strike(executor: OnDask, event: FleetEvent) -> None:
        match event:
            case RowStarted(image="node-2") if len(ended) == 1:
                (process,) = children()
                os.kill(process, signal.SIGKILL)
            case RowFinished():
                ended.append(event.image)

    result = asyncio.run(on_workers(yard, strike=strike, workers=1))

    assert states(result) == {f"node-{number}": "ok" for number in range(1, 13)}
    assert sorted(ended) == sorted(states(result))  # each once
    assert len(yard.images()) == 12
    assert list(yard.out.rglob("*part*")) == []
    none_left()


def test_a_row_that_fails_within_a_task_fails_alone(yard: Yard) -> None:
    yard.rows(*map(str, range(1, 13)))
    foreign = yard.out / "node-2/node-2.img"

    def strike(executor: OnDask, event: FleetEvent) -> None:
        match event:
            case RowStarted(image="node-1"):
                foreign.parent.mkdir()
                foreign.write_bytes(b"mine")

    result = asyncio.run(on_workers(yard, strike=strike, workers=1))

    bad = [row for row in result.rows if row.state != "ok"]
    assert [(row.image, row.state) for row in bad] == [("node-2", "refused")]
    assert "exists" in str(bad[0].message)
    assert foreign.read_bytes() == b"mine"


@contextmanager
def joined(address: str, folder: Path, *names: str) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Has workers join a cluster, each a process that can be killed; yields them by name."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    workers = {
        name: subprocess.Popen(
            [sys.executable, "-P", "-m", "dask", "worker", address, "--nthreads", "1", "--no-nanny",
             "--name", name, "--no-dashboard", "--local-directory", str(folder / "scratch"),
             "--resources", "disk=1e12", "--death-timeout", "60"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, cwd=folder,
        )
        for name in names
    }  # fmt: skip
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.terminate()
            worker.wait(timeout=30)


def test_a_worker_that_is_lost_within_a_task_has_its_rows_built_once(yard: Yard) -> None:
    """What it finished stays, and another worker goes on with the rest."""
    yard.rows(*map(str, range(1, 25)))
    done: dict[str, int] = {}
    started: list[str] = []
    killed: list[str] = []

    async def run() -> FleetResult:
        prepared = prepare(read_fleet(yard.fleet), yard.out)
        with (
            cluster(yard.folder) as (address, _),
            joined(address, yard.folder, "a", "b") as workers,
        ):

            def emit(event: FleetEvent) -> None:
                match event:
                    case RowStarted():
                        started.append(event.image)
                    case RowFinished():
                        image = yard.out / event.image / f"{event.image}.img"
                        done[event.image] = image.stat().st_ctime_ns
                        if not killed:
                            killed.append(event.worker)
                            workers[event.worker].kill()

            for _ in range(100):  # the workers may not be there yet
                try:
                    async with running_cluster(address) as executor:
                        if executor.workers == 2:
                            return await Run(prepared, executor, emit).run()
                except Refused:
                    pass
                await asyncio.sleep(0.2)
        raise AssertionError("no two workers came")

    result = asyncio.run(run())

    assert set(states(result).values()) == {"ok"}
    (lost,) = killed
    by_lost = [row.image for row in result.rows if row.worker == lost]
    assert by_lost
    assert {row.worker for row in result.rows} == {"a", "b"}
    # Begun again was at most what ran when the worker went, of at most three rows of its task.
    assert len(started) - len(result.rows) <= 1
    for name, stamp in done.items():
        assert (yard.out / name / f"{name}.img").stat().st_ctime_ns == stamp
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
    """Starts a scheduler, as somebody else would; yields its address and process."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    file = folder / "scheduler.json"
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL,
                             "env": environment, "cwd": folder}  # fmt: skip
    scheduler = subprocess.Popen(
        [sys.executable, "-P", "-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0",
         "--no-dashboard", "--scheduler-file", str(file)], **quiet,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        yield json.loads(file.read_text())["address"], scheduler
    finally:
        scheduler.terminate()
        scheduler.wait(timeout=30)


def test_a_scheduler_that_goes_costs_what_runs_and_the_rest_goes_on_later(yard: Yard) -> None:
    yard.rows("1", "2", "3")

    async def run() -> FleetResult:
        prepared = prepare(read_fleet(yard.fleet, [HOOK]), yard.out)
        reached: list[str] = []
        with cluster(yard.folder) as (address, scheduler), joined(address, yard.folder, "far"):

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


def test_a_cancel_within_a_task_keeps_what_is_done_and_resume_builds_the_rest(yard: Yard) -> None:
    names = [f"node-{number}" for number in range(1, 25)]
    yard.rows(*map(str, range(1, 25)))
    command = [sys.executable, "-P", "-m", "engine.cli", "fleet", str(yard.fleet),
               "-o", str(yard.out), "--workers", "2"]  # fmt: skip
    process = subprocess.Popen(
        [*command, "--events", "-"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith('{"event":"row-finished"'):
            process.send_signal(signal.SIGINT)
            break
    process.stdout.read()
    process.stdout.close()

    assert process.wait(timeout=60) == 130
    none_left()
    assert list(yard.out.rglob("*part*")) == []
    rows = json.loads((yard.out / "fleet.json").read_text())["rows"]
    done = [row["image"] for row in rows if row["state"] == "ok"]
    assert done
    assert {row["state"] for row in rows} == {"ok", "cancelled"}
    assert sorted(yard.images()) == sorted(done)
    before = {name: (yard.out / name / f"{name}.img").stat().st_ctime_ns for name in done}
    assert subprocess.run([*command, "--resume", "--quiet"]).returncode == 0
    assert sorted(yard.images()) == sorted(names)
    for name, stamp in before.items():
        assert (yard.out / name / f"{name}.img").stat().st_ctime_ns == stamp


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
