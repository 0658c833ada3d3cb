"""What only some builds need: found, or named with a command that installs it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from engine.tools.extras import EFI, EXTRAS, WEB, extra_hint, find_program, python_hint
from engine.tools.python_packages import PACKAGES, PYPARTED_NEEDS, missing

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
    assert "usage: setup/extra efi|fleet|web" in refused.stderr


@pytest.mark.parametrize(
    ("home", "mark", "command"),
    [
        ("lib", "", f"{sys.executable} -m pip install 'textual-serve>=1.1'"),
        ("lib", "pipx_metadata.json", "pipx inject diskwright 'textual-serve>=1.1'"),
        ("lib", "uv-receipt.toml", "uv tool install diskwright --with 'textual-serve>=1.1'"),
        ("/usr/lib/diskwright", "", "sudo apt-get install python3-aiohttp-jinja2"),
        ("/nix/store/x-diskwright/lib", "", "nix profile install .#diskwright"),
    ],
)
def test_elsewhere_it_is_installed_as_diskwright_was(
    tmp_path: Path, home: str, mark: str, command: str
) -> None:
    if mark:
        (tmp_path / mark).touch()

    assert extra_hint(WEB, tmp_path / home, tmp_path) == command


def test_what_diskwright_depends_on_has_the_command_that_installs_it() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]

    assert set(PACKAGES.values()) == {
        re.split("[<>=]", wanted)[0] for wanted in project["dependencies"]
    }
    for module, package in PACKAGES.items():
        problem = missing(f"{module}.something")
        assert problem is not None
        assert package in problem.message
        assert python_hint(package) in problem.hint
    assert missing("somebodys_own") is None


def test_what_compiles_pyparted_is_what_the_set_up_installs() -> None:
    rows = [
        line.split()
        for line in (PROJECT / "setup/packages.txt").read_text().splitlines()
        if line.startswith("run ")
    ]
    needed = [row for row in rows if row[1] in {
        "python:headers", "command:gcc", "header:stdio.h", "command:pkg-config",
        "pkgconfig:libparted",
    }]  # fmt: skip

    assert [names.split() for _, _, names in PYPARTED_NEEDS] == [
        sorted({row[column] for row in needed}) for column in (2, 3, 4)
    ] + [["gcc", "parted", "pkg-config", "python3"]]
