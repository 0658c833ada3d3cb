"""Which programs this machine has, where, and of which version."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

from engine.tools import environment
from engine.tools.answer import answer
from engine.tools.table import TOOLS

_VERSION = re.compile(r"\d+(?:\.\d+)+")
_SECONDS = 5.0


@dataclass(frozen=True)
class Installed:
    """A tool that was found.

    Attributes:
        ask: Returns its version, empty where it does not say; most tools take a process for it.
    """

    path: str
    ask: Callable[[], tuple[int, ...]] = tuple

    @cached_property
    def version(self) -> tuple[int, ...]:
        """What it says of itself, asked once and only if somebody wants to know."""
        return self.ask()


def find(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """Returns the path of a program, or None.

    Args:
        name: Of the executable, or its path.
        environ: The caller's environment; that of this process if None.
    """
    return shutil.which(name, path=environment.search_path(environ))


@lru_cache(maxsize=1)
def installed() -> dict[str, Installed]:
    """Returns the tools of `engine.tools.table.TOOLS` that are installed; looked for once."""
    found = {}
    for name, tool in TOOLS.items():
        path = find(name)
        if path is not None:
            found[name] = Installed(path, partial(version_of, path, tool.version))
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
