"""The completion scripts, in the shells they are for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from engine.cli import completion
from engine.cli.verbs import VERBS


def complete(folder: Path, *words: str) -> list[str]:
    """Returns what bash would offer for the last word."""
    (folder / "script").write_text(completion.bash(completion.tree()))
    quoted = " ".join(f"'{word}'" for word in ("diskwright", *words))
    program = (
        f"source ./script; COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _diskwright;"
        ' printf "%s\\n" "${COMPREPLY[@]}"'
    )
    outcome = subprocess.run(
        ["bash", "--norc", "-c", program], cwd=folder, capture_output=True, text=True, check=True
    )
    assert outcome.stderr == ""
    return outcome.stdout.split("\n")[:-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    for name in ("my disk.toml", "notes.txt", "script"):
        (tmp_path / name).touch()
    return tmp_path


def test_bash_offers_verbs_and_specs_first(folder: Path) -> None:
    assert {*VERBS, "my disk.toml"} <= set(complete(folder, ""))
    assert complete(folder, "pl") == ["plan"]


def test_bash_offers_a_verbs_options(folder: Path) -> None:
    assert "--force" in complete(folder, "build", "--")
    assert "--force" not in complete(folder, "plan", "--")


def test_bash_offers_values_of_the_right_kind(folder: Path) -> None:
    assert sorted(complete(folder, "build", "")) == ["my disk.toml", "out"]
    assert complete(folder, "build", "x.toml", "-o", "") == ["out"]
    assert "notes.txt" in complete(folder, "build", "x.toml", "--events", "")
    assert complete(folder, "completion", "") == ["bash", "zsh", "fish"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_reads_its_script(folder: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = folder / "script"
    script.write_text(completion.SHELLS[shell](completion.tree()))

    outcome = subprocess.run([shell, "-n", script], capture_output=True, text=True)

    assert (outcome.returncode, outcome.stderr) == (0, "")


def test_every_script_names_every_verb_and_option() -> None:
    for shell, write in completion.SHELLS.items():
        script = write(completion.tree())
        for command in completion.tree():
            assert command.name in script
            for option in command.options:
                for flag in option.flags:
                    spelled = f"-{'l' if flag.startswith('--') else 's'} {flag.lstrip('-')} "
                    assert (spelled if shell == "fish" else flag) in script
