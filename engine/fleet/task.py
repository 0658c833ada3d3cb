"""What a Dask worker does for a row: it hands the job to a process of ours, and passes on events.

The process is kept for the next job. It is told to stop when Dask has given the task up, and stops
by itself when this worker is gone.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import zip_longest
from typing import Any, Literal

import msgspec

from engine.fleet.job import Job, Outcome
from engine.fleet.worker import Ended
from engine.tools.failure import signal_name
from engine.tools.program import module_command

_FLUSH_SECONDS = 0.2
_GRACE_SECONDS = 8.0
"""What a build takes at the most to cancel, and a little more."""

_BUSY_SECONDS = 20.0
"""How long another worker's build, which was given up, may keep the folder of an image."""

_BUSY = "is in use by another build"
_GIVEN_UP = frozenset({"cancelled", "resumed", "released", "forgotten"})
_OUTCOME = msgspec.json.Decoder(Ended)

Kind = Literal["begun", "said", "over"]
"""Of a message: the first of a task, one with events, the last with the rest of them."""

_idle: list[_Process] = []
_lock = threading.Lock()


class _Process:
    """One `engine.fleet.worker`."""

    def __init__(self) -> None:
        path = os.pathsep.join(filter(None, sys.path))
        self.popen = subprocess.Popen(
            module_command("engine.fleet.worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        self._rest = b""

    def send(self, job: Job) -> None:
        """Begins a job."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(msgspec.json.encode(job) + b"\n")
        self.popen.stdin.flush()

    def lines(self, seconds: float) -> list[bytes] | None:
        """Returns the lines that came within a time; None once the process is gone."""
        assert self.popen.stdout is not None
        handle = self.popen.stdout.fileno()
        if not select.select((handle,), (), (), seconds)[0]:
            return []
        data = os.read(handle, 1 << 20)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines

    def dismiss(self) -> None:
        """Lets it end by itself."""
        assert self.popen.stdin is not None
        with contextlib.suppress(OSError):
            self.popen.stdin.close()

    def stop(self) -> None:
        """Has it cancel what it does and end; kills it where it does not."""
        with contextlib.suppress(ProcessLookupError):
            self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def begin(count: int) -> None:
    """Has so many processes wait, so that they are ready when the first jobs come."""
    with _lock:
        _idle.extend(_Process() for _ in range(count - len(_idle)))


def dismiss() -> None:
    """Ends the processes that nobody needs any more."""
    with _lock:
        waiting = list(_idle)
        _idle.clear()
    for process in waiting:
        process.dismiss()
    for process in waiting:
        process.stop()


def carry_out(data: bytes, topic: str) -> bytes:
    """Builds one image on this worker.

    Args:
        data: A `Job` as JSON.
        topic: Of Dask's events, under which the build's are told.

    Returns:
        An `Outcome` as JSON.
    """
    from distributed import get_worker

    worker: Any = get_worker()
    job = msgspec.json.decode(data, type=Job)
    key = worker.get_current_task()

    def tell(kind: Kind, lines: list[bytes]) -> None:
        message = {
            "image": job.name, "by": str(worker.name), "kind": kind,
            "lines": [line.decode() for line in lines],
        }  # fmt: skip
        worker.log_event(topic, message)

    rest: list[bytes] = []  # goes with the last message

    def given_up() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state in _GIVEN_UP

    tell("begun", [])
    begun = time.monotonic()
    try:
        while True:
            outcome = _once(job, partial(tell, "said"), given_up, rest)
            waited = time.monotonic() - begun
            if _BUSY not in (outcome.message or "") or waited > _BUSY_SECONDS or given_up():
                break
            time.sleep(0.5)  # the build of a worker that was lost is about to end
    finally:
        tell("over", _thinned(rest))
    return msgspec.json.encode(msgspec.structs.replace(outcome, worker=str(worker.name)))


def _once(
    job: Job, tell: Callable[[list[bytes]], None], given_up: Callable[[], bool],
    waiting: list[bytes],
) -> Outcome:  # fmt: skip
    """Has a process of ours build; what it said last is left in `waiting`."""
    process = _taken()
    try:
        process.send(job)
        told = time.monotonic()
        while True:
            lines = process.lines(_FLUSH_SECONDS)
            if lines is None:
                raise BrokenPipeError
            for line in lines:
                if line.startswith(b'{"event":"outcome"'):
                    with _lock:
                        _idle.append(process)
                    return _OUTCOME.decode(line).outcome
                waiting.append(line)
            if waiting and time.monotonic() - told > _FLUSH_SECONDS:
                tell(_thinned(waiting))
                waiting.clear()
                told = time.monotonic()
            if given_up():
                process.stop()
                return Outcome(name=job.name, state="cancelled")
    except BrokenPipeError:
        process.stop()
        message, hint = _ended(process.popen.returncode)
        return Outcome(name=job.name, state="lost", message=message, hint=hint, elsewhere=True)
    except BaseException:
        process.stop()
        raise


def _ended(status: int) -> tuple[str, str | None]:
    """Returns how a process ended that owed an answer, and what may help."""
    if status >= 0:
        return f"the process that built it ended with status {status}", None
    hint = "the kernel may have run out of memory; start fewer workers"
    return f"the process that built it was killed ({signal_name(-status)})", (
        hint if -status == signal.SIGKILL else None
    )


def _taken() -> _Process:
    with _lock:
        while _idle:
            process = _idle.pop()
            if process.popen.poll() is None:
                return process
            process.stop()
    return _Process()


def _thinned(lines: list[bytes]) -> list[bytes]:
    """Returns events without those of progress that another follows at once."""
    progress = b'{"event":"progress"'
    return [
        line
        for line, following in zip_longest(lines, lines[1:], fillvalue=b"")
        if not (line.startswith(progress) and following.startswith(progress))
    ]
