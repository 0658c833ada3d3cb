"""Diskwright as a library: from a spec to a verified disk image.

    import asyncio
    from pathlib import Path

    from diskwright import build, load, plan_spec

    loaded = load(Path("disk.toml"))
    plan = plan_spec(loaded.spec, base=loaded.base, outdir=Path("out"))
    result = asyncio.run(build(plan, emit=print, outdir=Path("out")))

`load` and `build` raise `Refused` with every problem found; `plan.problems` holds those of a
plan. `emit` takes the events of `engine.events`. Nothing is imported before it is asked for.

An installed Diskwright has `engine` and `tui` inside of this module's package (see setup.py).
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from engine import __version__

if TYPE_CHECKING:
    from engine.pipeline.build import BuildResult, build
    from engine.planning import plan_spec
    from engine.problem import Problem, Refused
    from engine.spec.load import load

__all__ = ["BuildResult", "Problem", "Refused", "__version__", "build", "load", "plan_spec"]

_HOMES = {
    "BuildResult": "engine.pipeline.build",
    "build": "engine.pipeline.build",
    "plan_spec": "engine.planning",
    "Problem": "engine.problem",
    "Refused": "engine.problem",
    "load": "engine.spec.load",
}


def __getattr__(name: str) -> object:
    """Imports a public name when it is first asked for."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


if __name__ == "__main__":
    from engine.cli.main import main

    sys.exit(main())
