"""Blocking work in a thread that is told to end when its caller is cancelled, and waited for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from engine.tools import runner

T = TypeVar("T")


async def in_thread(
    call: Callable[[Callable[[], bool]], T], stop: threading.Event | None = None
) -> T:
    """Runs blocking work in a thread.

    On cancel the thread is told through what it is given and waited for, so that nothing is
    written any more once this returns.

    Args:
        call: The work; it is given a function that says whether to end at once.
        stop: What says so, where others look at it, too.
    """
    asked = stop or threading.Event()
    future = asyncio.get_running_loop().run_in_executor(None, call, asked.is_set)
    try:
        await asyncio.wait([future])  # not shield: since 3.14 that tells errors after a cancel
    except asyncio.CancelledError:
        asked.set()
        await runner.finished(future)
        future.exception()  # seen: what the thread says to being stopped matters to nobody
        raise
    return future.result()
