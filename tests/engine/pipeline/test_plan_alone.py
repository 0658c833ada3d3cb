"""The pipeline carries out a plan: it never asks what the spec said."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import engine.pipeline

ROOM = Path(engine.pipeline.__file__).parent


def asks(text: str) -> Iterator[str]:
    """Yields what a module's text reads of settings, or imports of theirs."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Attribute(attr="settings"):
                yield ast.unparse(node)
            case (
                ast.ImportFrom(module="engine.spec.settings")
                | ast.Import(names=[ast.alias(name="engine.spec.settings")])
            ):
                yield ast.unparse(node)


def test_no_module_reads_settings() -> None:
    modules = sorted(ROOM.rglob("*.py"))
    assert len(modules) > 20
    found = {str(path.relative_to(ROOM)): list(asks(path.read_text())) for path in modules}
    assert {name: all_ for name, all_ in found.items() if all_} == {}


def test_what_reads_settings_is_seen() -> None:
    assert list(asks("x = work.plan.settings.name")) == ["work.plan.settings"]
    assert list(asks("from engine.spec.settings import Settings")) != []
    assert list(asks("import engine.spec.settings")) != []
