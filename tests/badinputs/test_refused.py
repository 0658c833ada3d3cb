"""Every case of cases.toml through the real command: its errors, exit code 2, nothing written."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.planning import plan_spec
from engine.problem import Problem, Refused, errors
from engine.spec.load import load
from tests.badinputs.trees import make
from tests.support.folders import contents_of

ROOT = Path(__file__).parents[2]
_TABLE = tomllib.loads((Path(__file__).parent / "cases.toml").read_text())["case"]
_AS_PROCESSES = 6
"""How many of the cases run as a process of their own, too."""


@dataclass(frozen=True)
class Case:
    """A row of the table."""

    name: str
    spec: str
    errors: list[list[str]]
    tree: str = ""

    def write(self, folder: Path) -> Path:
        """Makes the spec and what it names."""
        make(self.tree, folder)
        text = self.spec if self.spec.startswith("schema") else f"schema = 1\n{self.spec}"
        spec = folder / "spec.toml"
        spec.write_bytes(text.encode("latin-1"))
        return spec


CASES = [Case(**row) for row in _TABLE]


def problems(spec: Path, outdir: Path) -> tuple[Problem, ...]:
    """Returns what is wrong, as the wizard and the command line are told."""
    try:
        loaded = load(spec)
    except Refused as refused:
        return refused.problems
    return errors(plan_spec(loaded.spec, base=loaded.base, outdir=outdir).problems)


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 100
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_it_is_refused_with_exactly_these_errors(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = case.write(tmp_path)
    before = contents_of(tmp_path)

    found = problems(spec, tmp_path / "out")

    told = [[p.code, p.path, p.message.replace(str(tmp_path), "FOLDER")] for p in found]
    assert told == case.errors
    assert main(["build", str(spec), "-o", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    for problem in found:
        where = "" if problem.path == "" else f"{problem.path}: "
        assert f"{where}{problem.message}" in err
    assert contents_of(tmp_path) == before


@pytest.mark.parametrize(
    "case", CASES[:: len(CASES) // _AS_PROCESSES], ids=lambda case: case.name.replace(" ", "-")
)
def test_a_process_of_its_own_says_the_same(case: Case, tmp_path: Path) -> None:
    spec = case.write(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("keep")
    before = contents_of(tmp_path)

    ran = subprocess.run(
        [sys.executable, "-m", "engine.cli", "build", spec, "-o", out],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip

    assert (ran.returncode, ran.stdout) == (2, "")
    assert "Traceback" not in ran.stderr
    for _, _, message in case.errors:
        assert message.replace("FOLDER", str(tmp_path)) in ran.stderr
    assert contents_of(tmp_path) == before
