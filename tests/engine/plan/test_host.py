"""What the probes see of a machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.plan.host import distribution, probe, tools, volume
from engine.tools.table import DISTRIBUTIONS, TOOLS, install_hint
from tests.engine.plan.support import settings


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
    found = tools()["mke2fs"]
    assert Path(found.path).name == "mke2fs"
    assert found.version >= (1, 45)


def test_folder_that_is_still_to_be_made_lies_where_its_parent_does(tmp_path: Path) -> None:
    there = volume(tmp_path / "a" / "b")
    assert there.path == tmp_path
    assert there.free_bytes > 0


def test_a_file_is_no_output_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert volume(tmp_path).usable
    assert volume(tmp_path / "new").usable
    assert not volume(tmp_path / "file").usable


def test_memory_is_told_from_disk() -> None:
    assert volume(Path("/dev/shm")).memory
    assert not volume(Path("/proc")).memory


def test_existing_outputs(tmp_path: Path) -> None:
    (tmp_path / "disk.img").touch()
    (tmp_path / "other").touch()
    seen = probe(settings(), tmp_path)
    assert seen.existing == {"disk.img"}
    assert probe(settings(), tmp_path / "new").existing == frozenset()


def test_every_tool_names_a_package_everywhere() -> None:
    for tool in TOOLS.values():
        for name in DISTRIBUTIONS:
            assert tool.package(name)
            assert tool.package(name) in install_hint(tool, name)
            assert tool.package(name) in install_hint(tool, None)
