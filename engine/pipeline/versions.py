"""Which versions of the tools made the outputs: other versions may make other bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from pathlib import Path

from engine.events import AnyEvent
from engine.plan.model import Plan
from engine.tools import runner
from engine.tools.environment import tool_environment
from engine.tools.failure import StepFailed
from engine.tools.installed import find, version_in
from engine.tools.table import TOOLS

_ANY_STATUS = frozenset(range(256))


def tools_of(plan: Plan) -> frozenset[str]:
    """Returns the names of the tools that the plan's commands name."""
    return frozenset({argv[0] for step in plan.steps for argv in step.argv} & TOOLS.keys())


def paths_of(names: Iterable[str]) -> list[str]:
    """Returns the paths of those tools that are installed."""
    return [path for name in names if (path := find(name)) is not None]


class Versions:
    """Versions of tools, asked once while their programs stay the files that they are."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], str] = {}

    async def of(self, names: Iterable[str], epoch: int, *, step: str) -> dict[str, str]:
        """Returns the version of each tool by name, without those that do not say.

        Args:
            names: Of `engine.tools.table.TOOLS`.
            epoch: As for `tool_environment`.
            step: Id of the step that asks.
        """
        # A group waits for all when it is cancelled; gather() would leave tools running.
        async with asyncio.TaskGroup() as group:
            asked = {
                name: group.create_task(self._version(name, epoch, step)) for name in sorted(names)
            }
        return {name: version for name, task in asked.items() if (version := task.result())}

    async def _version(self, name: str, epoch: int, step: str) -> str:
        program = _program(name)
        version = self._known.get(program, "") if program else ""
        if not version:
            version = await _version(name, epoch, step)
        if program and version:
            self._known[program] = version
        return version


def _program(name: str) -> tuple[object, ...] | None:
    """Returns what tells a program from any other version of it, or None where it is not found."""
    path = find(name)
    if path is not None:
        with contextlib.suppress(OSError):
            status = Path(path).stat()
            changed = status.st_mtime_ns, status.st_ctime_ns
            return name, path, status.st_dev, status.st_ino, status.st_size, *changed
    return None


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
