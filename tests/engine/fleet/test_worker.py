"""The process that builds for a worker of a cluster, and what a cluster is asked for."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Generator, Iterator, Sequence
from itertools import chain
from typing import Any, cast

import hypothesis
import msgspec
import pytest
from distributed import KilledWorker
from hypothesis import strategies as st

from engine.fleet import chunks
from engine.fleet.builder import Builder
from engine.fleet.job import Job, Outcome, StoreUse
from engine.fleet.ondask import OnDask
from engine.fleet.plan import plan_fleet
from engine.fleet.process import LocalProcesses
from engine.fleet.read import read_fleet
from engine.fleet.task import _thinned
from engine.manifest.folder import GRAIN_NS
from engine.spec.model import Hooks, Identity, ImageSpec
from tests.engine.fleet.conftest import Yard


def job(yard: Yard, name: str = "node-1", **more: object) -> Job:
    (row,) = [row for row in read_fleet(yard.fleet).rows if row.name == name]
    made = Job.of(row, yard.out / name, force=False, use=StoreUse(), shared={}, room=1)
    return msgspec.structs.replace(made, **more)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "engine.fleet.worker"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as popen:  # fmt: skip
        yield popen
        popen.kill()


def give(process: subprocess.Popen[bytes], job: Job) -> None:
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(job) + b"\n")
    process.stdin.flush()


def answers(process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


def outcome(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    found = next(one for one in answers(process) if one["event"] == "outcome")
    return cast("dict[str, Any]", found["outcome"])


def test_one_process_builds_several_and_ends_when_nobody_listens(
    yard: Yard, process: subprocess.Popen[bytes]
) -> None:
    yard.rows("1", "2", "3")
    assert len(msgspec.json.encode(job(yard))) < 4096
    give(process, job(yard))
    assert outcome(process)["state"] == "ok"
    give(process, job(yard, "node-2", program="0.0"))
    refused = outcome(process)
    assert (refused["state"], refused["elsewhere"]) == ("refused", True)
    give(process, job(yard, "node-2", base="/nowhere"))
    assert "does not see the folder /nowhere" in outcome(process)["message"]
    sleeping = msgspec.structs.replace(job(yard).spec, hooks=Hooks(after_build="sleep 30"))
    give(process, job(yard, "node-3", spec=sleeping))
    next(one for one in answers(process) if one.get("id") == "hook")
    assert process.stdin is not None
    process.stdin.close()  # as when the worker is killed

    assert process.wait(timeout=30) == 0
    assert sorted(yard.images()) == ["node-1"]
    assert list(yard.out.rglob("*part*")) == []


class _Future:
    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def __await__(self) -> Generator[None, None, list[bytes]]:
        yield
        return [msgspec.json.encode(self._outcome)]


class _Client:
    """A cluster that ends jobs as told."""

    def __init__(self, *outcomes: Outcome, workers: str = "ab") -> None:
        self.outcomes = list(outcomes)
        self.workers = workers
        self.asked: list[object] = []
        self.tasks: list[list[str]] = []

    def subscribe_topic(self, topic: str, handler: object) -> None:
        """Tells nothing."""

    async def run_on_scheduler(self, function: object) -> dict[str, str]:
        return {f"tcp://{name}": name for name in self.workers}

    def submit(self, *given: object, **more: object) -> Awaitable[list[bytes]]:
        self.asked.append(more["workers"])
        jobs = msgspec.json.decode(cast("bytes", given[1]), type=list[Job])
        self.tasks.append([job.name for job in jobs])
        return self.future(given[3], jobs)

    def future(self, key: object, jobs: Sequence[Job]) -> Awaitable[list[bytes]]:
        """Returns what becomes of a task."""
        return _Future(self.outcomes.pop(0))


def test_another_worker_tries_what_one_has_no_room_for(yard: Yard) -> None:
    yard.rows("1")
    full = Outcome(name="node-1", state="failed", worker="a", message="full", elsewhere=True)
    fine = Outcome(name="node-1", state="ok", worker="b")
    bad = Outcome(name="node-1", state="failed", worker="a", message="wrong")

    for given, state, asked in (
        ([full, fine], "ok", [None, ["tcp://b"]]),
        ([full, msgspec.structs.replace(full, worker="b")], "failed", [None, ["tcp://b"]]),
        ([bad], "failed", [None]),
    ):
        client = _Client(*given)
        executor = OnDask(cast("Any", client), {"tcp://a": 0, "tcp://b": 0})
        ended = asyncio.run(executor.build(job(yard), lambda event: None, lambda worker: None))
        assert (ended.state, client.asked) == (state, asked)


def test_a_lost_process_is_replaced_where_there_is_no_other_worker(yard: Yard) -> None:
    yard.rows("1")
    lost = Outcome(name="node-1", state="lost", worker="a", message="killed", elsewhere=True)
    full = Outcome(name="node-1", state="failed", worker="a", message="full", elsewhere=True)
    fine = Outcome(name="node-1", state="ok", worker="a")

    for given, workers, asked, ended in (
        ([lost, fine], "a", [None, None], ("ok", "killed on worker a; try 2 built it")),
        ([lost, fine], "ab", [None, ["tcp://b"]], ("ok", "killed on worker a; try 2 built it")),
        ([lost] * 3, "a", [None] * 3, ("lost", "killed on worker a; it was tried 3 times")),
        ([lost, full], "a", [None, None], ("failed", "full")),
        ([full], "a", [None], ("failed", "full")),
    ):
        client = _Client(*given, workers=workers)
        executor = OnDask(cast("Any", client), {"tcp://a": 0})
        outcome = asyncio.run(executor.build(job(yard), lambda event: None, lambda worker: None))
        assert client.asked == asked
        assert (outcome.state, outcome.message) == ended


SMALL = [
    Job(name=str(number), where="", file="", spec=ImageSpec(), base="", outdir="", room=9 << 20)
    for number in range(400)
]


@hypothesis.given(st.integers(1, 400), st.integers(1, 40))
def test_tasks_shrink_so_that_all_workers_have_work_until_the_end(rows: int, workers: int) -> None:
    waiting, counts = SMALL[:rows], []
    while waiting:
        counts.append(chunks.first(waiting, len(waiting), workers))
        # So many are left for each worker, or every row is a task of its own.
        assert counts[-1] == 1 or len(waiting) // counts[-1] >= 4 * workers
        waiting = waiting[counts[-1] :]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == rows


def test_a_task_has_several_rows_only_where_they_are_small() -> None:
    large = [msgspec.structs.replace(job, room=8 << 30) for job in SMALL]
    hook = [
        msgspec.structs.replace(job, spec=ImageSpec(hooks=Hooks(after_build="sleep 9")))
        for job in SMALL
    ]

    assert chunks.first(SMALL, 400, 2) > 5
    assert chunks.first(large, 400, 2) == chunks.first(hook, 400, 2) == 1


async def all_of(executor: OnDask, jobs: Sequence[Job]) -> list[Outcome]:
    async with asyncio.TaskGroup() as group:
        builds = [
            group.create_task(executor.build(job, lambda event: None, lambda worker: None))
            for job in jobs
        ]
    return [build.result() for build in builds]


async def test_rows_go_to_the_worker_that_planned_them_while_it_has_any() -> None:
    class Answering(_Client):
        async def future(self, key: object, jobs: Sequence[Job]) -> list[bytes]:
            await asyncio.sleep(0 if self.asked[-1] == ["tcp://a"] else 0.001)
            return [msgspec.json.encode(Outcome(name=job.name, state="ok")) for job in jobs]

    planned = {job.name: "tcp://a" if int(job.name) < 10 else "tcp://b" for job in SMALL[:30]}
    client = Answering()
    executor = OnDask(cast("Any", client), {"tcp://a": 0, "tcp://b": 0}, planned)
    outcomes = await all_of(executor, SMALL[:30])

    assert [outcome.name for outcome in outcomes] == [job.name for job in SMALL[:30]]
    assert sorted(chain(*client.tasks), key=int) == [job.name for job in SMALL[:30]]
    given = list(zip(client.asked, client.tasks, strict=True))
    assert all(workers == ["tcp://a"] for workers, rows in given if int(rows[0]) < 10)
    # Who has built all that it has planned helps the other one.
    assert any(workers == ["tcp://a"] for workers, rows in given if int(rows[0]) >= 10)
    assert max(map(len, client.tasks)) > 1
    assert client.asked[:4] == [["tcp://a"], ["tcp://b"]] * 2  # nobody waits for the first


async def test_a_row_that_takes_workers_with_it_does_not_take_its_neighbours() -> None:
    class Killing(_Client):
        executor: OnDask

        async def future(self, key: object, jobs: Sequence[Job]) -> list[bytes]:
            ended = []
            for job in jobs:
                message = {"chunk": key, "image": job.name, "by": "a", "lines": [], "outcome": ""}
                self.executor._heard((0.0, message | {"kind": "begun"}))
                if job.name == "1":
                    raise KilledWorker(f"{key}", cast("Any", None), 3)
                ended.append(msgspec.json.encode(Outcome(name=job.name, state="ok")))
                told = message | {"kind": "over", "outcome": ended[-1].decode()}
                self.executor._heard((0.0, told))
            return ended

    client = Killing()
    client.executor = OnDask(cast("Any", client), {"tcp://a": 0})
    outcomes = await all_of(client.executor, SMALL[:12])

    assert client.tasks[0] == ["0", "1", "2"]
    assert ["2"] in client.tasks
    states = {outcome.name: outcome.state for outcome in outcomes}
    assert [name for name, state in states.items() if state != "ok"] == ["1"]
    assert "4 workers were lost" in str(outcomes[1].message)


async def test_what_a_process_has_planned_it_does_not_plan_again(
    yard: Yard, planned: list[str]
) -> None:
    yard.rows("1", "2")
    await asyncio.sleep(2 * GRAIN_NS / 1e9)  # what has just changed is not believed to stay
    builder = Builder()
    image = await builder.plan(msgspec.structs.replace(job(yard), room=0))
    outcomes = [await builder.build(job(yard, f"node-{n}"), lambda event: None) for n in (1, 2)]

    assert planned == ["node-1", "node-2"]
    assert [outcome.state for outcome in outcomes] == ["ok", "ok"]
    assert image.bytes == (yard.out / "node-1/node-1.img").stat().st_size


async def test_a_worker_elsewhere_refuses_what_it_sees_otherwise_than_planned(yard: Yard) -> None:
    yard.rows("1", "2", "3")
    planned = {row.row.name: row.digest for row in plan_fleet(read_fleet(yard.fleet)).rows}
    assert all(planned.values())

    async def built(name: str, run: str) -> Outcome:
        task = job(yard, name, planned=planned[name], run=run)
        return await Builder().build(task, lambda event: None)

    # The same files elsewhere: other inodes, and times of their own change.
    shutil.copytree(yard.folder / "tree", yard.folder / "copy")
    shutil.rmtree(yard.folder / "tree")
    (yard.folder / "copy").rename(yard.folder / "tree")
    assert (await built("node-1", "a")).state == "ok"
    yard.write("tree/etc/new", "new\n")
    refused = await built("node-2", "a")
    assert (refused.state, refused.elsewhere) == ("refused", True)
    assert "not what was planned" in str(refused.message)
    # On the command's own machine it is planned again.
    assert (await built("node-2", "")).state == "ok"


def test_a_process_that_stays_believes_nothing_of_another_run(
    yard: Yard, process: subprocess.Popen[bytes]
) -> None:
    yard.rows("1", "2", "3")
    give(process, job(yard, run="one"))
    assert outcome(process)["state"] == "ok"
    yard.write("tree/etc/new", "new\n")
    for name, epoch in (("node-2", "1735689600"), ("node-3", "1")):
        spec = msgspec.structs.replace(job(yard, name).spec, identity=Identity())
        give(process, job(yard, name, run=name, epoch=epoch, spec=spec))
        assert outcome(process)["state"] == "ok"
        image = str(yard.out / name / f"{name}.img")
        listed = subprocess.run(["debugfs", "-R", "ls -l /etc", image], capture_output=True).stdout
        assert b"new" in listed
        assert (b"1-Jan-1970" in listed) == (epoch == "1")


def test_processes_plan_as_this_one_does_and_what_they_do_not_is_planned_here(yard: Yard) -> None:
    yard.rows(*"12345", more='[[row.contents]]\nsource = "own/*"\ntarget = "/x/"\n')
    fleet = read_fleet(yard.fleet)
    here = plan_fleet(fleet, outdir=yard.out)
    with LocalProcesses(1) as local:
        local.start()
        there = plan_fleet(fleet, outdir=yard.out, outlines=local.outlines)
        assert local.planned == {row.name: 0 for row in fleet.rows}
        local.start()
        assert len(local.processes) == 1
        local.processes[0].popen.kill()
        assert plan_fleet(fleet, outdir=yard.out, outlines=local.outlines) == here

    assert there == here
    assert here.errors  # nothing is there to match, and every row's own line says so


def test_what_no_worker_has_room_for_is_refused(yard: Yard) -> None:
    yard.rows("1")
    executor = OnDask(cast("Any", _Client()), {"tcp://a": 100.0})
    large = job(yard, room=101)
    ended = asyncio.run(executor.build(large, lambda event: None, lambda worker: None))

    assert ended.state == "refused"
    assert "101 bytes" in str(ended.message)


def test_progress_that_is_overtaken_is_not_sent() -> None:
    progress, step = b'{"event":"progress"}', b'{"event":"step-started"}'

    assert _thinned([progress, progress, step, progress]) == [progress, step, progress]
