"""A process that plans and builds images, one after the other.

A job or a question is a line on standard input, what happens one on standard output. It ends when
its standard input does, or on SIGTERM; a build that runs is then cancelled and leaves nothing. It
never outlives whoever started it, however that ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys

import msgspec

from engine import events
from engine.events import AnyEvent
from engine.fleet.builder import Builder
from engine.fleet.identity import EPOCH
from engine.fleet.job import Ended, Job, Planned, Question

_LINE = 1 << 26

_FLUSH_SECONDS = 0.1
"""What happens is told so often at the most: a write for each event wakes the reader each time."""


class _Out:
    """Lines for whoever reads, gathered for a moment."""

    def __init__(self, handle: int) -> None:
        self._file = os.fdopen(handle, "wb", buffering=0)
        self._lines: list[bytes] = []
        self._due: asyncio.TimerHandle | None = None

    def say(self, event: AnyEvent) -> None:
        """Takes an event of a build."""
        self._lines.append(events.encode(event))
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._flush)

    def end(self, answer: Ended | Planned) -> None:
        """Writes the last line of a job, behind what was said.

        Raises:
            BrokenPipeError: Nobody reads any more.
        """
        self._lines.append(msgspec.json.encode(answer))
        self._write()

    def close(self) -> None:
        """Ends it."""
        if self._due is not None:
            self._due.cancel()
        self._file.close()

    def _flush(self) -> None:
        # Where nobody reads any more, standard input is about to end as well.
        with contextlib.suppress(BrokenPipeError):
            self._write()

    def _write(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        data = memoryview(b"".join(line + b"\n" for line in self._lines))
        self._lines.clear()
        while data:
            data = data[self._file.write(data) :]


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    jobs = asyncio.StreamReader(limit=_LINE)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(jobs), sys.stdin
    )
    # What libraries or tools print must not get between the lines.
    out = _Out(os.dup(1))
    os.dup2(2, 1)
    builder, run = Builder(), ""
    try:
        line = await jobs.readline()
        while line:
            asked = msgspec.json.decode(line, type=Job | Question)
            if isinstance(asked, Job) and asked.run != run:
                builder, run = Builder(), asked.run  # it is to see everything anew
                _take_epoch(asked.epoch)
            following = asyncio.ensure_future(jobs.readline())
            answer = asyncio.ensure_future(_answer(builder, asked, out))
            told = False
            try:
                await asyncio.wait((answer, following), return_when=asyncio.FIRST_COMPLETED)
                if not answer.done() and not following.result():
                    return  # nobody is there any more
                await asyncio.wait((answer,))
                told = True
                out.end(answer.result())
                line = await following
            finally:
                for task in (answer, following):
                    task.cancel()
                ended, _ = await asyncio.gather(answer, following, return_exceptions=True)
                if not told and isinstance(ended, Ended):
                    out.end(ended)  # the outputs had their names: it was too late for a cancel
    except BrokenPipeError:
        return
    finally:
        transport.close()
        out.close()


def _take_epoch(epoch: str | None) -> None:
    """Has this process plan by the environment of the command, wherever it runs."""
    os.environ.pop(EPOCH, None)
    if epoch is not None:
        os.environ[EPOCH] = epoch


async def _answer(builder: Builder, asked: Job | Question, out: _Out) -> Ended | Planned:
    if isinstance(asked, Question):
        return Planned(asked.job.name, await builder.plan(asked.job))
    return Ended(await builder.build(asked, out.say))


def main() -> None:
    """Serves until the end."""

    async def guarded() -> None:
        task = asyncio.ensure_future(_serve())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            return

    asyncio.run(guarded())


if __name__ == "__main__":
    main()
