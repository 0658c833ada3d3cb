"""Which steps of a build run side by side, and the running of them.

A step begins when all before it have begun and those that it waits for are over. So steps begin in
the order of the plan, and what the image becomes does not depend on how long each one takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial

from engine.plan.model import StepPlan
from engine.tools import runner
from engine.tools.processors import processors

Earlier = Callable[[], Awaitable[None]]
"""Waits until all earlier steps are over."""

Run = Callable[[int, Earlier], Coroutine[None, None, None]]
"""Carries out the step at a position."""

_FILLS = frozenset({"make", "populate"})
"""Write the place of one volume."""
_CHECKS = frozenset({"check"})
"""Read the place of one volume."""
_TAKES = frozenset({"convert", "pack", "checksum"})
"""Read the whole image, and end it only once the earlier steps are over."""
_BESIDE = frozenset({"efi-variables", "sbom"})
"""Neither read nor write the image."""


class StepsFailed(Exception):
    """A step failed or was cancelled, and none is running any more.

    Attributes:
        step: Its id.
        error: What it raised.
    """

    def __init__(self, step: str, error: BaseException) -> None:
        super().__init__(step)
        self.step = step
        self.error = error


def waits(step: StepPlan, earlier: StepPlan, *, hashed: bool) -> bool:
    """Whether a step can only begin when an earlier one is over.

    Args:
        step: The step.
        earlier: One before it in the plan.
        hashed: Whether the image has hash trees, which other volumes have the root hashes of.
    """
    kinds = (_kind(earlier), _kind(step))
    if None in kinds:
        return True
    if _BESIDE in kinds or kinds[0] is _CHECKS:
        return False
    if _TAKES in kinds or hashed:
        return True
    return earlier.volume == step.volume


def fills(step: StepPlan) -> bool:
    """Whether a step writes to the image, and only to the place of its volume."""
    return _kind(step) is _FILLS


def writes_anywhere(step: StepPlan) -> bool:
    """Whether a step may write anywhere in the image."""
    return _kind(step) is None


def _kind(step: StepPlan) -> frozenset[str] | None:
    """Returns the verbs that are of a kind with a step's, or None if it runs alone.

    So does one that fills a volume by a virtual machine, of which there is one at a time.
    """
    if step.verb == "populate" and step.argv:
        return None
    kinds = (_FILLS, _CHECKS, _TAKES, _BESIDE)
    return next((kind for kind in kinds if step.verb in kind), None)


async def run_all(steps: Sequence[StepPlan], run: Run, *, hashed: bool) -> None:
    """Carries out steps, as many at once as there are processors.

    Args:
        steps: In the order of the plan.
        run: Carries out one.
        hashed: As for `waits`.

    Raises:
        StepsFailed: One failed; or this was cancelled, and it is the first that was running.
    """
    running: dict[asyncio.Task[None], int] = {}
    begun = 0

    async def over(position: int) -> None:
        earlier = [task for task, place in running.items() if place < position]
        if earlier:
            await asyncio.wait(earlier)

    def may_begin() -> bool:
        return (
            begun < len(steps)
            and len(running) < processors()
            and not any(waits(steps[begun], steps[at], hashed=hashed) for at in running.values())
        )

    try:
        while begun < len(steps) or running:
            while may_begin():
                work = run(begun, partial(over, begun))
                running[asyncio.ensure_future(work)] = begun
                begun += 1
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=lambda each: running[each]):
                error = asyncio.CancelledError() if task.cancelled() else task.exception()
                if error is not None:
                    raise StepsFailed(steps[running[task]].id, error)
                del running[task]
    except asyncio.CancelledError as error:
        first = min(running.values(), default=min(begun, len(steps) - 1))
        raise StepsFailed(steps[first].id, error) from None
    finally:
        for task in running:
            task.cancel()
        if running:
            await runner.finished(asyncio.gather(*running, return_exceptions=True))
