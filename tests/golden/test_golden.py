"""No plan and no byte of an image changes unknowingly.

`plans/` holds what `plan --json` printed of each case, `sums.json` the SHA-256 of the whole image,
of each file system in it and of what is outside of them. A plan may say more than was recorded
(keys may be added to any object), but nothing that it said may change or be gone; lists keep their
length and order.

A change that is meant is recorded by `.venv/bin/python -m tests.golden` in the repository's folder
and goes into a commit of its own, which says what changed and why (tests/golden/__main__.py).

The versions below were compared. What they write differs only as `CHANGES` says, in the cases of
`sums-TOOL-VERSION.json`. A version that is not known may write either; where the bytes differ, the
test says which versions are here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.tools.known import dotted
from tests.golden.cases import (
    CASES,
    CHANGES,
    PLANS,
    SUMS,
    Case,
    Sums,
    Version,
    built,
    planned,
    versions,
)

COMPARED: dict[str, set[Version]] = {
    "mke2fs": {(1, 47, 0), (1, 47, 2), (1, 47, 4)},
    "libparted": {(3, 5), (3, 6), (3, 8)},
}
"""The versions of which the bytes are known."""

RECORDED: Sums = json.loads(SUMS.read_text())


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


def said(here: dict[str, Version]) -> str:
    """Returns the versions of the tools that write bytes, and whether they were compared."""
    return "; ".join(
        f"{tool} {dotted(version)}: "
        + ("known to write these bytes" if version in COMPARED[tool] else "never compared")
        for tool, version in here.items()
    )


def expected(name: str, here: dict[str, Version]) -> list[dict[str, str]]:
    """Returns what tools of some versions may make of a case: either, where one is not known."""
    made = RECORDED[name]
    for change in CHANGES:
        changed = change.sums().get(name)
        if changed is not None and here[change.tool] not in COMPARED[change.tool]:
            return [made, changed]
        if changed is not None and here[change.tool] >= change.since:
            made = changed
    return [made]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_as_recorded(case: Case, tmp_path: Path) -> None:
    recorded: dict[str, Any] = json.loads((PLANS / f"{case.name}.json").read_text())

    plan = planned(case, tmp_path)
    sums = built(case, plan, tmp_path)

    assert differences(recorded, plan) == []
    here = versions()
    assert sums in expected(case.name, here), said(here)


def test_nothing_is_recorded_that_is_no_longer_compared() -> None:
    names = {case.name for case in CASES}

    assert len(names) == len(CASES)
    assert {path.stem for path in PLANS.iterdir()} == names == RECORDED.keys()
    changed = [(name, made) for change in CHANGES for name, made in change.sums().items()]
    assert len(dict(changed)) == len(changed)  # no case has two changes
    assert dict(changed).keys() <= names
    assert all(made != RECORDED[name] for name, made in changed)


@pytest.mark.parametrize(
    ("mke2fs", "libparted", "name", "may"),
    [
        ((1, 47, 0), (3, 6), "none-large", ["older"]),
        ((1, 47, 2), (3, 6), "none-large", ["newer"]),
        ((1, 47, 4), (3, 8), "none-large", ["newer"]),
        ((1, 47, 9), (3, 6), "none-large", ["older", "newer"]),
        ((1, 47, 4), (3, 6), "legacy", ["older"]),
        ((1, 47, 0), (3, 8), "legacy", ["newer"]),
        ((1, 47, 0), (3, 9), "legacy", ["older", "newer"]),
        ((1, 47, 9), (3, 9), "efi", ["older"]),
    ],
)
def test_versions_decide_what_is_expected(
    mke2fs: Version, libparted: Version, name: str, may: list[str]
) -> None:
    changed = [sums[name] for change in CHANGES if name in (sums := change.sums())]
    known = {"older": RECORDED[name], "newer": changed[0] if changed else {}}

    assert expected(name, {"mke2fs": mke2fs, "libparted": libparted}) == [known[n] for n in may]


def test_what_was_said_must_stay_said() -> None:
    recorded = {"a": 1, "list": [{"b": None}, 2]}

    assert differences(recorded, {"a": 1, "new": 3, "list": [{"b": None, "id": "x"}, 2]}) == []
    assert differences(recorded, {"a": 1, "list": [{}, 2]}) == ["plan.list[0].b is gone, was None"]
    assert differences(recorded, {"a": 1, "list": [{"b": None}]}) == [
        "plan.list was [{'b': None}, 2], is [{'b': None}]"
    ]
    assert differences(1, True) == ["plan was 1, is True"]
