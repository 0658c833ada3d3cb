"""Python packages that only some builds need: found where they are, never part of the set-up."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from engine.tools.environment import search_path

_SETUP = Path(__file__).parents[2] / "setup" / "extra"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """An extra of pyproject.toml.

    Attributes:
        name: There.
        package: What it brings, as pip names it.
        requirement: The same with the versions that work.
        purpose: What is lost without it, as "needed to ...".
        program: The executable that is run, or "" where the package is imported.
    """

    name: str
    package: str
    requirement: str
    purpose: str
    program: str = ""


EFI = Extra(
    name="efi",
    package="virt-firmware",
    requirement="virt-firmware>=24.7",
    purpose="write EFI variables",
    program="virt-fw-vars",
)
WEB = Extra(
    name="web",
    package="textual-serve",
    requirement="textual-serve>=1.1",
    purpose="serve the wizard to a browser",
)
EXTRAS = (EFI, WEB)


def find_program(extra: Extra) -> str | None:
    """Returns the path of an extra's program: on PATH, or beside this Python's own programs."""
    path = os.pathsep.join([search_path(), str(Path(sys.executable).parent)])
    return shutil.which(extra.program, path=path)


def extra_hint(extra: Extra, setup: Path = _SETUP) -> str:
    """Returns the command that installs an extra for this Python.

    Args:
        extra: What is missing.
        setup: The project's own installer, which knows the locked versions; a copy of Diskwright
            that was installed by pip has none.
    """
    if os.access(setup, os.X_OK):
        return f"{setup} {extra.name}"
    return f"{sys.executable} -m pip install '{extra.requirement}'"
