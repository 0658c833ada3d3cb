"""Runs faults against steps: `python -m tests.faults.campaign FOLDER FAULT[:STEP,...] ...`.

Prints a line of JSON for each combination. Where permissions are the fault, root first becomes an
ordinary user, for whom they count.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from unittest import mock

from engine.events import AnyEvent, StepStarted
from engine.pipeline import schedule
from engine.pipeline.build import BuildResult
from engine.problem import Refused
from tests.faults.injection import FAULTS, Fault, Strike
from tests.faults.scene import KINDS, LOADER, Scene
from tests.support.ordinary import become_ordinary

_PYTHON = Path(sys.executable).resolve()
"""What runs virt-fw-vars; an ordinary user may not be able to."""


def combinations(
    scene: Scene, fault: Fault, steps: frozenset[str], done: set[str]
) -> Iterator[tuple[str, str]]:
    """Yields step and tool of every combination that was not had before."""
    for step, tools in scene.steps.items():
        if (step in done and step not in scene.kind.again) or (steps and step not in steps):
            continue
        done.add(step)
        if fault.tools:
            yield from ((step, tool) for tool in tools)
        else:
            yield step, " ".join(tools)


def run(scene: Scene, fault: Fault, step: str, tool: str) -> dict[str, object]:
    """Lets one fault befall one build; returns how it ended and what is wrong after it."""
    scene.prepare()
    scene.plant()
    with contextlib.ExitStack() as stack:
        result, end = asyncio.run(_struck(scene, fault, step, tool, stack))
    for path in scene.fakes.iterdir():
        path.unlink()
    wrong = scene.faults(result)
    if end not in fault.ends:
        wrong.append(f"it ended with {end}")
    message = (result.message or "") if result is not None else ""
    if end == "failed" and not re.search(fault.message, message, re.DOTALL):
        wrong.append(f"the error does not tell: {message!r}")
    if not wrong:
        if not scene.kind.update:
            with contextlib.suppress(FileNotFoundError):
                _empty(scene)
        try:
            scene.build()
        except (AssertionError, Refused) as error:
            wrong.append(f"the next build: {error}")
    _empty(scene)
    return {"fault": fault.name, "step": step, "tool": tool, "end": end, "message": message,
            "wrong": wrong}  # fmt: skip


async def _struck(
    scene: Scene, fault: Fault, step: str, tool: str, stack: contextlib.ExitStack
) -> tuple[BuildResult | None, str]:
    struck = False

    def emit(event: AnyEvent) -> None:
        nonlocal struck
        if isinstance(event, StepStarted) and event.id == step:
            assert not struck
            struck = True
            stack.enter_context(fault.strike(Strike(scene, step, tool, task.cancel)))

    task = asyncio.ensure_future(scene.start(emit))
    try:
        result = await task
    except asyncio.CancelledError:
        return None, "cancelled"
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"
    return result, result.status


def _empty(scene: Scene) -> None:
    """Removes what a finished build left; hidden things stay, for the next build to sweep."""
    for name in sorted(scene.left(), reverse=True):
        path = scene.outdir / name
        if not name.startswith("."):
            path.rmdir() if path.is_dir() else path.unlink()


def scenes(folder: Path, faults: frozenset[str]) -> Iterator[Scene]:
    """Yields scenes that together have every step, each when it is asked for."""
    poor = "eacces" in faults and not os.access(_PYTHON, os.X_OK)
    for kind in KINDS:
        possible = replace(kind, overrides=kind.overrides[:-1]) if poor and kind is LOADER else kind
        yield Scene(folder / kind.name, possible)


def main(folder: Path, requests: Sequence[str]) -> None:
    """Runs faults, "FAULT" at every step or "FAULT:STEP,STEP" at some."""
    wanted = {
        FAULTS[name]: frozenset(filter(None, listed.split(",")))
        for name, _, listed in (request.partition(":") for request in requests)
    }
    names = frozenset(fault.name for fault in wanted)
    if "eacces" in names:
        become_ordinary(folder)
    done: dict[str, set[str]] = {name: set() for name in names}
    for scene in scenes(folder, names):
        # As on a machine with more processors: the checks and what reads the whole image at once.
        with scene.entered(), mock.patch.object(schedule, "processors", return_value=4):
            for fault, steps in wanted.items():
                for step, tool in combinations(scene, fault, steps, done[fault.name]):
                    if not scene.good:
                        scene.build()
                        _empty(scene)
                    sys.stdout.write(json.dumps(run(scene, fault, step, tool)) + "\n")
                    sys.stdout.flush()
        if all(steps and steps <= done[fault.name] for fault, steps in wanted.items()):
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
