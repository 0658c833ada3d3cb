"""A new image out of an old one and what was made anew: the same bytes whichever way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.pipeline import takeover
from engine.pipeline.takeover import Reused
from engine.pipeline.undo import Undo

BLOCK = 4096
SIZE = 24


def never() -> bool:
    return False


def sparse(path: Path, blocks: list[int]) -> Path:
    """Writes blocks of one byte each; those of zero are holes."""
    with path.open("xb") as file:
        file.truncate(len(blocks) * BLOCK)
        for at, value in enumerate(blocks):
            if value:
                file.seek(at * BLOCK)
                file.write(bytes([value]) * BLOCK)
    return path


@st.composite
def images(draw: st.DrawFn) -> tuple[list[int], list[int], list[Reused]]:
    """An old image, a new one, and what of the new one the old one has."""
    blocks = st.integers(0, 3)
    old = draw(st.lists(blocks, min_size=1, max_size=SIZE))
    new: list[int] = []
    kept: list[Reused] = []
    while len(new) < SIZE and draw(st.booleans()):
        if draw(st.booleans()):
            same = len(new) < len(old) and draw(st.booleans())
            start = len(new) if same else draw(st.integers(0, len(old) - 1))
            count = draw(st.integers(1, len(old) - start))
            kept.append(Reused(len(new) * BLOCK, start * BLOCK, count * BLOCK))
            new += old[start : start + count]
        else:
            new += draw(st.lists(blocks, min_size=1, max_size=4))
    return old, new or [0], kept


@given(images())
@settings(max_examples=60)
def test_the_image_is_the_new_one(
    tmp_path_factory: pytest.TempPathFactory, three: tuple[list[int], list[int], list[Reused]]
) -> None:
    before, after, pieces = three
    folder = tmp_path_factory.mktemp("images")
    wanted = sparse(folder / "wanted", after).read_bytes()
    covered = {at for one in pieces for at in range(one.new, one.new + one.length, BLOCK)}
    made = sparse(
        folder / "made", [0 if at * BLOCK in covered else one for at, one in enumerate(after)]
    )
    kept = takeover.joined(pieces)
    old = os.open(sparse(folder / "old", before), os.O_RDWR)
    new = os.open(made, os.O_RDWR)
    clone = os.open(sparse(folder / "clone", before), os.O_RDWR)
    try:
        patch = takeover.compare(old, new, kept, never)
        takeover.apply(patch, old, new, clone, never)
        assert (folder / "clone").read_bytes() == wanted
        assert (folder / "old").read_bytes() == b"".join(bytes([b]) * BLOCK for b in before)
        if not patch.moved:
            undo = Undo(folder / "undo")
            undo.keep(old, patch.overwritten)
            takeover.apply(patch, old, new, old, never)
            assert (folder / "old").read_bytes() == wanted
            undo.undo(old)
            assert (folder / "old").read_bytes() == b"".join(bytes([b]) * BLOCK for b in before)
        for one in kept:
            takeover.take(old, new, one, never)
        assert made.read_bytes() == wanted
        differs = {
            at
            for at in range(max(len(before), len(after)))
            if (before + [0] * SIZE)[at : at + 1] != (after + [0] * SIZE)[at : at + 1]
            and at < len(after)
        }
        touched = {at // BLOCK for start, end in patch.touched for at in range(start, end, BLOCK)}
        assert differs <= touched
    finally:
        for file in (old, new, clone):
            os.close(file)


def test_what_does_not_differ_is_not_written(tmp_path: Path) -> None:
    old = os.open(sparse(tmp_path / "old", [1, 2, 0, 3]), os.O_RDONLY)
    made = os.open(sparse(tmp_path / "made", [1, 3, 0, 0]), os.O_RDONLY)
    try:
        patch = takeover.compare(old, made, [Reused(3 * BLOCK, 3 * BLOCK, BLOCK)], never)
    finally:
        os.close(old)
        os.close(made)
    assert patch.writes == [(BLOCK, 2 * BLOCK)]
    assert patch.zeros == []


def test_ranges_that_follow_one_another_in_both_are_one() -> None:
    assert takeover.joined([Reused(4, 14, 2), Reused(0, 10, 4), Reused(6, 17, 1)]) == [
        Reused(0, 10, 6),
        Reused(6, 17, 1),
    ]


def test_a_file_that_another_holds_open_or_names_is_not_changed_in_place(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"x")
    with path.open("rb") as mine:
        assert takeover.alone(mine.fileno())
        with path.open("rb"):
            assert not takeover.alone(mine.fileno())
        os.link(path, tmp_path / "other")
        assert not takeover.alone(mine.fileno())
