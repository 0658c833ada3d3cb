"""Every fault at every step; see `tests.faults.injection` for the faults, and what must follow.

The quick tests take a few steps for each fault, and tell how many combinations there are;
`./check --all` takes all.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from engine.events import AnyEvent, Log
from engine.pipeline.falloc import movable
from tests.faults.injection import FAULTS, FULL
from tests.faults.scene import KINDS, MOVES, STEP_IDS, UPDATE, Kind, Scene

ROOT = Path(__file__).parents[2]
QUICK = {
    "eio": ("populate-root", "take-over", "wrap", "publish"),
    "eacces": ("allocate", "convert"),
    "tool-missing": ("make-root",),
    "tool-fails": ("make-root", "prove"),
    "tool-killed": ("check-root", "efi-variables"),
    "tool-garbage": ("identifiers", "sign"),
    "tool-floods": ("check-esp",),
    "tool-hangs": ("convert", "prove"),
    "cancel": ("populate-root", "check-esp", "convert", "take-over", "wrap", "pack"),
    "source-changed": ("populate-root",),
    "source-vanished": ("populate-esp",),
    "output-removed": ("make-root", "sign", "publish"),
    "folder-removed": ("checksum",),
    "copier-killed": ("populate-root",),
    "summer-killed": ("populate-root",),
    "enospc": ("populate-root", "convert"),
}
REST = tuple(fault for fault in QUICK if fault not in {"eacces", "enospc"})
"""These need no process of their own."""
ALL_COMBINATIONS = 310
"""So many there are at least: steps, for some faults times their tools."""

_IN_A_SMALL_FILESYSTEM = """
set -e
mount -t tmpfs -o size=96M tmpfs "$1"
cd "$2"
shift 2
exec unshare --user --map-user=1000 --map-group=1000 -- "$@"
"""
"""The user is root for the mount alone: nix does as root what a namespace does not let it."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that an ordinary user can get at, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="diskwright-faults-", ignore_cleanup_errors=True) as at:
        Path(at).chmod(0o711)
        yield Path(at)


def campaign(folder: Path, *requests: str) -> list[dict[str, object]]:
    """Runs faults; returns a report of each combination."""
    command = [sys.executable, "-m", "tests.faults.campaign", str(folder), *requests]
    if FULL.name in requests[0]:
        inside = ("sh", "-c", _IN_A_SMALL_FILESYSTEM, "sh", str(folder), str(ROOT))
        command = ["unshare", "-rm", *inside, *command]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if "unshare:" in ran.stderr or "mount:" in ran.stderr:
        pytest.skip("no user namespace may be made here")
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def check(reports: list[dict[str, object]]) -> None:
    assert reports
    wrong = [report for report in reports if report["wrong"]]
    assert not wrong, json.dumps(wrong, indent=1)


def test_every_fault_has_its_quick_steps() -> None:
    assert QUICK.keys() == FAULTS.keys()


def test_the_scenes_have_every_step_that_there_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    places: list[tuple[str, tuple[str, ...]]] = []
    for kind in KINDS:
        scene = Scene(tmp_path / kind.name, kind)
        with scene.entered():
            for step, tools in scene.steps.items():
                if step in kind.again or step not in dict(places):
                    places.append((step, tools))

    count = sum(
        sum(len(tools) for _, tools in places) if fault.tools else len(places)
        for fault in FAULTS.values()
    )
    with capfd.disabled():
        sys.stdout.write(f"\nfaults: {count} combinations of a step and a fault\n")
    assert dict(places).keys() == STEP_IDS
    assert count >= ALL_COMBINATIONS


@pytest.mark.parametrize("kind", [UPDATE, MOVES], ids=lambda kind: kind.name)
def test_the_update_that_is_struck_changes_the_last_image_in_its_place(
    tmp_path: Path, kind: Kind
) -> None:
    able = kind is UPDATE or movable(tmp_path, os.statvfs(tmp_path).f_bsize)
    scene = Scene(tmp_path / kind.name, kind)
    said: list[AnyEvent] = []
    with scene.entered():
        scene.prepare()
        result = asyncio.run(scene.start(said.append))

    assert result.status == "ok"
    notes = [event.text for event in said if isinstance(event, Log) and event.id == "take-over"]
    assert ("changed in its place" in notes[-1]) is able
    assert ("what moved was not copied" in notes[-1]) is (able and kind is MOVES)


@pytest.mark.parametrize("faults", [("eacces",), ("enospc",), REST], ids=lambda names: names[0])
def test_some_steps(folder: Path, faults: Sequence[str]) -> None:
    reports = campaign(folder, *(f"{fault}:{','.join(QUICK[fault])}" for fault in faults))

    check(reports)
    struck = {(report["fault"], report["step"]) for report in reports}
    assert struck == {(fault, step) for fault in faults for step in QUICK[fault]}
    killed = {report["end"] for report in reports if str(report["fault"]).endswith("r-killed")}
    assert killed <= {"failed"}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_all_steps(folder: Path, fault: str, capfd: pytest.CaptureFixture[str]) -> None:
    reports = campaign(folder, fault)

    ends = [str(report["end"]) for report in reports]
    with capfd.disabled():
        counts = ", ".join(f"{ends.count(end)} {end}" for end in sorted(set(ends)))
        sys.stdout.write(f"\nfaults: {fault} at {len(reports)} places ({counts})\n")
    check(reports)
    struck = {report["step"] for report in reports}
    if not FAULTS[fault].tools:
        assert STEP_IDS - struck <= ({"efi-variables"} if fault == "eacces" else set())
