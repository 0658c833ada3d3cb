"""Runs a tool: an argument list in a process group of its own, its output as events."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.events import Emit, Log, Progress
from engine.tools.failure import StepFailed, signal_name
from engine.tools.lines import LineSplitter

GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""

_OUT: Literal["stdout"] = "stdout"
_ERR: Literal["stderr"] = "stderr"
_CHUNK = 1 << 16
_TAIL = 20
_KEPT_OUTPUT = 1 << 22
_DEAD = frozenset({b"Z", b"X"})

ParseProgress = Callable[[str], tuple[int, int] | None]
"""From a repainted line to (done, total), or None where it says nothing of the kind."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool left behind.

    Attributes:
        stdout: Its log lines on standard output, joined by newlines (the first 4 MiB).
        tail: The last lines of both streams, in the order they came.
    """

    argv: tuple[str, ...]
    status: int
    stdout: str
    tail: tuple[str, ...]


async def run(
    argv: Sequence[str],
    *,
    step: str,
    emit: Emit,
    env: Mapping[str, str],
    cwd: Path | None = None,
    feed: Iterable[bytes | memoryview] | None = None,
    progress: ParseProgress | None = None,
    unit: str = "bytes",
    accept: frozenset[int] = frozenset({0}),
    quiet: bool = False,
    raw: Callable[[bytes], None] | None = None,
    output: int | None = None,
    keys: int | None = None,
) -> ToolResult:
    """Runs a tool to its end.

    Args:
        argv: The command; its first word is looked up in `env`'s PATH.
        step: Id of the step that its log and progress belong to.
        emit: Takes the events.
        env: The tool's whole environment.
        cwd: Where it runs.
        feed: What it reads on standard input, which is /dev/null otherwise.
        progress: Reads lines that end in a carriage return; without it they are dropped.
        unit: Of the progress.
        accept: Exit statuses that count as success.
        quiet: Keep standard output for the caller instead of logging it.
        raw: Takes standard output as it comes, before it is cut into lines (a console).
        output: Descriptor of a file that is its standard output, of which nothing is seen here.
        keys: Open file that is its standard input, instead of `feed` (a console).

    Raises:
        StepFailed: The tool is missing, exits otherwise or is killed.
        asyncio.CancelledError: The caller was cancelled; no process of the group is left.
    """
    stdin = asyncio.subprocess.DEVNULL if feed is None else asyncio.subprocess.PIPE
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *_command(argv, env),
            stdin=stdin if keys is None else keys,
            stdout=asyncio.subprocess.PIPE if output is None else output,
            stderr=asyncio.subprocess.PIPE,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    )
    # A start that is cut short would leave the tool's children running.
    cancelled = await finished(starting)
    try:
        process = starting.result()
    except OSError as error:
        raise StepFailed(f"{argv[0]} could not be started: {error.strerror}") from error
    sink = _Sink(step, emit, progress, unit, quiet, raw)
    readers = asyncio.gather(
        *(
            sink.read(stream, name)
            for stream, name in ((process.stdout, _OUT), (process.stderr, _ERR))
            if stream is not None
        )
    )
    try:
        if cancelled:
            raise asyncio.CancelledError
        if feed is not None:
            await _write(process, feed)
        await _ended(process)
    finally:
        # Also after a normal end: what the tool left running would outlive the build.
        ending = asyncio.ensure_future(_end(process, readers))
        cancelled = await finished(ending)
    if cancelled:
        raise asyncio.CancelledError
    status = ending.result()
    result = ToolResult(
        tuple(argv), status, "\n".join(sink.kept), tuple(text for _, text in sink.tail)
    )
    if status not in accept:
        raise _failure(result)
    return result


async def finished(work: asyncio.Future[Any]) -> bool:
    """Waits for work to end although the caller is being cancelled, even repeatedly.

    Returns:
        Whether it was cancelled: the caller must then raise CancelledError when it has tidied up.
    """
    cancelled = False
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            cancelled = True
    return cancelled


def _command(argv: Sequence[str], env: Mapping[str, str]) -> list[str]:
    path = env.get("PATH")
    tool = shutil.which(argv[0], path=path)
    if tool is None:
        raise StepFailed(
            f"{argv[0]} is not installed or not on PATH",
            "`diskwright doctor` names the package that has it",
        )
    command = [tool, *argv[1:]]
    # Should this process be killed outright, the kernel then ends the tool too.
    guard = shutil.which("setpriv", path=path)
    return [guard, "--pdeathsig", "KILL", "--", *command] if guard else command


class _Sink:
    """Turns both streams into events and keeps what the caller may want to see."""

    def __init__(
        self,
        step: str,
        emit: Emit,
        progress: ParseProgress | None,
        unit: str,
        quiet: bool,
        raw: Callable[[bytes], None] | None,
    ) -> None:
        self._step = step
        self._emit = emit
        self._progress = progress
        self._unit = unit
        self._quiet = quiet
        self._raw = raw
        self._room = _KEPT_OUTPUT
        self.kept: list[str] = []
        self.tail: deque[tuple[str, str]] = deque(maxlen=_TAIL)

    async def read(self, stream: asyncio.StreamReader, name: Literal["stdout", "stderr"]) -> None:
        splitter = LineSplitter()
        while True:
            chunk = await stream.read(_CHUNK)
            if self._raw and name == "stdout":
                self._raw(chunk)
            for kind, text in splitter.feed(chunk, final=not chunk):
                # A last repaint often ends in a newline.
                if not self._repaint(text) and kind == "log":
                    self._log(name, text)
            if not chunk:
                return

    def _log(self, name: Literal["stdout", "stderr"], text: str) -> None:
        if name == "stdout" and self._room > 0:
            self._room -= len(text) + 1
            self.kept.append(text)
        if not text.strip():
            return
        self.tail.append((name, text))
        if not (self._quiet and name == "stdout"):
            self._emit(Log(id=self._step, stream=name, text=text))

    def _repaint(self, text: str) -> bool:
        reading = self._progress(text) if self._progress else None
        if reading is None:
            return False
        done, total = reading
        self._emit(Progress(id=self._step, done=done, total=total, unit=self._unit))
        return True


async def _write(process: asyncio.subprocess.Process, feed: Iterable[bytes | memoryview]) -> None:
    """Feeds standard input; a tool that stops reading says why by its exit status."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for chunk in feed:
            # The pipe may keep the buffer beyond this call, the source reuses it.
            process.stdin.write(bytes(chunk))
            await process.stdin.drain()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.close()
        await process.stdin.wait_closed()


def _failure(result: ToolResult) -> StepFailed:
    name = Path(result.argv[0]).name
    if result.status < 0:
        ended = f"was killed by {signal_name(-result.status)}"
    else:
        ended = f"exited with status {result.status}"
    said = "; ".join(line.strip() for line in result.tail[-3:])
    return StepFailed(
        f"{name} {ended}" + (f": {said}" if said else ""),
        f"the command was: {shlex.join(result.argv)}",
    )


def _signal_group(group: int, number: int) -> bool:
    """Signals a process group; False where it has no member left (or none of ours)."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _is_dead(group: int) -> bool:
    """Whether all of a group have died and only wait for an init that is slow to collect them."""
    states = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # gone since
            # proc_pid_stat(5): the name in brackets, then state, parent and group.
            state, _, its_group = path.read_bytes().rpartition(b")")[2].split()[:3]
            if int(its_group) == group:
                states.append(state)
    return bool(states) and all(state in _DEAD for state in states)


async def _end_group(group: int) -> None:
    """Ends every member of a group: SIGTERM, the grace period, SIGKILL."""
    if not _signal_group(group, signal.SIGTERM):
        return
    deadline = asyncio.get_running_loop().time() + GRACE
    pause = 0.001
    while asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(pause)
        if not _signal_group(group, 0) or _is_dead(group):
            return
        pause = min(pause * 2, 0.1)
    _signal_group(group, signal.SIGKILL)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Waits for the tool itself; asyncio's own wait also waits for all who hold its pipes."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:  # over, and its status was taken
        return
    except OSError:  # a kernel before 5.3
        await process.wait()
        return
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_reader(handle, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


async def _end(process: asyncio.subprocess.Process, readers: asyncio.Future[list[None]]) -> int:
    """Leaves no process of the group and nothing of its output unread; returns the status."""
    await _end_group(process.pid)
    # Only a process that left the group can still hold the pipes: it is not waited for.
    await asyncio.wait({readers}, timeout=1)
    if not readers.done():
        readers.cancel()
        process._transport.close()  # type: ignore[attr-defined]  # wait() would hang otherwise
    with contextlib.suppress(asyncio.CancelledError):
        await readers
    return await process.wait()
