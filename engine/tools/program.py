"""This program as a command: its modules, wherever they were installed."""

from __future__ import annotations

import sys
from pathlib import Path


def modules_folder() -> Path:
    """Returns the folder that this program's modules are imported from.

    That is the repository, or a site-packages, where they are part of `diskwright` (see setup.py).
    """
    return Path(__file__).resolve().parents[__name__.count(".")]


def isolated_command(module: str, *arguments: str) -> tuple[str, ...]:
    """Returns the command that runs the function `main` of a module by this interpreter alone.

    It begins sooner without the environment's and the site's additions, for a module that needs
    nothing but the standard library and others of this program like it.
    """
    folder = str(modules_folder())
    main = f"import sys; sys.path.insert(0, {folder!r}); from {module} import main; main()"
    return (sys.executable, "-I", "-S", "-c", main, *arguments)


def module_command(module: str, *arguments: str) -> tuple[str, ...]:
    """Returns the command that runs a module of this program by this interpreter."""
    return (sys.executable, "-m", module, *arguments)
