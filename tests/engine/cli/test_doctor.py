"""`diskwright doctor` on a machine that has everything, and on one that lacks something."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.cli import doctor
from engine.tools import environment
from engine.tools.installed import installed
from engine.tools.table import TOOLS


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An otherwise empty machine with an old mke2fs."""
    old = tmp_path / "mke2fs"
    old.write_text("#!/bin/sh\necho 'mke2fs 1.42.9 (28-Dec-2013)' >&2\n")
    old.chmod(0o755)
    monkeypatch.setattr(environment, "search_path", lambda environ=None: str(tmp_path))
    installed.cache_clear()
    monkeypatch.setattr(doctor, "_LIBRARY", replace(doctor._LIBRARY, name="libnowhere.so.2"))
    return tmp_path


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    installed.cache_clear()
    yield
    installed.cache_clear()


def by_name() -> dict[str, doctor.Finding]:
    return {finding.name: finding for finding in doctor.examine()}


def test_everything_is_looked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.run(argparse.Namespace(json=True)) == 0

    report = json.loads(capsys.readouterr().out)
    found = {finding["name"]: finding for finding in report["findings"]}
    assert set(TOOLS) | {"libext2fs.so.2", "OVMF", "pyparted", "textual"} <= set(found)
    assert all(finding["purpose"] and finding["install"] for finding in report["findings"])
    assert found["mke2fs"]["status"] == "ok"
    assert found["mke2fs"]["version"] == found["libext2fs.so.2"]["version"]
    assert Path(found["mke2fs"]["path"]).is_absolute()
    unversioned = {name for name, finding in found.items() if not finding["version"]}
    assert unversioned <= {"OVMF"}


def test_an_old_tool_and_a_missing_one_are_told_apart(bare: Path) -> None:
    findings = by_name()

    assert findings["mke2fs"].status == "old"
    assert findings["mke2fs"].version == "1.42.9"
    assert findings["mke2fs"].minimum
    assert findings["sfdisk"].status == "missing"
    assert findings["libnowhere.so.2"].status == "missing"


def test_a_tool_too_new_to_be_known_is_used_and_named(
    bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bare / "mke2fs").write_text("#!/bin/sh\necho 'mke2fs 2.0.1 (1-Jan-2030)' >&2\n")
    installed.cache_clear()

    finding = by_name()["mke2fs"]
    assert (finding.status, finding.version, finding.known) == ("new", "2.0.1", "1.47.0 to 1.47.4")
    assert doctor.run(argparse.Namespace(json=False)) == 0
    told = capsys.readouterr().out
    assert "mke2fs 2.0.1 is newer than the versions Diskwright is proved with (1.47.0" in told
    assert "Without mke2fs" not in told


def test_people_are_told_what_each_gap_costs(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "distribution", lambda: "fedora")

    assert doctor.run(argparse.Namespace(json=False)) == 0

    told = capsys.readouterr().out
    assert "Without qemu-img, Diskwright cannot convert the image: dnf install qemu-img" in told
    assert "Without mke2fs (at least 1.45 is needed), Diskwright cannot make the root" in told
    assert "Nothing is missing" not in told
