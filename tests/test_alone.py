"""No test reaches above the repository; `.ci/run` proves the rest in a clone that stands alone."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
_ABOVE = re.compile(r"\bparents\[(\d+)\]")
MODULES = [
    path.relative_to(ROOT)
    for folder in ("tests", "benchmarks", "screenshots")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def reaches_above(module: Path, text: str) -> list[str]:
    """Returns what leads out of the repository, of a module at a place in it."""
    root = len(module.parts) - 1
    return [found.group() for found in _ABOVE.finditer(text) if int(found[1]) > root]


def test_no_path_leads_out() -> None:
    assert len(MODULES) > 100
    assert {
        str(module): found
        for module in MODULES
        if (found := reaches_above(module, (ROOT / module).read_text(encoding="utf-8")))
    } == {}


def test_a_path_that_leads_out_is_found() -> None:
    module, three, four = Path("tests/engine/plan/test_x.py"), f"parents[{3}]", f"parents[{4}]"

    assert reaches_above(module, f"Path(__file__).{four} / 'x'") == [four]
    assert reaches_above(module, f"Path(__file__).{three} / 'x'") == []
