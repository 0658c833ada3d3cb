"""When the wizard under test has nothing left to do: asked of its event loop, not of the clock.

Textual's own answer (`textual._wait`) sleeps 20 ms at least, twice for each key, until the process
takes next to no processor time; that was a third of the time of these tests. Here the loop says
whether a callback is ready or soon due. Only while a worker runs, in a thread that the loop knows
nothing of, does the processor's time decide as before.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

import textual.app
import textual.pilot
from textual._context import active_app

_MOMENT = 0.02
"""Seconds: a timer that is due within them is waited for, as Textual does."""
_IDLE = _MOMENT / 20
"""Seconds of processor time within a moment that count as none, as Textual has it."""
_GLANCES = 10
"""Looks at the workers within a moment."""


async def wait_for_idle(min_sleep: float = 0, max_sleep: float = 1) -> None:
    """Returns once every message has been processed; takes the place of Textual's function.

    Args:
        min_sleep: Seconds that are waited in any case.
        max_sleep: Seconds of the processor after which what runs on is left alone.
    """
    loop: Any = asyncio.get_running_loop()
    until = time.process_time() + max_sleep
    if min_sleep:
        await asyncio.sleep(min_sleep)
    while time.process_time() < until:
        await _nothing_is_due(loop, until)
        used = time.process_time()
        for _ in range(_GLANCES):
            if not _works():
                break
            await asyncio.sleep(_MOMENT / _GLANCES)
        calm = not _works() or time.process_time() - used < _IDLE
        if calm and not loop._ready and _wait(loop) > _MOMENT:
            return


async def _nothing_is_due(loop: Any, until: float) -> None:  # noqa: ANN401
    """Returns once no callback is ready and no timer due soon, or when the time has come."""
    while time.process_time() < until:
        await asyncio.sleep(0)
        if loop._ready:
            continue
        if (wait := _wait(loop)) > _MOMENT:
            return
        await asyncio.sleep(max(0, wait))


def _wait(loop: Any) -> float:  # noqa: ANN401
    """Returns the seconds until the next timer is due."""
    now: float = loop.time()
    timers = (timer.when() for timer in loop._scheduled if not timer.cancelled())
    return min(timers, default=math.inf) - now


def _works() -> bool:
    return any(worker.is_running for worker in active_app.get().workers)


def install() -> None:
    """Lets every Pilot of this process wait in this way."""
    for module in (textual.app, textual.pilot):
        module.wait_for_idle = wait_for_idle  # type: ignore[attr-defined]
