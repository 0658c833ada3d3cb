"""Completion as a shell asks for it, and in the shells themselves."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.cli.completion import SHELLS, overrides
from engine.cli.main import main
from engine.cli.verbs import VERBS, parser_for
from engine.disk.presets import PRESETS
from engine.disk.roles import ROLES
from engine.spec.formats import FORMATS
from engine.spec.keys import KEYS
from tests.e2e.terminal import Terminal

ROOT = Path(__file__).parents[3]

Environment = Mapping[str, str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    for name in ("my disk.toml", "notes.txt"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The environment of a user who has this `diskwright` on the search path."""
    home = tmp_path_factory.mktemp("home")
    program = home / "diskwright"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m engine.cli "$@"\n')
    program.chmod(0o755)
    return {
        "PATH": f"{home}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
        "HOME": str(home),
        "TERM": "xterm",
        "LC_ALL": "C.UTF-8",
    }


def offered(folder: Path, environment: Environment, line: str) -> list[str]:
    """Returns what bash would be told for a command line with the cursor at its end."""
    answer = Path(environment["HOME"], "answer")
    subprocess.run(
        ["diskwright"],
        cwd=folder,
        env={
            **environment, "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE": "1",
            "_ARGCOMPLETE_SHELL": "bash", "_ARGCOMPLETE_IFS": "\n",
            "_ARGCOMPLETE_SUPPRESS_SPACE": "1", "_ARGCOMPLETE_COMP_WORDBREAKS": " ",
            "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        },
        check=True,
    )  # fmt: skip
    text = answer.read_text()
    return text.split("\n") if text else []


def test_first_come_verbs_and_specs(folder: Path, environment: Environment) -> None:
    first = offered(folder, environment, "diskwright ")
    assert {*VERBS, r"my\ disk.toml", "out/"} == set(first)
    assert offered(folder, environment, "diskwright pl") == ["plan"]
    assert "--plain" in offered(folder, environment, "diskwright --")


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_a_verb_is_offered(
    folder: Path, environment: Environment, verb: str
) -> None:
    options = {
        flag for action in parser_for(VERBS[verb])._actions for flag in action.option_strings
    }
    long = {flag for flag in options if flag.startswith("--")}
    assert set(offered(folder, environment, f"diskwright {verb} --")) == long


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("build ", {r"my\ disk.toml", "out/"}),
        ("build x.toml -o ", {"out/"}),
        ("build x.toml --events ", {r"my\ disk.toml", "notes.txt", "out/"}),
        ("boot x.img --firmware ", {"bios", "uefi", "both"}),
        ("boot x.img --timeout ", set()),
        ("completion ", set(SHELLS)),
        ("export x.toml --format ", {"nix", "repart"}),
        ("plan x.toml --set layout.ta", {"layout.table="}),
        ("plan x.toml --set boot.prove=", {"boot.prove=true", "boot.prove=false"}),
        ("plan x.toml --set output.format=", {f"output.format={name}" for name in FORMATS}),
        ("plan x.toml --set layout.table=", {f"layout.table={name}" for name in PRESETS}),
        ("plan x.toml --set volume[2].role=", {rf"volume\[2\].role={name}" for name in ROLES}),
        ("plan x.toml --set boot.loader=u", {"boot.loader=uki"}),
        ("explain esp-too-", {"esp-too-small", "esp-too-few-clusters"}),
        ("new leg", {"legacy", "legacy+gpt", "legacy+boot"}),
        ("plan x.toml --set size.disk=", set()),
        ("plan x.toml --set no.such=", set()),
        ("plan 'x", set()),
        ("nonsense ", set()),
    ],
)
def test_values_of_the_right_kind_are_offered(
    folder: Path, environment: Environment, line: str, expected: set[str]
) -> None:
    assert set(offered(folder, environment, f"diskwright {line}")) == expected


def test_every_key_of_a_spec_can_be_set() -> None:
    keys = overrides("")
    assert {re.sub(r"\[0\]", "[]", key[:-1]) for key in keys} == set(KEYS)
    assert all(keys.values())
    assert set(overrides("contents[3].partition=")) == {
        f"contents[3].partition={name}" for name in KEYS["contents[].partition"].choices
    }


# How each shell is told of a script, for this session, without what its user has set up. fish would
# show what it is about to complete before Tab is pressed.
STARTED = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source ./script"),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit && compinit -u -D && source ./script"),
    "fish": (
        ["fish", "--no-config", "-i"],
        "set fish_autosuggestion_enabled 0; source ./script",
    ),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes(
    folder: Path, environment: Environment, capsys: pytest.CaptureFixture[str], shell: str
) -> None:
    assert main(["completion", shell]) == 0
    (folder / "script").write_text(capsys.readouterr().out)
    argv, source = STARTED[shell]
    with Terminal(argv, cwd=folder, env=environment, size=(200, 40)) as terminal:
        terminal.press(source, "enter", "echo rea''dy", "enter")
        terminal.wait_for("ready")
        terminal.press("diskwright comple", "tab")
        terminal.wait_for("diskwright completion ")
        terminal.press("zs", "tab")
        terminal.wait_for("diskwright completion zsh")
        terminal.press("enter")
        terminal.wait_for("compdef")
        terminal.press("clear", "enter", "diskwright plan m", "tab")
        terminal.wait_for(r"diskwright plan my\ disk.toml")
        terminal.press(" --set layout.ta", "tab")
        terminal.wait_for("--set layout.table=")
        terminal.press("hyb", "tab")
        terminal.wait_for("--set layout.table=hybrid")
