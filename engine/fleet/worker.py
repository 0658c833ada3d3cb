"""A process that builds images one after the other: a job a line on stdin, what happens on stdout.

It ends when its standard input does, or on SIGTERM; a build that runs is then cancelled and leaves
nothing. So it never outlives whoever started it, however that ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import msgspec

from engine import events
from engine.events import AnyEvent
from engine.fleet.job import Builder, Job, Outcome


class Ended(msgspec.Struct, frozen=True, tag_field="event", tag="outcome"):
    """The last line of a job."""

    outcome: Outcome


_LINE = 1 << 26


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    jobs = asyncio.StreamReader(limit=_LINE)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(jobs), sys.stdin
    )
    # What libraries or tools print must not get between the lines.
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    builder = Builder()

    def say(event: AnyEvent) -> None:
        out.write(events.encode(event) + b"\n")

    try:
        line = await jobs.readline()
        while line:
            job = msgspec.json.decode(line, type=Job)
            following = asyncio.ensure_future(jobs.readline())
            build = asyncio.ensure_future(builder.build(job, say))
            try:
                await asyncio.wait((build, following), return_when=asyncio.FIRST_COMPLETED)
                if not build.done() and not following.result():
                    return  # nobody is there any more
                out.write(msgspec.json.encode(Ended(await build)) + b"\n")
                line = await following
            finally:
                for task in (build, following):
                    task.cancel()
                await asyncio.gather(build, following, return_exceptions=True)
    except BrokenPipeError:
        return
    finally:
        transport.close()
        out.close()


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
