"""Which versions of the tools made the outputs: other versions may make other bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from engine.events import AnyEvent
from engine.pipeline.work import Work
from engine.tools import runner
from engine.tools.environment import tool_environment
from engine.tools.failure import StepFailed
from engine.tools.installed import version_in
from engine.tools.table import TOOLS

_ANY_STATUS = frozenset(range(256))


async def versions(work: Work) -> dict[str, str]:
    """Returns the version of each tool that the plan's commands name, by name."""
    names = {argv[0] for step in work.plan.steps for argv in step.argv} & TOOLS.keys()
    return await versions_of(names, work.plan.identity.epoch, step=work.step.id)


async def versions_of(names: Iterable[str], epoch: int, *, step: str = "") -> dict[str, str]:
    """Returns the version of each tool by name, without those that do not say.

    Args:
        names: Of `engine.tools.table.TOOLS`.
        epoch: As for `tool_environment`.
        step: Id of the step that asks.
    """
    ordered = sorted(names)
    said = await asyncio.gather(*(_version(name, epoch, step) for name in ordered))
    return {name: version for name, version in zip(ordered, said, strict=True) if version}


async def _version(name: str, epoch: int, step: str) -> str:
    said: list[AnyEvent] = []
    try:
        result = await runner.run(
            (name, *TOOLS[name].version),
            step=step,
            emit=said.append,
            env=tool_environment(epoch),
            accept=_ANY_STATUS,
        )
    except StepFailed:
        return ""
    return version_in("\n".join(result.tail))
