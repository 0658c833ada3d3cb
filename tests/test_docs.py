"""What the documentation shows is what happens."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.cli.verbs import VERBS
from engine.fleet.read import is_fleet
from engine.spec.load import load
from tests.support.booting import alone, cache_folder
from tests.support.busybox import fetch_kernel
from tests.support.command import command

PROJECT = Path(__file__).parents[1]
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")])
EXAMPLES = sorted(PROJECT.glob("examples/*.toml"))
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")

# Commands that a page shows and another place runs.
ELSEWHERE = {
    "./diskwright": "tests/tui: the wizard needs a terminal",
    "examples/debian/make.sh efi debian": "tests/engine/boot/test_debian.py",
    "examples/immutable/make.py": "tests/engine/boot/test_immutable.py: it downloads a kernel",
    "diskwright build examples/immutable.toml -o immutable": "tests/engine/boot/test_immutable.py",
    "diskwright inspect immutable/immutable.img": "tests/engine/boot/test_immutable.py",
    "examples/tiny/make.sh": "tests/engine/boot/test_tiny.py: it downloads a kernel",
    "diskwright build examples/tiny/tiny.toml -o tiny": "tests/engine/boot/test_tiny.py",
    "diskwright boot tiny/tiny.img --firmware both --expect 'tiny: booted.*s'": "the same",
    "./check": "this very run",
    "./check --all": ".ci/run",
    "./check -k manifest": "this very run, of all tests",
}


@dataclass(frozen=True)
class Shown:
    """A command of a page and the output lines shown under it."""

    command: str
    output: tuple[str, ...]


def blocks(page: Path, language: str) -> list[str]:
    return [body for name, body in _BLOCK.findall(page.read_text()) if name == language]


def shown(page: Path) -> list[Shown]:
    found: list[Shown] = []
    for block in blocks(page, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *output = part.rstrip("\n").split("\n")
            found.append(Shown(command, tuple(line for line in output if line != "…")))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project folder with examples and a launcher of the code under test."""
    # What someone has made there: a whole Debian, a system for a disk that only is read.
    made = shutil.ignore_patterns("root.tar*", "vmlinuz", "initrd", "image.tar", "tree")
    shutil.copytree(PROJECT / "examples", tmp_path / "examples", symlinks=True, ignore=made)
    launcher = tmp_path / "diskwright"
    launcher.write_text(f'#!/bin/sh\nexec {shlex.join(command())} "$@"\n')
    launcher.chmod(0o755)
    subprocess.run([sys.executable, tmp_path / "examples/container/make.py"], check=True)
    return tmp_path


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, id=page.name) for page in PAGES if blocks(page, "console")],
)
def test_every_command_shown_works_and_prints_what_is_shown(page: Path, folder: Path) -> None:
    for each in shown(page):
        if each.command in ELSEWHERE:
            continue
        outcome = subprocess.run(
            ["bash", "-c", each.command],
            cwd=folder,
            env={"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert outcome.returncode == 0, f"{each.command}: {outcome.stderr}"
        printed = (outcome.stdout + outcome.stderr).splitlines()
        for line in each.output:
            assert line in printed, f"{each.command} does not print {line!r}"


def test_commands_said_to_run_elsewhere_are_shown() -> None:
    assert set(ELSEWHERE) <= {each.command for page in PAGES for each in shown(page)}


def test_every_verb_has_its_section() -> None:
    text = (PROJECT / "docs" / "commands.md").read_text()

    titles = " ".join(re.findall(r"^## (.*)$", text, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", titles)) >= set(VERBS)


def test_the_readmes_spec_is_the_example() -> None:
    spec, *_ = blocks(PROJECT / "README.md", "toml")

    assert tomllib.loads(spec) == tomllib.loads((PROJECT / "examples/hello.toml").read_text())


@pytest.mark.parametrize("example", ["ab", "board", "immutable"])
def test_the_volumes_page_shows_the_examples(example: str) -> None:
    specs = [tomllib.loads(block) for block in blocks(PROJECT / "docs/volumes.md", "toml")]

    assert tomllib.loads((PROJECT / f"examples/{example}.toml").read_text()) in specs


@pytest.mark.parametrize(
    ("page", "index"),
    [
        (page.relative_to(PROJECT), index)
        for page in PAGES
        for index in range(len(blocks(page, "toml")))
    ],
    ids=str,
)
def test_every_spec_shown_can_be_read(page: Path, index: int, tmp_path: Path) -> None:
    block = blocks(PROJECT / page, "toml")[index]
    spec = tmp_path / "shown.toml"
    spec.write_text(block if "schema" in tomllib.loads(block) else f"schema = 1\n{block}")

    if is_fleet(spec):
        assert tomllib.loads(block) == tomllib.loads(
            (PROJECT / "examples/fleet/fleet.toml").read_text()
        )
    else:
        load(spec)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_every_example_builds_and_says_what_it_shows(example: Path, folder: Path) -> None:
    assert example.read_text().splitlines()[1].startswith("# Shows ")
    if example.stem == "immutable":
        with alone("kernel"):
            kernel = fetch_kernel(cache_folder())
        make = folder / "examples/immutable/make.py"
        subprocess.run([sys.executable, make, kernel.package], check=True)

    outcome = subprocess.run(
        [folder / "diskwright", "build", folder / "examples" / example.name, "-o", "out"],
        cwd=folder,
        capture_output=True,
        text=True,
    )

    assert outcome.returncode == 0, outcome.stderr
    assert (folder / "out" / "manifest.json").exists()
