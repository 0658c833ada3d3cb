"""Builds the rows of a fleet on the workers of a Dask cluster.

Dask (distributed.dask.org) schedules. What it hands to a worker is a task, a list of `Job`; an
`Outcome` of each comes back, and what happens in between as Dask's events. Images are written where
the workers see the output folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, cast

import msgspec

from engine import events
from engine.events import Emit
from engine.fleet import chunks
from engine.fleet.events import DONE
from engine.fleet.job import Job, Outcome
from engine.fleet.task import carry_out
from engine.problem import Problem, Refused
from engine.units import sized

if TYPE_CHECKING:
    from distributed import Client, Scheduler

DISK = "disk"
"""The resource of workers that says how many bytes they have for images."""

_AHEAD = 2
"""Tasks handed over for each worker of this machine: one that runs, one that waits to be next."""

_STOP_SECONDS = 12.0
_TRIES = 3


@dataclass(slots=True, eq=False)
class _Asked:
    """A row that waits for its task, or is in one."""

    job: Job
    say: Emit
    begin: Callable[[str], None]
    ended: asyncio.Future[Outcome]
    chunk: _Chunk | None = None
    begun: bool = False
    outcome: Outcome | None = None

    def end(self, outcome: Outcome) -> None:
        """Says how it ended, if nobody has."""
        self.outcome = self.outcome or outcome
        if not self.ended.done():
            self.ended.set_result(outcome)


@dataclass(slots=True, eq=False)
class _Chunk:
    """A task, of one row or of several small ones."""

    key: str
    rows: dict[str, _Asked]
    future: Any
    begun: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)
    watch: asyncio.Task[None] | None = None
    stop: asyncio.Task[None] | None = None

    def hear(self, message: dict[str, Any]) -> None:
        """Takes what its worker tells."""
        self.begun = True
        if message["kind"] == "end":
            self.over.set()
            return
        row = self.rows[message["image"]]
        if row.outcome is not None:
            return
        if message["kind"] == "begun":
            row.begun = True
            row.begin(message["by"])
        for line in message["lines"]:
            row.say(events.decode(line))
        if message["kind"] == "over":
            row.end(msgspec.json.decode(message["outcome"], type=Outcome))


class OnDask:
    """Has workers of Dask build, small rows several in a task. Dask tries again what a worker lost.

    Which worker gets a task is Dask's to decide; but a row of this machine goes to the worker whose
    process has planned it, while that one has any.

    Attributes:
        workers: How many there are at the beginning.
        slots: As many as there are rows. A cluster that grows with its work is to see all of it.
    """

    slots: int | None = None

    def __init__(
        self, client: Client, rooms: Mapping[str, float], planned: Mapping[str, str] | None = None
    ) -> None:
        self.workers = len(rooms)
        self._client = cast("Any", client)  # which is typed in part only
        self._count = 0
        self._rooms = dict(rooms)
        self._planned = planned
        self._tasks = Counter[str]()
        self._waiting: list[_Asked] = []
        self._chunks: dict[str, _Chunk] = {}
        self._topic = f"diskwright-{uuid.uuid4().hex}"
        self._client.subscribe_topic(self._topic, self._heard)

    @classmethod
    async def on(cls, client: Client, *, planned: Mapping[str, str] | None = None) -> OnDask:
        """Returns the executor on a client's cluster.

        Args:
            client: Of the cluster.
            planned: Of workers of this machine, the address of the one whose process has planned a
                row, by name.

        Raises:
            Refused: It has no workers.
        """
        asked: Any = client
        rooms = await asked.run_on_scheduler(_rooms)
        if not rooms:
            message = "the cluster of Dask has no workers"
            hint = "start some with `dask worker ADDRESS`"
            raise Refused([Problem("no-workers", "error", "", message, hint)])
        return cls(client, rooms, planned)

    async def build(self, job: Job, say: Emit, begun: Callable[[str], None]) -> Outcome:
        """See `engine.fleet.job.Executor.build`."""
        refused = self._too_large(job)
        if refused is not None:
            return refused
        if self._planned is None:
            job = msgspec.structs.replace(job, run=self._topic)
        outcome = await self._once(job, say, begun, None)
        failed: list[Outcome] = []
        while outcome.elsewhere and len(failed) < _TRIES - 1:
            failed.append(outcome)
            others = await self._others({one.worker for one in failed})
            # A full disk stays full, but a process that is gone is replaced on the same worker.
            if not others and outcome.state != "lost":
                break
            outcome = await self._once(job, say, begun, others)
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
        """Has a row built, in a task of its own where it is known which workers may."""
        loop = asyncio.get_running_loop()
        row = _Asked(job, say, begun, loop.create_future())
        if among is not None:
            self._submit([row], among)
        else:
            if not self._waiting:
                loop.call_soon(self._hand_over)  # with all rows that are asked for now
            self._waiting.append(row)
        try:
            return await row.ended
        except asyncio.CancelledError:
            if row.chunk is not None:
                chunk = row.chunk
                chunk.stop = chunk.stop or asyncio.ensure_future(self._stop(chunk))
                await chunk.stop
            if row.outcome is not None and row.outcome.state in DONE:
                return row.outcome  # its outputs had their names: it was too late for a cancel
            raise

    def _hand_over(self) -> None:
        """Hands rows that wait to workers, the small ones several at a time."""
        self._waiting = [row for row in self._waiting if not row.ended.done()]
        if self._planned is None:
            while self._waiting:
                self._submit(self._next(self._waiting), [])
            return
        for ahead, address in product(range(_AHEAD), self._rooms):
            # The last rows go to who is free first.
            if len(self._waiting) > ahead * self.workers and self._tasks[address] <= ahead:
                own = [row for row in self._waiting if self._planned.get(row.job.name) == address]
                self._submit(self._next(own or self._waiting), [address])

    def _next(self, rows: Sequence[_Asked]) -> list[_Asked]:
        """Takes the rows of the next task from those that wait."""
        count = chunks.first([row.job for row in rows], len(self._waiting), self.workers)
        taken = dict.fromkeys(rows[:count])
        self._waiting = [row for row in self._waiting if row not in taken]
        return list(taken)

    def _submit(self, rows: Sequence[_Asked], among: list[str]) -> None:
        key = f"{rows[0].job.name}-{uuid.uuid4().hex}"
        room = max(row.job.room for row in rows)
        self._count += 1  # the order of the file
        future = self._client.submit(
            carry_out, msgspec.json.encode([row.job for row in rows]), self._topic, key, key=key,
            resources={DISK: room} if any(self._rooms.values()) else None, workers=among or None,
            pure=False, priority=-self._count,
        )  # fmt: skip
        chunk = self._chunks[key] = _Chunk(key, {row.job.name: row for row in rows}, future)
        for row in rows:
            row.chunk = chunk
        self._tasks.update(among)
        chunk.watch = asyncio.ensure_future(self._watch(chunk, among))

    async def _watch(self, chunk: _Chunk, among: list[str]) -> None:
        """Sees to it that each row of a task gets an answer."""
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        message, hint, again = "its worker has not answered", None, False
        try:
            for data in await chunk.future:
                outcome = msgspec.json.decode(data, type=Outcome)
                chunk.rows[outcome.name].end(outcome)
        except KilledWorker as error:
            message = f"{error.allowed_failures + 1} workers were lost while they built it"
            again = len(chunk.rows) > 1
        except FutureCancelledError:
            message = "the connection to the scheduler is lost"
            hint = "go on with --resume once it is back"
        except Exception as fault:  # of Dask, or of a worker of another version
            message = f"{type(fault).__name__}: {fault}"
        self._tasks.subtract(among)
        if chunk.stop is not None:
            return  # cancelled: that waits for the last that its worker says
        del self._chunks[chunk.key]
        for row in chunk.rows.values():
            if again and not row.begun and not row.ended.done():
                self._submit([row], [])  # another one may be what kills workers
            else:
                row.end(Outcome(name=row.job.name, state="lost", message=message, hint=hint))
        self._hand_over()

    async def _stop(self, chunk: _Chunk) -> None:
        """Cancels a task, and waits until nothing of it goes on."""
        with contextlib.suppress(OSError, TimeoutError):
            await self._client.cancel([chunk.future], force=True)
            if chunk.begun:
                await asyncio.wait_for(chunk.over.wait(), _STOP_SECONDS)
        self._chunks.pop(chunk.key, None)
        if chunk.watch is not None:
            await asyncio.wait([chunk.watch], timeout=_STOP_SECONDS)

    def _heard(self, event: tuple[float, dict[str, Any]]) -> None:
        chunk = self._chunks.get(event[1]["chunk"])
        if chunk is not None:
            chunk.hear(event[1])


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
