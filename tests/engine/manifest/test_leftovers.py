from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.manifest.support import codes, content, scanned
from tests.support.containers import archived

LEFT = (".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf")


def tree(tmp_path: Path, *paths: str) -> Path:
    top = tmp_path / "root"
    for path in paths:
        place = top / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    return top


def test_what_docker_export_leaves_is_told_with_what_to_exclude(tmp_path: Path) -> None:
    top = tree(tmp_path, *LEFT, "etc/os-release")
    archive = archived(top)
    found = scanned(content(archive, extract=True))
    assert codes(found) == ["container-leftovers"]
    (warning,) = found.problems
    assert warning.severity == "warning"
    for path in LEFT:
        assert f"/{path} " in warning.message
        assert f'"{path}"' in warning.hint
    assert codes(scanned(content(archive, extract=True, exclude=LEFT))) == []
    assert codes(scanned(content(archive, b"/srv/root", extract=True))) == []


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        (("run/.containerenv",), True),
        (("etc/hosts", "etc/hostname"), True),
        (("dev/console", "etc/resolv.conf"), True),
        (("etc/hosts",), False),
        (("dev/console",), False),
        (("etc/os-release",), False),
    ],
)
def test_one_sign_alone_may_be_meant(tmp_path: Path, paths: tuple[str, ...], told: bool) -> None:
    found = scanned(content(tree(tmp_path, *paths)))
    assert ("container-leftovers" in codes(found)) == told


def test_files_that_have_something_in_them_are_meant(tmp_path: Path) -> None:
    top = tree(tmp_path, "etc/hosts", "etc/hostname")
    for name in ("hosts", "hostname"):
        (top / "etc" / name).write_text("host\n")
    assert codes(scanned(content(top))) == []
