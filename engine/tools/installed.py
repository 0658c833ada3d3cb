"""Which programs this machine has, where, and of which version."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from engine.tools import environment
from engine.tools.answer import answer
from engine.tools.table import TOOLS

_VERSION = re.compile(r"\d+(?:\.\d+)+")
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Installed:
    """A tool that was found; `version` is empty where it does not say."""

    path: str
    version: tuple[int, ...]


def find(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """Returns the path of a program, or None.

    Args:
        name: Of the executable, or its path.
        environ: The caller's environment; that of this process if None.
    """
    return shutil.which(name, path=environment.search_path(environ))


@lru_cache(maxsize=1)
def installed() -> dict[str, Installed]:
    """Returns the tools of `engine.tools.table.TOOLS` that are installed; asked once."""
    found = {}
    for name, tool in TOOLS.items():
        path = find(name)
        if path is not None:
            found[name] = Installed(path, version_of(path, tool.version) if tool.minimum else ())
    return found


def version_of(path: str, arguments: tuple[str, ...]) -> tuple[int, ...]:
    """Returns what a tool says of its version; empty where it does not say."""
    try:
        said = answer((path, *arguments), limit=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    text = version_in((said.stdout + said.stderr).decode(errors="replace"))
    return tuple(int(part) for part in text.split(".")) if text else ()


def version_in(text: str) -> str:
    """Returns the first version number in what a tool prints of itself, or ""."""
    match = _VERSION.search(text)
    return match[0] if match else ""
