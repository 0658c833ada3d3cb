"""Python packages that only some builds need: found where they are, never part of the set-up."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from engine.tools.environment import search_path
from engine.tools.program import modules_folder

_DEBIAN = Path("/usr/lib/diskwright")
_NIX = Path("/nix/store")
_NIX_REBUILD = "nix profile install .#diskwright"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """An extra of pyproject.toml.

    Attributes:
        name: There.
        package: What it brings, as pip names it.
        requirement: The same with the versions that work.
        purpose: What is lost without it, as "needed to ...".
        debian: Debian's package of it, or of what it needs and Diskwright's package leaves out.
        program: The executable that is run, or "" where the package is imported.
    """

    name: str
    package: str
    requirement: str
    purpose: str
    debian: str
    program: str = ""


EFI = Extra(
    name="efi",
    package="virt-firmware",
    requirement="virt-firmware>=24.7",
    purpose="write EFI variables",
    debian="python3-virt-firmware",
    program="virt-fw-vars",
)
WEB = Extra(
    name="web",
    package="textual-serve",
    requirement="textual-serve>=1.1",
    purpose="serve the wizard to a browser",
    debian="python3-aiohttp-jinja2",
)
FLEET = Extra(
    name="fleet",
    package="distributed",
    requirement="distributed>=2024.5",
    purpose="build a fleet on several workers",
    debian="python3-distributed",
)
EXTRAS = (EFI, WEB, FLEET)


def find_program(extra: Extra) -> str | None:
    """Returns the path of an extra's program: on PATH, or beside this Python's own programs."""
    path = os.pathsep.join([search_path(), str(Path(sys.executable).parent)])
    return shutil.which(extra.program, path=path)


def extra_hint(extra: Extra, home: Path | None = None, prefix: Path = Path(sys.prefix)) -> str:
    """Returns the command that installs an extra the way Diskwright itself was installed.

    Args:
        extra: What is missing.
        home: The folder that Diskwright's modules are in; that of this process if None.
        prefix: The Python environment.
    """
    home = home or modules_folder()
    setup = home / "setup" / "extra"
    if os.access(setup, os.X_OK):
        return f"{setup} {extra.name}"
    if home.is_relative_to(_DEBIAN):
        return f"sudo apt-get install {extra.debian}"
    if home.is_relative_to(_NIX):
        return f"nix profile install nixpkgs#{extra.package}" if extra.program else _NIX_REBUILD
    return python_hint(extra.requirement, prefix)


def python_hint(requirement: str, prefix: Path = Path(sys.prefix)) -> str:
    """Returns the command that installs a Python package beside Diskwright: pipx, uv or pip."""
    if (prefix / "pipx_metadata.json").exists():
        return f"pipx inject diskwright '{requirement}'"
    if (prefix / "uv-receipt.toml").exists():
        return f"uv tool install diskwright --with '{requirement}'"
    return f"{sys.executable or 'python3'} -m pip install '{requirement}'"
