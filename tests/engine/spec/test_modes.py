"""Modes: rsync's own answers, and directories that stay traversable."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from engine.spec.modes import parse_mode

RULES = [
    "755", "644", "4755", "1777", "0", "00755", "D755,F644", "Dg+s", "Fa-x", "F+x", "DD755",
    "u+w", "go-rwx", "a=rX", "a+X", "ug=rwX,o-rwx", "u=rwx,go=rX", "+w", "-w", "+rwx", "=rw",
    "-x", "=", "a=", "u+", "u+s,g+s", "a+s", "u=s", "a=s", "a=t", "+s", "=s", "+t", "uo+t",
    "u=rwxst", "u+w,D755,F644", "+X,F600",
    "", "xyz", "D", "X+", "gs", "888", "DF644", "755,", ",", "u+wz", "rw-r--r--",
]  # fmt: skip


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not there to compare with")
@pytest.mark.parametrize("rule", RULES)
def test_rsync_agrees(rule: str, tmp_path: Path) -> None:
    for directory_mode, file_mode in ((0o750, 0o640), (0o700, 0o755), (0o6777, 0o4511)):
        source, target = tmp_path / f"{directory_mode:o}", tmp_path / f"{directory_mode:o}.out"
        (source / "d").mkdir(parents=True)
        (source / "f").touch()
        (source / "d").chmod(directory_mode)
        (source / "f").chmod(file_mode)
        tool = subprocess.run(
            ["sh", "-c", 'umask 022; exec rsync -a "--chmod=$1" "$2/" "$3/"', "sh",
             rule, str(source), str(target)],
            capture_output=True, check=False,
        )  # fmt: skip
        if tool.returncode:
            with pytest.raises(ValueError, match="mode"):
                parse_mode(rule, literal=True)
            continue
        parsed = parse_mode(rule, literal=True)
        for name, mode in (("d", stat.S_IFDIR | directory_mode), ("f", stat.S_IFREG | file_mode)):
            assert parsed.apply(mode) == (target / name).lstat().st_mode, (name, oct(mode))


@pytest.mark.parametrize(
    ("rule", "directory", "file"),
    [("644", 0o755, 0o644), ("600", 0o700, 0o600), ("640", 0o750, 0o640), ("755", 0o755, 0o755),
     ("444", 0o555, 0o444), ("000", 0, 0), ("D700,F644", 0o700, 0o644), ("F600", 0o711, 0o600)],
)  # fmt: skip
def test_a_bare_figure_keeps_directories_traversable(rule: str, directory: int, file: int) -> None:
    parsed = parse_mode(rule)
    assert parsed.apply(stat.S_IFDIR | 0o711) == stat.S_IFDIR | directory
    assert parsed.apply(stat.S_IFREG | 0o644) == stat.S_IFREG | file


def test_literally_644_shuts_directories() -> None:
    assert parse_mode("644", literal=True).apply(stat.S_IFDIR | 0o755) == stat.S_IFDIR | 0o644


def test_bits_beyond_7777_are_refused() -> None:
    with pytest.raises(ValueError, match="beyond 7777"):
        parse_mode("100644")
