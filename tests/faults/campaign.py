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
from pathlib import Path

from engine.events import AnyEvent, StepStarted
from engine.pipeline.build import BuildResult, build
from engine.problem import Refused
from tests.faults.injection import FAULTS, Fault, Strike
from tests.faults.scene import LOADER, PLAIN, Scene, tools_of
from tests.support.ordinary import become_ordinary


def combinations(
    scene: Scene, fault: Fault, steps: frozenset[str], done: set[str]
) -> Iterator[tuple[str, str]]:
    """Yields step and tool of every combination that was not had before."""
    for step, tools in tools_of(scene.plan()).items():
        if step in done or (steps and step not in steps):
            continue
        done.add(step)
        if fault.tools:
            yield from ((step, tool) for tool in tools)
        else:
            yield step, " ".join(tools)


def run(scene: Scene, fault: Fault, step: str, tool: str) -> dict[str, object]:
    """Lets one fault befall one build; returns how it ended and what is wrong after it."""
    fakes = scene.folder / "fakes"
    fakes.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        result, end = asyncio.run(_struck(scene, fault, step, tool, fakes, stack))
    for path in fakes.iterdir():
        path.unlink()
    wrong = scene.faults(result)
    if end not in fault.ends:
        wrong.append(f"it ended with {end}")
    message = (result.message or "") if result is not None else ""
    if end == "failed" and not re.search(fault.message, message, re.DOTALL):
        wrong.append(f"the error does not tell: {message!r}")
    if not wrong:
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
    scene: Scene, fault: Fault, step: str, tool: str, fakes: Path, stack: contextlib.ExitStack
) -> tuple[BuildResult | None, str]:
    struck = False

    def emit(event: AnyEvent) -> None:
        nonlocal struck
        if isinstance(event, StepStarted) and event.id == step:
            assert not struck
            struck = True
            stack.enter_context(fault.strike(Strike(scene, step, tool, fakes, task.cancel)))

    task = asyncio.ensure_future(build(scene.plan(), emit, outdir=scene.outdir))
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


def main(folder: Path, requests: Sequence[str]) -> None:
    """Runs faults, "FAULT" at every step or "FAULT:STEP,STEP" at some."""
    loader: tuple[str, ...] = LOADER
    if any(request.startswith("eacces") for request in requests):
        become_ordinary(folder)
        if not os.access(Path(sys.executable).resolve(), os.X_OK):  # what runs virt-fw-vars
            loader = tuple(override for override in LOADER if "efi_variables" not in override)
    os.environ["PATH"] = f"{folder}/plain/fakes:{folder}/loader/fakes:{os.environ['PATH']}"
    # The second build has the steps that the first has not.
    scenes = (Scene(folder / "plain", PLAIN), Scene(folder / "loader", loader))
    for request in requests:
        name, _, listed = request.partition(":")
        fault, steps = FAULTS[name], frozenset(filter(None, listed.split(",")))
        done: set[str] = set()
        for scene in scenes:
            for step, tool in combinations(scene, fault, steps, done):
                if not scene.good:
                    scene.build()
                    _empty(scene)
                sys.stdout.write(json.dumps(run(scene, fault, step, tool)) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
