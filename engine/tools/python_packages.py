"""What a Python package that is missing costs, and what its build needs of the system."""

from __future__ import annotations

from engine.problem import Problem
from engine.tools.extras import python_hint

PACKAGES = {
    "argcomplete": "argcomplete",
    "humanize": "humanize",
    "msgspec": "msgspec",
    "_ped": "pyparted",
    "parted": "pyparted",
    "platformdirs": "platformdirs",
    "pyte": "pyte",
    "textual": "textual",
    "tomlkit": "tomlkit",
    "tree_sitter": "tree-sitter",
    "tree_sitter_nix": "tree-sitter-nix",
    "zstandard": "zstandard",
}
"""The packages that Diskwright depends on, by the module that is imported."""

PYPARTED_NEEDS = (
    (
        "Debian, Ubuntu",
        "sudo apt-get install",
        "gcc libc6-dev libparted-dev pkg-config python3-dev",
    ),
    ("Fedora", "sudo dnf install", "gcc glibc-devel parted-devel pkgconf-pkg-config python3-devel"),
    ("Arch", "sudo pacman -S --needed", "gcc glibc parted pkgconf python"),
    ("Nix", "nix-shell -p", "gcc parted pkg-config python3"),
)
"""What pyparted is compiled with: distribution, command, packages (as in setup/packages.txt)."""


def missing(module: str) -> Problem | None:
    """Returns the problem of a module that could not be imported, if Diskwright depends on it.

    pyparted comes as source only, so that installing it compiles it.
    """
    package = PACKAGES.get(module.partition(".")[0])
    if package is None:
        return None
    hint = f"install it: {python_hint(package)}"
    if package == "pyparted":
        needs = "; ".join(f"{where}: {command} {names}" for where, command, names in PYPARTED_NEEDS)
        hint += f". It is compiled, with what these install: {needs}"
    return Problem(
        "python-missing", "error", "", f"the Python package {package} is not installed", hint
    )
