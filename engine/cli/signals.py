"""How a verb that runs for long is ended: by itself, or by a signal that cancels it cleanly."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


def cancellable(work: Coroutine[None, None, T]) -> T | None:
    """Runs until the end or a signal; None where a signal ended it."""
    import asyncio
    import signal

    async def guarded() -> T | None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            return None

    try:
        return asyncio.run(guarded())
    finally:
        work.close()  # a signal may come before it has begun


@contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """Has a signal ask for an end, which the work looks for, instead of breaking in anywhere.

    Yields:
        Whether it was asked for.
    """
    import signal
    import threading

    asked = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in numbers}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
