"""What this machine has, and how what it lacks is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.tools.distribution import distribution
from engine.tools.installed import Installed, installed
from engine.tools.table import DISTRIBUTIONS, TOOLS, install_hint


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("ID=debian\n", "debian"),
        ('ID=ubuntu\nID_LIKE="debian"\n', "debian"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "fedora"),
        ("ID=arch\n", "arch"),
        ("ID=nixos\n", "nix"),
        ("ID=other\n", None),
    ],
)
def test_distribution(text: str, family: str | None, tmp_path: Path) -> None:
    release = tmp_path / "os-release"
    release.write_text(text)
    assert distribution(release) == family


def test_distribution_of_a_machine_that_does_not_say(tmp_path: Path) -> None:
    assert distribution(tmp_path / "none") is None


def test_tools_have_the_versions_they_print() -> None:
    found = installed()["mke2fs"]
    assert Path(found.path).name == "mke2fs"
    assert found.version >= (1, 45)


def test_a_tool_is_asked_for_its_version_once_and_only_when_that_matters() -> None:
    asked: list[str] = []

    def ask() -> tuple[int, ...]:
        asked.append("tool")
        return (1, 2)

    tool = Installed("/usr/bin/tool", ask)
    assert asked == []
    assert [tool.version, tool.version] == [(1, 2), (1, 2)]
    assert asked == ["tool"]


def test_every_tool_names_a_package_everywhere() -> None:
    for tool in TOOLS.values():
        for name in DISTRIBUTIONS:
            assert tool.package(name)
            assert tool.package(name) in install_hint(tool, name)
            assert tool.package(name) in install_hint(tool, None)
