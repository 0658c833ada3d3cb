"""No plan and no byte of an image changes unknowingly.

`plans/` holds what `plan --json` printed of each case, `sums.json` the SHA-256 of the whole image,
of each file system in it and of what is outside of them. A plan may say more than was recorded
(keys may be added to any object), but nothing that it said may change or be gone; lists keep their
length and order.

A change that is meant is recorded by `.venv/bin/python -m tests.golden` in the repository's folder
and goes into a commit of its own, which says what changed and why (tests/golden/__main__.py).

The versions below were compared. Of what they write, only mke2fs's differs, and only in the cases
of `sums-mke2fs-1.47.2.json`. A version that is not known may write either; where the bytes differ,
the test says which versions are here.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.golden.cases import (
    CASES,
    NEWER_SUMS,
    PLANS,
    SUMS,
    Case,
    built,
    mke2fs_version,
    planned,
)

TOOLS: dict[tuple[str, ...], set[str]] = {
    ("mke2fs", "-V"): {"1.47.0", "1.47.2"},
    ("sfdisk", "--version"): {"2.38.1", "2.41.5"},
}
"""Commands that print a tool's version, and the versions that were compared."""

RECORDED: dict[str, dict[str, str]] = json.loads(SUMS.read_text())
NEWER: dict[str, dict[str, str]] = json.loads(NEWER_SUMS.read_text())


def differences(recorded: object, now: object, at: str = "plan") -> list[str]:
    """Returns what was recorded and is now another or gone; new keys of objects are no matter."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        return [
            line
            for key, value in recorded.items()
            for line in (
                differences(value, now[key], f"{at}.{key}")
                if key in now
                else [f"{at}.{key} is gone, was {value!r}"]
            )
        ]
    if isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        return [
            line
            for index, (value, other) in enumerate(zip(recorded, now, strict=True))
            for line in differences(value, other, f"{at}[{index}]")
        ]
    if type(recorded) is type(now) and recorded == now:
        return []
    return [f"{at} was {recorded!r}, is {now!r}"]


def versions() -> str:
    """Returns the versions of the tools that write bytes, and whether they are known."""
    lines = []
    for command, known in TOOLS.items():
        ran = subprocess.run(command, capture_output=True, text=True)
        found = re.search(r"\d+\.\d+(\.\d+)*", ran.stdout + ran.stderr)
        version = found.group() if found else "of an unknown version"
        said = "known to write these bytes" if version in known else "never compared"
        lines.append(f"{command[0]} {version}: {said}")
    return "; ".join(lines)


def expected(name: str) -> list[dict[str, str]]:
    """Returns what this machine's mke2fs may make of a case."""
    older, newer = RECORDED[name], NEWER.get(name, RECORDED[name])
    return {"1.47.0": [older], "1.47.2": [newer]}.get(mke2fs_version(), [older, newer])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_as_recorded(case: Case, tmp_path: Path) -> None:
    recorded: dict[str, Any] = json.loads((PLANS / f"{case.name}.json").read_text())

    plan = planned(case, tmp_path)
    sums = built(case, plan, tmp_path)

    assert differences(recorded, plan) == []
    assert sums in expected(case.name), versions()


def test_nothing_is_recorded_that_is_no_longer_compared() -> None:
    names = {case.name for case in CASES}

    assert len(names) == len(CASES)
    assert {path.stem for path in PLANS.iterdir()} == names == RECORDED.keys()
    assert NEWER.keys() <= names
    assert all(NEWER[name] != RECORDED[name] for name in NEWER)


def test_what_was_said_must_stay_said() -> None:
    recorded = {"a": 1, "list": [{"b": None}, 2]}

    assert differences(recorded, {"a": 1, "new": 3, "list": [{"b": None, "id": "x"}, 2]}) == []
    assert differences(recorded, {"a": 1, "list": [{}, 2]}) == ["plan.list[0].b is gone, was None"]
    assert differences(recorded, {"a": 1, "list": [{"b": None}]}) == [
        "plan.list was [{'b': None}, 2], is [{'b': None}]"
    ]
    assert differences(1, True) == ["plan was 1, is True"]
