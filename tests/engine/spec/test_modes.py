"""Modes: rsync's own answers, and directories that stay traversable.

rsync changed what `a` means beside `s` and `t` in 3.5. Whichever this machine has is held to the
rule of its age: up to 3.4 to the one of compat, from 3.5 on to our own. Compared were 3.2.7 and
3.5.0; a table has what both make of it, whatever is installed.
"""

from __future__ import annotations

import re
import stat
import subprocess
from functools import cache
from pathlib import Path

import pytest

from engine.spec.modes import parse_mode

RULES = [
    "755", "644", "4755", "1777", "0", "00755", "D755,F644", "Dg+s", "Fa-x", "F+x", "DD755",
    "u+w", "go-rwx", "a=rX", "a+X", "ug=rwX,o-rwx", "u=rwx,go=rX", "+w", "-w", "+rwx", "=rw",
    "-x", "=", "a=", "u+", "u+s,g+s", "a+s", "a-s", "ga+s", "u=s", "a=s", "a=t", "a=rws",
    "+s", "=s", "+t", "uo+t", "u=rwxst", "u+w,D755,F644", "+X,F600",
    "", "xyz", "D", "X+", "gs", "888", "DF644", "755,", ",", "u+wz", "rw-r--r--",
]  # fmt: skip


@cache
def rsync_version() -> tuple[int, int]:
    said = subprocess.run(["rsync", "--version"], check=True, capture_output=True, text=True)
    found = re.match(r"rsync +version v?(\d+)\.(\d+)", said.stdout)
    assert found is not None, said.stdout
    return int(found[1]), int(found[2])


@pytest.mark.parametrize("rule", RULES)
def test_rsync_agrees(rule: str, tmp_path: Path) -> None:
    octal = re.search(r"\d", rule) is not None
    literal = octal or rsync_version() < (3, 5)
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
                parse_mode(rule, literal=literal)
            continue
        parsed = parse_mode(rule, literal=literal)
        for name, mode in (("d", stat.S_IFDIR | directory_mode), ("f", stat.S_IFREG | file_mode)):
            made = (target / name).lstat().st_mode
            assert parsed.apply(mode) == made, (name, oct(mode), rsync_version())


@pytest.mark.parametrize(
    ("rule", "mode", "ours", "compat"),
    [
        ("a+s", 0o640, 0o6640, 0o4640),
        ("a-s", 0o6777, 0o777, 0o2777),
        ("ga+s", 0o640, 0o6640, 0o2640),
        ("a=s", 0o755, 0o6000, 0o4000),
        ("a=s", 0o6777, 0o6000, 0o6000),
        ("a=t", 0o755, 0o1000, 0o1000),
        ("a=t", 0o6777, 0o1000, 0o7000),
        ("a=rws", 0o755, 0o6666, 0o4666),
        ("+s", 0o640, 0o4640, 0o4640),
        ("ugo+s", 0o640, 0o6640, 0o6640),
    ],
)
def test_what_all_means_beside_the_set_id_bits(
    rule: str, mode: int, ours: int, compat: int
) -> None:
    """The figures of rsync 3.5.0 and 3.2.7."""
    assert parse_mode(rule).apply(stat.S_IFREG | mode) == stat.S_IFREG | ours
    assert parse_mode(rule, literal=True).apply(stat.S_IFREG | mode) == stat.S_IFREG | compat


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
