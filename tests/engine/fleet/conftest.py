"""A fleet of small images: bare file systems around one tree."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from engine.plan.model import Plan
from engine.planning import Planner, Resolved, Sources

BASE = """\
schema = 1
[layout]
table = "none"
[size]
additional = "8MiB"
[boot]
cmdline = "serial={serial}"
[identity]
source_date_epoch = 1735689600
[[contents]]
source = "tree/"
target = "/"
"""
FLEET = """\
schema = 1
base = "base.toml"
name = "node-{serial}"
"""


class Yard:
    """A folder with a base spec, its sources, and a fleet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.fleet = folder / "fleet.toml"
        self.write("base.toml", BASE)
        self.write("tree/etc/motd", "hello\n")

    def write(self, name: str, text: str) -> Path:
        """Writes a file that is old enough for its times to tell of the next change."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def rows(self, *serials: str, more: str = "") -> Path:
        """Writes a fleet with a row for each serial."""
        rows = "".join(f'[[row]]\nserial = "{serial}"\n{more}' for serial in serials)
        return self.write("fleet.toml", f"{FLEET}{rows}")

    def images(self) -> dict[str, bytes]:
        """Returns every image that is there, by name."""
        return {path.stem: path.read_bytes() for path in self.out.glob("*/*.img")}

    def settle(self) -> None:
        """Waits until a change of a file gets another time than those before."""
        probe = self.folder / "probe"
        probe.touch()
        before = probe.stat().st_mtime_ns
        while probe.stat().st_mtime_ns == before:
            time.sleep(0.005)
            os.utime(probe)
        probe.unlink()


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of each image that this process plans, as it does."""
    names: list[str] = []
    plan = Planner.plan

    def noted(
        self: Planner, resolved: Resolved, sources: Sources, outdir: Path | None, *, force: bool
    ) -> Plan:
        names.append(resolved.settings.name)
        return plan(self, resolved, sources, outdir, force=force)

    monkeypatch.setattr(Planner, "plan", noted)
    return names
