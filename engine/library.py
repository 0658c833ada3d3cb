"""Diskwright as a library: everything that `diskwright` promises to others, and nothing else.

    >>> from diskwright import build, load, plan
    >>> made = plan(load("examples/hello.toml"))
    >>> made.problems
    ()
    >>> made.disk.bytes
    66060288

Sizes are `int` bytes. Whatever is passed around is frozen. Paths on this machine are `str` or
`pathlib.Path`; paths in an image are `bytes`. The modules below `engine` may change at any time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from engine.events import AnyEvent as Event
from engine.explain.table import Explanation, explanations
from engine.pipeline.build import BuildResult
from engine.pipeline.build import build as _build
from engine.plan.as_json import to_json
from engine.plan.model import Plan
from engine.planning import plan_spec
from engine.problem import Fix, Problem, Refused
from engine.spec.edit import apply, apply_fix
from engine.spec.load import LoadedSpec
from engine.spec.load import load as _load
from engine.spec.save import dumps

__all__ = [
    "BuildResult",
    "Event",
    "Explanation",
    "Fix",
    "LoadedSpec",
    "Plan",
    "Problem",
    "Refused",
    "build",
    "build_async",
    "describe",
    "explain",
    "load",
    "mend",
    "plan",
    "save",
    "with_value",
]

AnyPath = str | PathLike[str]


def load(
    path: AnyPath, overrides: Sequence[str] = (), contents: Iterable[AnyPath] = ()
) -> LoadedSpec:
    """Reads a spec file. No source is opened yet.

        >>> loaded = load("examples/hello.toml", ["size.additional=64MiB"])
        >>> loaded.spec.name, loaded.spec.size.additional
        ('hello', '64MiB')

    Args:
        path: The TOML file. Relative sources in it are taken from its folder.
        overrides: Texts such as "size.disk=4GiB", applied in order, as `--set` takes them.
        contents: Folders that go to the image's root, behind the spec's own contents.

    Raises:
        Refused: With every problem of the file's shape.
    """
    return _load(Path(path), overrides, [Path(folder) for folder in contents])


def plan(loaded: LoadedSpec, outdir: AnyPath | None = None, *, force: bool = False) -> Plan:
    """Plans the disk of a spec: walks the sources, writes nothing.

        >>> made = plan(load("examples/hello.toml"))
        >>> [(volume.id, volume.bytes) for volume in made.volumes]
        [('esp', 41943040), ('root', 22020096)]
        >>> sum(share.bytes for share in made.breakdown) == made.disk.bytes
        True

    Args:
        loaded: From `load`.
        outdir: Where a build would write; its room and what is in it are looked at as well.
        force: Outputs that exist may be replaced.

    Returns:
        The plan. Whatever is wrong is in its `problems`: one of severity "error" keeps it from
        being built.
    """
    folder = None if outdir is None else Path(outdir)
    made = plan_spec(loaded.spec, base=loaded.base, outdir=folder, force=force)
    return replace(made, problems=loaded.locate(made.problems))


def describe(plan: Plan) -> dict[str, Any]:
    """Returns a plan as `diskwright plan --json` prints it: every sector, identifier and step.

    >>> describe(plan(load("examples/hello.toml")))["disk"]["sector_size"]
    512
    """
    return to_json(plan)


async def build_async(
    plan: Plan,
    outdir: AnyPath,
    *,
    on_event: Callable[[Event], object] = lambda event: None,
    force: bool = False,
) -> BuildResult:
    """Builds what a plan says, as a coroutine.

    Cancelling the task ends every process within five seconds and leaves no partial output.

    Args:
        plan: From `plan`, without errors.
        outdir: The output folder; made if it is not there.
        on_event: Called with every event, on the event loop's thread; must not block.
        force: Replace outputs that exist, once the new ones are complete.

    Returns:
        How it ended: `status` is "ok", with `artifacts`, or "failed", with `step`, `message` and
        `hint`; `seconds` is a float.

    Raises:
        Refused: The plan has errors, or the output folder cannot take it. Nothing was written.
        asyncio.CancelledError: The task was cancelled.
    """

    def emit(event: Event) -> None:
        on_event(event)

    return await _build(plan, emit, outdir=Path(outdir), force=force)


def build(
    plan: Plan,
    outdir: AnyPath,
    *,
    on_event: Callable[[Event], object] = lambda event: None,
    force: bool = False,
) -> BuildResult:
    """Builds what a plan says, and waits for the end. Not for a running event loop.

        >>> result = build(plan(load("examples/hello.toml")), "library")
        >>> result.status, Path(result.artifacts[0].path).name
        ('ok', 'hello.img')

    Arguments, result and errors are those of `build_async`; `KeyboardInterrupt` leaves no partial
    output either.
    """
    return asyncio.run(build_async(plan, outdir, on_event=on_event, force=force))


def with_value(loaded: LoadedSpec, key: str, value: object) -> LoadedSpec:
    """Returns a spec with one value changed.

        >>> with_value(load("examples/hello.toml"), "size.boot", "64MiB").spec.size.boot
        '64MiB'

    Args:
        loaded: From `load`; it stays as it is.
        key: Its path, such as "size.boot" or "contents[0].target".
        value: Text, integer, truth, list or mapping; None removes the key or the list's entry.

    Raises:
        Refused: There is no such key, or the value is wrong by itself.
    """
    return replace(loaded, spec=apply(loaded.spec, key, value))


def mend(loaded: LoadedSpec, problem: Problem) -> LoadedSpec:
    """Returns a spec with a problem's fix applied.

        >>> small = with_value(load("examples/hello.toml"), "size.boot", "1MiB")
        >>> (problem,) = plan(small).problems
        >>> problem.code, problem.path, problem.fix.label
        ('esp-too-few-clusters', 'size.boot', 'Grow the ESP to 33MiB')
        >>> plan(mend(small, problem)).problems
        ()

    Raises:
        ValueError: The problem has no fix.
        Refused: The fix does not apply to this spec.
    """
    if problem.fix is None:
        raise ValueError(f"{problem.code} has no fix")
    return replace(loaded, spec=apply_fix(loaded.spec, problem.fix))


def save(loaded: LoadedSpec) -> str:
    """Returns a spec as TOML that keeps the comments and the order of the file it was read from.

    >>> print(save(load("examples/hello.toml")).splitlines()[3])
    name = "hello"
    """
    return dumps(loaded.spec, loaded.text)


def explain(code: str) -> Explanation:
    """Returns what the code of a problem means, why it is refused and how to mend it.

        >>> explain("bad-mode").mend
        'Write `"0644"` or `"u=rwX,go=rX"`, in quotes.'

    Raises:
        KeyError: No problem has this code.
    """
    return explanations()[code]
