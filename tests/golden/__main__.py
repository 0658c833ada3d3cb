"""Records every golden plan and sum anew: `.venv/bin/python -m tests.golden` in the repository.

With tools older than every change of `CHANGES` (Debian 12) plans and sums are written; the sums of
newer ones stay for cases whose own sum did not change. With newer tools only the sums that differ
from those are written, and plans are left alone: after a change of bytes it is run on Debian 12
first, then on 13 and on testing.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.golden.cases import CASES, CHANGES, PLANS, SUMS, Sums, built, planned, versions


def record() -> None:
    """Writes the files anew, and what was recorded of cases that are gone is gone too."""
    plans: dict[str, dict[str, Any]] = {}
    sums: Sums = {}
    for case in CASES:
        with tempfile.TemporaryDirectory(prefix="golden-") as name:
            folder = Path(name)
            plans[case.name] = planned(case, folder)
            sums[case.name] = built(case, plans[case.name], folder)
    before: Sums = json.loads(SUMS.read_text()) if SUMS.exists() else {}
    here = versions()
    newer = [change for change in CHANGES if here[change.tool] >= change.since]
    for change in newer:
        changed = {n: made for n, made in sums.items() if _other(made, before[n], change.part)}
        _write(change.path, changed)
    if newer:
        return
    shutil.rmtree(PLANS, ignore_errors=True)
    PLANS.mkdir()
    for name, plan in plans.items():
        _write(PLANS / f"{name}.json", plan)
    _write(SUMS, sums)
    for change in CHANGES:
        kept = {n: made for n, made in change.sums().items() if sums.get(n) == before.get(n)}
        _write(change.path, kept)


def _other(made: dict[str, str], before: dict[str, str], part: str) -> bool:
    """Whether a part of an image is another, and no other part is.

    Raises:
        ValueError: More than that part changed.
    """
    if made.get(part) == before.get(part):
        return False
    if made | {part: "", "image": ""} != before | {part: "", "image": ""}:
        raise ValueError(f"not {part} alone is another: {made}, {before}")
    return True


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


record()
