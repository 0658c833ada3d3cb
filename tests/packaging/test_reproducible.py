"""Two builds of the same tree are the same bytes, and the source archive is complete."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.packaging.archives import build, copy_tree

# Tests that need no other machine and stand for the rooms of the tree.
REPRESENTATIVE = (
    "tests/test_alone.py",
    "tests/engine/spec/test_tables.py",
    "tests/packaging/test_rehomed.py",
)


@pytest.mark.slow
def test_archives_are_the_same_bytes_and_complete(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    tree = copy_tree(tmp_path / "one/tree")
    other = copy_tree(tmp_path / "another place/tree")
    for path in other.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (1_000_000_000, 1_000_000_000))
            path.chmod(path.stat().st_mode & 0o700)

    archive, wheel = build("sdist", tree, first), build("wheel", tree, first)
    assert build("sdist", other, second, umask=0o077).read_bytes() == archive.read_bytes()
    assert build("wheel", other, second, umask=0o077).read_bytes() == wheel.read_bytes()

    # From the archive: its wheel and its archive are the tree's, and its tests pass.
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "unpacked", filter="tar")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert build("wheel", unpacked, tmp_path).read_bytes() == wheel.read_bytes()
    assert build("sdist", unpacked, tmp_path).read_bytes() == archive.read_bytes()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", *REPRESENTATIVE],
        cwd=unpacked, env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
