"""Processes of ours that plan and build rows: `engine.fleet.worker`, as their parent sees it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec

from engine.fleet.job import Job, Planned, Question
from engine.fleet.plan import Ask, ImageOutline
from engine.manifest.progress import IsCancelled, ScanCancelled
from engine.tools.failure import signal_name
from engine.tools.program import module_command

_GRACE_SECONDS = 8.0
"""What a build takes at the most to cancel, and a little more."""

_AHEAD = 2
"""Questions that a process has at a time; more of them might fill the pipes both ways."""

_LOOK_SECONDS = 0.2
"""Time between two looks whether to stop."""

_ANSWER = msgspec.json.Decoder(Planned)


class Process:
    """One of them; it ends by itself once this process is gone."""

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

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.popen.poll() is None

    def fileno(self) -> int:
        """Returns what can be waited for until there are lines."""
        assert self.popen.stdout is not None
        return self.popen.stdout.fileno()

    def send(self, line: bytes) -> None:
        """Hands it a job, or asks for a plan.

        Raises:
            BrokenPipeError: It is gone.
        """
        assert self.popen.stdin is not None
        self.popen.stdin.write(line + b"\n")
        self.popen.stdin.flush()

    def lines(self, seconds: float) -> list[bytes] | None:
        """Returns the lines that came within a time; None once the process is gone."""
        if not select.select((self,), (), (), seconds)[0]:
            return []
        data = os.read(self.fileno(), 1 << 20)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines

    def dismiss(self) -> None:
        """Lets it end by itself."""
        assert self.popen.stdin is not None
        with contextlib.suppress(OSError):
            self.popen.stdin.close()

    def stop(self) -> list[bytes]:
        """Has it cancel what it does and end; kills it where it does not.

        Returns the lines that it has said in the end.
        """
        if self.popen.stdout is None or self.popen.stdout.closed:
            return []  # it is stopped
        with contextlib.suppress(ProcessLookupError):
            self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()
        said: list[bytes] = []
        while (lines := self.lines(0)) is not None and lines:
            said += lines
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        return said

    def ended(self) -> tuple[str, str | None]:
        """Returns how it ended although it owed an answer, and what may help."""
        status = self.popen.returncode
        if status >= 0:
            return f"the process that built it ended with status {status}", None
        hint = "the kernel may have run out of memory; start fewer workers"
        return f"the process that built it was killed ({signal_name(-status)})", (
            hint if -status == signal.SIGKILL else None
        )


class LocalProcesses:
    """Those of this machine's workers, one for each, started as there is work for them.

    Attributes:
        processes: Those that run, of worker 0 first.
        planned: Which of them has planned a row, by name; it has the plan when it is to build.
    """

    def __init__(self, most: int) -> None:
        """Prepares them; none is started yet."""
        self._most = most
        self.processes: list[Process] = []
        self.planned: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes:
            process.dismiss()
        for process in self.processes:
            process.stop()

    def start(self) -> None:
        """Starts one more, if there is not one for each worker."""
        if len(self.processes) < self._most:
            self.processes.append(Process())

    def outlines(
        self, asked: Sequence[Ask], cancelled: IsCancelled | None = None
    ) -> Iterator[tuple[str, ImageOutline]]:
        """See `engine.fleet.plan.Outlines`: each plans what it then builds.

        What one of them does not answer is planned in this process.
        """
        jobs = {
            ask.row.name: Job.of(ask.row, ask.outdir or Path(), force=ask.force) for ask in asked
        }
        waiting = deque(jobs)
        owed: dict[Process, set[str]] = {process: set() for process in self.processes}
        lost: set[str] = set()
        while owed and (waiting or any(owed.values())):
            if cancelled is not None and cancelled():
                raise ScanCancelled
            for process in select.select(_fed(owed, waiting, jobs), (), (), _LOOK_SECONDS)[0]:
                lines = process.lines(0)
                if lines is None:
                    lost |= owed.pop(process)
                for line in lines or ():
                    answer = _ANSWER.decode(line)
                    owed[process].discard(answer.name)
                    self.planned[answer.name] = self.processes.index(process)
                    yield answer.name, answer.image
        left = [ask for ask in asked if ask.row.name in {*lost, *waiting}]
        if left:
            from engine.fleet.planners import Planners

            yield from Planners(builds=False).outlines(left, cancelled)


def _fed(
    owed: Mapping[Process, set[str]], waiting: deque[str], jobs: Mapping[str, Job]
) -> list[Process]:
    """Gives each process questions ahead of what it answers; returns all that will answer."""
    for process, names in owed.items():
        while waiting and len(names) < _AHEAD:
            name = waiting.popleft()
            names.add(name)
            with contextlib.suppress(BrokenPipeError):  # which is seen where it is read
                process.send(msgspec.json.encode(Question(jobs[name])))
    return list(owed)
