"""How a module's source is rewritten for the wheel."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.packaging.archives import PROJECT, setup_module

SETUP = setup_module()
KNOWN = {"engine", "engine.cli", "engine.cli.new", "engine.units", "tui", "tui.launch"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from engine import x", "from diskwright.engine import x"),
        ("from engine.units import MIB", "from diskwright.engine.units import MIB"),
        ("if x:\n    from tui.launch import y", "if x:\n    from diskwright.tui.launch import y"),
        ("é = 'é'; from tui import x", "é = 'é'; from diskwright.tui import x"),
        ("Verb('new', 'engine.cli.new')", "Verb('new', 'diskwright.engine.cli.new')"),
        ("'engine.cli', 'tui.launch'", "'diskwright.engine.cli', 'diskwright.tui.launch'"),
        ("from engineering import x", "from engineering import x"),
        ("from . import engine", "from . import engine"),
        ("import engine, os", "import diskwright.engine as engine, os"),
        ("import tui.launch", "import diskwright.tui.launch; import diskwright.tui as tui"),
        ("import engine.units as u", "import diskwright.engine.units as u"),
        ("x = 'engine'", "x = 'engine'"),
        ("x = 'engine.units.MIB'", "x = 'engine.units.MIB'"),
        ('"""See `engine.units`."""', '"""See `engine.units`."""'),
        ("x = 1\n'''Of engine.units.'''", "x = 1\n'''Of engine.units.'''"),
        ("x = f'{engine}.toml'", "x = f'{engine}.toml'"),
    ],
)  # fmt: skip
def test_imports_and_names_of_modules_change_and_nothing_else(before: str, after: str) -> None:
    assert SETUP.rehomed(before, KNOWN) == after


@pytest.mark.parametrize(
    "source",
    [
        "import os, tui.launch",
        "x = f'engine.cli.{name}'",
        "x = 'python -m engine.cli'",
    ],
)
def test_what_cannot_be_rewritten_safely_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="line 1: "):
        SETUP.rehomed(source, KNOWN)


@pytest.mark.slow
@pytest.mark.parametrize("room", ["engine", "tui"])
def test_the_whole_tree_can_be_rewritten_and_keeps_its_lines(room: str) -> None:
    modules = SETUP.modules()
    for path in sorted((PROJECT / room).rglob("*.py")):
        before = path.read_text()
        after = SETUP.rehomed(before, modules)

        assert after.count("\n") == before.count("\n")
        assert names(after) == {
            f"diskwright.{name}" if name.split(".")[0] in ("engine", "tui") else name
            for name in names(before)
        }, path.relative_to(PROJECT)


def names(source: str) -> set[str]:
    return {
        node.module or ""
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and not node.level
    }


def test_a_source_archive_has_what_git_tracks_and_nothing_beside_it(tmp_path: Path) -> None:
    for name in ("engine/a.py", "engine/__pycache__/a.pyc", "build/lib/a.py", "docs/x.md",
                 ".venv/bin/python", ".mypy_cache/x", "diskwright.egg-info/PKG-INFO", "PKG-INFO",
                 "tests/build/case.toml"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    assert SETUP.sources(tmp_path) == ["docs/x.md", "engine/a.py", "tests/build/case.toml"]
