"""What only some builds need: found, or named with a command that installs it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from engine.tools.extras import EFI, EXTRAS, WEB, extra_hint, find_program

PROJECT = Path(__file__).parents[3]


def test_the_extras_are_those_of_the_project() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"] == {one.name: [one.requirement] for one in EXTRAS}
    assert not any(one.package in wanted for one in EXTRAS for wanted in project["dependencies"])


def test_a_program_beside_this_python_is_found() -> None:
    found = find_program(EFI)
    assert found is not None
    shown = subprocess.run([found, "--help"], capture_output=True, text=True, check=True)
    assert "--set-json" in shown.stdout


def test_a_checkout_names_its_own_installer() -> None:
    command = extra_hint(EFI)
    assert command == f"{PROJECT}/setup/extra efi"
    refused = subprocess.run([PROJECT / "setup/extra", "none"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert "usage: setup/extra efi|web" in refused.stderr


def test_elsewhere_pip_is_named(tmp_path: Path) -> None:
    hint = extra_hint(WEB, tmp_path / "extra")
    assert hint == f"{sys.executable} -m pip install 'textual-serve>=1.1'"
