"""Records every golden plan and sum anew: `.venv/bin/python -m tests.golden` in the repository.

With mke2fs 1.47.0 (Debian 12) plans and sums are written; the sums of newer versions stay for cases
whose own sum did not change. With a newer mke2fs only the sums that differ from those are written,
and plans are left alone: after a change of bytes it is run on Debian 12 first, then on 13.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.golden.cases import CASES, NEWER_SUMS, PLANS, SUMS, built, mke2fs_version, planned

Sums = dict[str, dict[str, str]]


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
    newer: Sums = json.loads(NEWER_SUMS.read_text()) if NEWER_SUMS.exists() else {}
    if mke2fs_version() != "1.47.0":
        _write(NEWER_SUMS, {name: made for name, made in sums.items() if made != before[name]})
        return
    shutil.rmtree(PLANS, ignore_errors=True)
    PLANS.mkdir()
    for name, plan in plans.items():
        _write(PLANS / f"{name}.json", plan)
    _write(SUMS, sums)
    _write(NEWER_SUMS, {n: made for n, made in newer.items() if sums.get(n) == before.get(n)})


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


record()
