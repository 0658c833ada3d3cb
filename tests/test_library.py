"""The library: what is promised is there, typed, described and tried, and nothing else is."""

from __future__ import annotations

import doctest
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import diskwright
import engine.library
from diskwright import Problem
from tests.test_docs import PROJECT, blocks

PAGE = PROJECT / "docs" / "library.md"
FUNCTIONS = [
    name for name in engine.library.__all__ if inspect.isfunction(getattr(engine.library, name))
]


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "examples").symlink_to(PROJECT / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_promises_exactly_what_there_is() -> None:
    rows = re.findall(r"^\| `(\w+)", PAGE.read_text(), re.MULTILINE)

    assert sorted(rows) == sorted(diskwright.__all__) == dir(diskwright)
    assert sorted([*engine.library.__all__, "__version__"]) == sorted(diskwright.__all__)
    assert all(getattr(diskwright, name) is not None for name in rows)


def test_what_the_page_says_of_a_class_is_there() -> None:
    rows = re.findall(r"^\| `([A-Z]\w+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE)

    assert {name for name, _ in rows} >= {"LoadedSpec", "Plan", "BuildResult", "Problem", "Fix"}
    for name, text in rows:
        if name in {"Event", "Refused"}:
            continue
        kind = getattr(diskwright, name)
        there = {*dir(kind), *getattr(kind, "__annotations__", {})}
        assert set(re.findall(r"`(\w+)(?:\(\))?`", text)) <= there


def test_another_name_is_not_promised() -> None:
    with pytest.raises(AttributeError, match="plan_spec"):
        _ = diskwright.plan_spec


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_typed_and_described(name: str) -> None:
    function = getattr(engine.library, name)

    signature = inspect.signature(function)
    described = inspect.getdoc(function) or ""
    assert signature.return_annotation is not inspect.Signature.empty
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty
    assert described.split("\n")[0].endswith(".")
    assert ">>>" in described or "Args:" in described
    page = PAGE.read_text()
    assert f"`{name}(" in page


@pytest.mark.parametrize("module", [engine.library, diskwright], ids=lambda one: str(one.__name__))
def test_the_examples_in_docstrings_run(module: object, examples: Path) -> None:
    outcome = doctest.testmod(module)  # type: ignore[arg-type]

    assert outcome.attempted >= 3
    assert outcome.failed == 0


def test_the_page_runs(examples: Path) -> None:
    code = blocks(PAGE, "python")
    assert len(code) == 3

    for each in code:
        outcome = subprocess.run(
            [sys.executable, "-c", each],
            cwd=examples,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT)},
            capture_output=True,
            text=True,
        )
        assert outcome.returncode == 0, outcome.stderr
    assert (examples / "library" / "hello.img").exists()


def test_a_problem_without_a_fix_cannot_be_mended() -> None:
    problem = Problem("no-kernel", "error", "boot.kernel", "no kernel")

    with pytest.raises(ValueError, match="no-kernel has no fix"):
        diskwright.mend(diskwright.load(PROJECT / "examples/hello.toml"), problem)


def test_naming_the_library_imports_nothing_heavy() -> None:
    script = "import diskwright, sys; print(*sys.modules)"

    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.split()

    assert not {"asyncio", "msgspec", "parted", "textual"} & set(loaded)
