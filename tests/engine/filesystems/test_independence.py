"""A format is one folder and one row: nothing else names it, and its reader stands alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.spec.filesystems import FILESYSTEMS

_PROJECT = Path(__file__).parents[3]
_ROOM = _PROJECT / "engine/filesystems"
_SHARED = ("engine.filesystems.ext4.native.", "engine.filesystems.crc32c.")
"""libext2fs, and its CRC-32C: not ours, and a polynomial that both sides must share."""
_FOLDERS = sorted({row.folder for row in FILESYSTEMS.values() if row.folder})


def imports(path: Path) -> Iterator[str]:
    """Yields the full names of the modules of the engine that a file imports, wherever it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield f"{node.module}"
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("folder", _FOLDERS)
def test_a_reader_needs_nothing_of_its_writer(folder: str) -> None:
    """Neither figures nor names come from the side that writes: a mistake would hide there."""
    for path in (_ROOM / folder).glob("reader*.py"):
        foreign = {
            name
            for name in imports(path)
            if name.startswith("engine.filesystems.")
            and not name.startswith(f"engine.filesystems.{folder}.reader")
            and name != f"engine.filesystems.{folder}"
            and not f"{name}.".startswith(_SHARED)
        }
        assert not foreign, path


def test_nothing_else_knows_a_format_by_name() -> None:
    """The planner, the pipeline, inspect and the wizard ask the table: a new format is found."""
    formats = {row.folder for row in FILESYSTEMS.values() if row.folder and not row.layer}
    for room in (_PROJECT / "engine", _PROJECT / "tui"):
        for path in room.rglob("*.py"):
            if path.is_relative_to(_ROOM):
                continue
            named = {
                name
                for name in imports(path)
                for folder in formats
                if f"{name}.".startswith(f"engine.filesystems.{folder}.")
            }
            assert not named, path.relative_to(_PROJECT)
