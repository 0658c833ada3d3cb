"""`build --update` where data moves in the image: it is not copied, and undone if need be."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.pipeline import assembling, falloc, shifting, takeover
from engine.pipeline.shifting import Shift
from tests.e2e.test_update import (
    ROOT,
    a_cancel_leaves_it,
    age,
    building,
    contents,
    make_tree,
    the_same_as_cold,
)

MOVED = "it was changed in its place, and what moved was not copied"
COPIED = "what stays was copied"
SUMS = 'output.sums="fsverity"'


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree whose image is built; shifts are worth it however little moves."""
    monkeypatch.setattr(takeover, "WORTH", 0)
    monkeypatch.setattr(shifting, "COST", 0)
    monkeypatch.setattr(takeover, "cloned", lambda *_: False)
    return make_tree(tmp_path, random.Random(4))


@pytest.fixture
def able(tmp_path: Path) -> bool:
    """Whether the file system of the test can move blocks within a file."""
    return falloc.movable(tmp_path, os.statvfs(tmp_path).f_bsize)


def grow(tree: Path, *names: str) -> None:
    for name in names:
        with (tree / name).open("ab") as file:
            file.write(b"grown" * 2000)
    age(tree)


def how(notes: list[str]) -> str:
    (note,) = (one for one in notes if "differ from the last image" in one)
    return note.partition("; ")[2]


def test_what_moves_is_not_copied(spec: Path, tmp_path: Path, *, able: bool) -> None:
    out, tree = tmp_path / "out", tmp_path / "tree"
    building(spec, out, SUMS, update=False)
    for change in ("grown", "new", "gone", "renamed"):
        match change:
            case "grown":
                grow(tree, "dir1/file6", "dir3/file13")
            case "new":
                (tree / "dir2" / "new").write_bytes(bytes(range(256)) * 50)
            case "gone":
                (tree / "dir1" / "file6").unlink()
            case _:
                (tree / "dir2" / "new").rename(tree / "dir0" / "renamed")
        age(tmp_path)
        built = building(spec, out, SUMS)
        assert built.status == "ok"
        assert how(built.notes) == (MOVED if able else COPIED)
    the_same_as_cold(spec, out, SUMS)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EOPNOTSUPP], ids=["full", "unable"])
def test_a_shift_that_fails_leaves_the_last_image_or_is_done_without(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, *, able: bool
) -> None:
    out = tmp_path / "out"
    building(spec, out, update=False)
    before = contents(out)
    grow(tmp_path / "tree", "dir1/file6", "dir3/file13")
    real, calls = Shift.apply, []

    def failing(shift: Shift, file: int) -> None:
        calls.append(shift)
        if len(calls) == 2:
            raise OSError(number, os.strerror(number))
        real(shift, file)

    with monkeypatch.context() as patched:
        patched.setattr(Shift, "apply", failing)
        built = building(spec, out)
    assert (len(calls) >= 2) is able
    if able and number == errno.ENOSPC:
        assert built.status == "failed"
        assert contents(out) == before
        built = building(spec, out)
        assert built.skipped  # the image is known again
    else:
        assert how(built.notes) == COPIED
    assert built.status == "ok"
    the_same_as_cold(spec, out)


@pytest.mark.parametrize("step", ["check-root", pytest.param("take-over", marks=pytest.mark.slow)])
def test_a_cancel_puts_everything_back(spec: Path, tmp_path: Path, step: str) -> None:
    out = tmp_path / "out"
    building(spec, out, update=False)
    grow(tmp_path / "tree", "dir1/file6", "dir3/file13")
    a_cancel_leaves_it(spec, out, step)


@pytest.mark.slow
def test_a_kill_between_two_shifts_leaves_no_mixture(
    spec: Path, tmp_path: Path, *, able: bool
) -> None:
    out = tmp_path / "out"
    building(spec, out, update=False)
    before = contents(out)
    grow(tmp_path / "tree", "dir1/file6", "dir3/file13")
    program = """
import asyncio, os, signal, sys
from pathlib import Path
from engine.pipeline import shifting, takeover
from engine.pipeline.build import build
from engine.pipeline.shifting import Shift
from tests.support.specs import plan_of

takeover.WORTH = shifting.COST = 0
takeover.cloned = lambda *_: False
real, calls = Shift.apply, []

def strike(shift, file):
    calls.append(shift)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    real(shift, file)

Shift.apply = strike
out = Path(sys.argv[2])
plan = plan_of(Path(sys.argv[1]), outdir=out, force=True)
asyncio.run(build(plan, lambda event: None, outdir=out, update=True))
"""
    ran = subprocess.run([sys.executable, "-c", program, spec, out], cwd=ROOT)
    left = {name: data for name, data in contents(out).items() if not name.startswith(".")}
    if able:
        assert ran.returncode == -signal.SIGKILL
        assert left == {name: data for name, data in before.items() if name != "demo.img"}
    assert building(spec, out).status == "ok"
    the_same_as_cold(spec, out)


def test_an_image_in_many_pieces_is_copied(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    building(spec, out, update=False)
    grow(tmp_path / "tree", "dir1/file6")
    monkeypatch.setattr(assembling, "_MOST_RENUMBERED", 1)
    assert how(building(spec, out).notes) == COPIED
    the_same_as_cold(spec, out)
