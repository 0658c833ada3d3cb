"""Diskwright as a library: from a spec to a verified disk image.

    >>> from diskwright import build, load, plan
    >>> result = build(plan(load("examples/hello.toml")), "library")
    >>> result.status
    'ok'

`engine.library` has each function with its arguments and errors; docs/library.md goes through
them. Nothing is imported before it is asked for.

An installed Diskwright has `engine` and `tui` inside of this module's package (see setup.py).
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from engine import __version__

if TYPE_CHECKING:
    from engine.library import (
        BuildResult,
        Event,
        Explanation,
        Fix,
        LoadedSpec,
        Plan,
        Problem,
        Refused,
        build,
        build_async,
        describe,
        explain,
        load,
        mend,
        plan,
        save,
        with_value,
    )

__all__ = [
    "BuildResult",
    "Event",
    "Explanation",
    "Fix",
    "LoadedSpec",
    "Plan",
    "Problem",
    "Refused",
    "__version__",
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


def __getattr__(name: str) -> object:
    """Imports a public name when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("engine.library"), name)


def __dir__() -> list[str]:
    return list(__all__)


if __name__ == "__main__":
    from engine.cli.main import main

    sys.exit(main())
