"""What a Dask worker does for some rows: it hands the jobs to a process of ours, and tells events.

The process is kept for the next jobs. It is told to stop when Dask has given the task up, and stops
by itself when this worker is gone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import zip_longest
from typing import Any, Literal
from weakref import WeakKeyDictionary

import msgspec

from engine.fleet.job import Ended, Job, Outcome
from engine.fleet.process import Process

_LOOK_SECONDS = 0.2
"""Time between two looks whether to stop, and between two messages of what is said."""

_BUSY_SECONDS = 20.0
"""How long another worker's build, which was given up, may keep the folder of an image."""

_BUSY = "is in use by another build"
_GIVEN_UP = frozenset({"cancelled", "resumed", "released", "forgotten"})
_OUTCOME = msgspec.json.Decoder(Ended)
_JOBS = msgspec.json.Decoder(list[Job])

Kind = Literal["begun", "said", "over", "end"]
"""Of a message: the first of a row, one with events, the last with its outcome; the task's last."""

_idle: WeakKeyDictionary[object, list[Process]] = WeakKeyDictionary()
_lock = threading.Lock()


def lend(worker: object, process: Process) -> None:
    """Gives a worker a process that has nothing to do."""
    with _lock:
        _idle.setdefault(worker, []).append(process)


def dismiss(worker: object) -> None:
    """Ends the processes of a worker that nobody needs any more."""
    with _lock:
        waiting = _idle.pop(worker, [])
    for process in waiting:
        process.dismiss()
    for process in waiting:
        process.stop()


def _taken(worker: object) -> Process:
    with _lock:
        waiting = _idle.get(worker, [])
        while waiting:
            process = waiting.pop()
            if process.is_alive:
                return process
            process.stop()
    return Process()


def carry_out(data: bytes, topic: str, chunk: str) -> list[bytes]:
    """Builds images on this worker, one after the other.

    Args:
        data: A list of `Job` as JSON.
        topic: Of Dask's events, under which what happens is told.
        chunk: Of the events of this task, which tell who carries it out after a worker that was
            lost what that one has built.

    Returns:
        An `Outcome` as JSON for each job that was carried out by this worker.
    """
    from distributed import get_worker
    from distributed.utils import sync

    worker: Any = get_worker()
    key = worker.get_current_task()

    def given_up() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state in _GIVEN_UP

    def tell(kind: Kind, image: str, lines: list[bytes], outcome: bytes = b"") -> None:
        message = {
            "chunk": chunk, "image": image, "by": str(worker.name), "kind": kind,
            "lines": [line.decode() for line in lines], "outcome": outcome.decode(),
        }  # fmt: skip
        worker.log_event(topic if kind == "said" else [topic, chunk], message)

    before: dict[str, set[str]] = {}
    for _, message in sync(worker.loop, worker.scheduler.events, topic=chunk):
        before.setdefault(message["image"], set()).add(message["kind"])
    outcomes = []
    try:
        for job in _JOBS.decode(data):
            if "over" in before.get(job.name, ()):
                continue
            if given_up():
                break
            # What the worker before left of it is this fleet's own.
            mine = msgspec.structs.replace(job, force=job.force or job.name in before)
            tell("begun", job.name, [])
            row = _Row(worker, mine, partial(tell, "said", job.name), given_up)
            outcome = msgspec.structs.replace(row.built(), worker=str(worker.name))
            outcomes.append(msgspec.json.encode(outcome))
            tell("over", job.name, _thinned(row.unsaid), outcomes[-1])
    finally:
        tell("end", "", [])
    return outcomes


class _Row:
    """A job that a process of ours carries out."""

    def __init__(
        self,
        worker: object,
        job: Job,
        say: Callable[[list[bytes]], None],
        given_up: Callable[[], bool],
    ) -> None:
        self._worker = worker
        self._job = job
        self._say = say
        self._given_up = given_up
        self.unsaid: list[bytes] = []  # goes with the last message

    def built(self) -> Outcome:
        """Returns how the job ended."""
        begun = time.monotonic()
        while True:
            outcome = self._once()
            waited = time.monotonic() - begun
            if _BUSY not in (outcome.message or "") or waited > _BUSY_SECONDS or self._given_up():
                return outcome
            time.sleep(0.5)  # the build of a worker that was lost is about to end

    def _once(self) -> Outcome:
        process = _taken(self._worker)
        try:
            process.send(msgspec.json.encode(self._job))
            told = time.monotonic()
            while True:
                lines = process.lines(_LOOK_SECONDS)
                if lines is None:
                    raise BrokenPipeError
                outcome = self._heard(lines)
                if outcome is not None:
                    lend(self._worker, process)
                    return outcome
                if self.unsaid and time.monotonic() - told > _LOOK_SECONDS:
                    self._say(_thinned(self.unsaid))
                    self.unsaid.clear()
                    told = time.monotonic()
                if self._given_up():
                    # The outputs may have got their names already: then it is too late.
                    late = self._heard(process.stop())
                    return late or Outcome(name=self._job.name, state="cancelled")
        except BrokenPipeError:
            process.stop()
            message, hint = process.ended()
            return Outcome(
                name=self._job.name, state="lost", message=message, hint=hint, elsewhere=True
            )
        except BaseException:
            process.stop()
            raise

    def _heard(self, lines: Iterable[bytes]) -> Outcome | None:
        """Takes what the process says; returns the outcome once it has come."""
        for line in lines:
            if line.startswith(b'{"event":"outcome"'):
                return _OUTCOME.decode(line).outcome
            self.unsaid.append(line)
        return None


def _thinned(lines: list[bytes]) -> list[bytes]:
    """Returns events without those of progress that another follows at once."""
    progress = b'{"event":"progress"'
    return [
        line
        for line, following in zip_longest(lines, lines[1:], fillvalue=b"")
        if not (line.startswith(progress) and following.startswith(progress))
    ]
