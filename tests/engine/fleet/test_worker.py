"""The process that builds for a worker of a cluster, and what a cluster is asked for."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Generator, Iterator
from typing import Any, cast

import msgspec
import pytest

from engine.fleet.cluster import OnDask
from engine.fleet.job import Job, Outcome, StoreUse
from engine.fleet.read import read_fleet
from engine.fleet.task import _thinned
from engine.spec.model import Hooks
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

    def __await__(self) -> Generator[None, None, bytes]:
        yield
        return msgspec.json.encode(self._outcome)


class _Client:
    """A cluster that ends jobs as told."""

    def __init__(self, *outcomes: Outcome, workers: str = "ab") -> None:
        self.outcomes = list(outcomes)
        self.workers = workers
        self.asked: list[object] = []

    def subscribe_topic(self, topic: str, handler: object) -> None:
        """Tells nothing."""

    async def run_on_scheduler(self, function: object) -> dict[str, str]:
        return {f"tcp://{name}": name for name in self.workers}

    def submit(self, *given: object, **more: object) -> _Future:
        self.asked.append(more["workers"])
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
