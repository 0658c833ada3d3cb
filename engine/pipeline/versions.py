"""Which versions of the tools made the outputs: other versions may make other bytes."""

from __future__ import annotations

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
    found = {}
    for name in sorted(names):
        version = await _version(work, name)
        if version:
            found[name] = version
    return found


async def _version(work: Work, name: str) -> str:
    said: list[AnyEvent] = []
    try:
        result = await runner.run(
            (name, *TOOLS[name].version),
            step=work.step.id,
            emit=said.append,
            env=tool_environment(work.plan.identity.epoch),
            accept=_ANY_STATUS,
        )
    except StepFailed:
        return ""
    return version_in("\n".join(result.tail))
