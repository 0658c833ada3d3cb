"""Data that moves in a file by blocks put in and taken out: the same bytes, and undone exactly."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.pipeline import falloc, shifting
from engine.pipeline.shifting import Shift, Shifts, shifts
from engine.pipeline.takeover import Range, Reused, joined
from engine.pipeline.undo import Undo

BLOCK = 4
"""Of the model: bytes are cheap to shift there."""


@st.composite
def moves(draw: st.DrawFn) -> tuple[int, list[Reused]]:
    """The size of an old file, and what a new one has of it, in any order and at any byte."""
    size = draw(st.integers(1, 30 * BLOCK))
    kept: list[Reused] = []
    at = 0
    for _ in range(draw(st.integers(0, 8))):
        at += draw(st.sampled_from([0, 0, 1, BLOCK, 3 * BLOCK]))
        if draw(st.booleans()) and at < size:
            old = min(size - 1, max(0, at + draw(st.sampled_from([0, BLOCK, -BLOCK, 2 * BLOCK]))))
        else:
            old = draw(st.integers(0, size - 1))
        length = draw(st.integers(1, size - old))
        kept.append(Reused(at, old, length))
        at += length
    return size, joined(kept)


def shifted(data: bytes, steps: Sequence[Shift]) -> bytes:
    """Does it with bytes, and asserts what file systems ask for."""
    for at, length in steps:
        assert at % BLOCK == 0 == length % BLOCK
        assert length
        if length > 0:
            assert at < len(data)
            data = data[:at] + bytes(length) + data[at:]
        else:
            assert at - length < len(data)
            data = data[:at] + data[at - length :]
    return data


def unshifted(data: bytes, steps: Sequence[Shift]) -> bytes:
    for at, length in reversed(steps):
        if length > 0:
            data = data[:at] + data[at + length :]
        else:
            data = data[:at] + bytes(-length) + data[at:]
    return data


@given(moves(), st.sampled_from([0, 3, 40]))
@settings(max_examples=100)
def test_what_is_carried_gets_where_it_is_to_be(case: tuple[int, list[Reused]], cost: int) -> None:
    size, kept = case
    old = bytes(at % 251 + 1 for at in range(size))
    with mock.patch.object(shifting, "COST", cost):
        how = shifts(kept, BLOCK)
    new = shifted(old, how.shifts)
    for one in how.carried:
        assert new[one.new : one.new + one.length] == old[one.old : one.old + one.length]

    def pairs(runs: Sequence[Reused]) -> list[Range]:
        return [(one.new + n, one.old + n) for one in runs for n in range(one.length)]

    # Every byte that is kept is carried or copied, and none is both.
    assert sorted(pairs([*how.carried, *how.rest])) == pairs(kept)
    # What was there comes back, but for what is not carried.
    left = list(how.left(size))
    assert sorted(b for _, b in pairs(how.carried)) == [
        at for at in range(size) if not any(start <= at < end for start, end in left)
    ]
    back = unshifted(new, how.shifts)
    for one in how.carried:
        assert back[one.old : one.old + one.length] == old[one.old : one.old + one.length]


def test_a_hole_is_put_in_where_a_file_grew_and_islands_stay() -> None:
    mib = 1 << 20
    kept = [
        Reused(0, 0, 40 * mib),
        Reused(40 * mib + 8192, 40 * mib, 60 * mib - 8192),
        Reused(101 * mib, 100 * mib - 8192, 8192),  # which went past an island
        Reused(101 * mib + 8192, 101 * mib, 50 * mib),
        Reused(200 * mib, 200 * mib, mib // 8),  # what comes last is not worth a shift
    ]
    how = shifts(kept, 4096)
    assert how.shifts == [Shift(40 * mib, 8192)]
    assert how.rest == [kept[2], kept[4]]
    assert how.carried == [kept[0], kept[1], kept[3]]


def test_what_moves_back_is_taken_out_before_what_stays() -> None:
    mib = 1 << 20
    kept = [
        Reused(0, 4 * mib, 8 * mib),
        Reused(20 * mib, 20 * mib, 9 * mib),
        Reused(30 * mib + 10, 30 * mib, 9 * mib),  # not by whole blocks
    ]
    how = shifts(kept, 4096)
    assert how.shifts == [Shift(0, -4 * mib), Shift(8 * mib, 4 * mib)]
    assert how.rest == [kept[2]]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A file of blocks and holes; its file system need not be able to move them."""
    path = tmp_path / "image"
    block = os.statvfs(tmp_path).f_bsize
    with path.open("wb") as file:
        file.truncate(12 * block)
        for number in (0, 1, 2, 3, 6, 7, 11):
            file.seek(number * block)
            file.write(bytes([number + 1]) * block)
    return path


class Blocks:
    """What does the same by copying, where the file system cannot; may fail at a call."""

    def __init__(self, fails: int | None = None, *, number: int = errno.ENOSPC) -> None:
        self.calls = 0
        self.fails = fails
        self.number = number
        self.part = False

    def change(self, file: int, at: int, length: int) -> None:
        self.calls += 1
        data = os.pread(file, 1 << 24, 0)
        if self.calls == self.fails:
            if self.part:
                os.pwrite(file, b"part", at)
            os.ftruncate(file, len(data) + max(length, 0))  # as ext4 does first
            raise OSError(self.number, os.strerror(self.number))
        data = shifted_file(data, at, length)
        os.ftruncate(file, len(data))
        os.pwrite(file, data, 0)

    def insert(self, file: int, at: int, length: int) -> None:
        self.change(file, at, length)

    def collapse(self, file: int, at: int, length: int) -> None:
        self.change(file, at, -length)

    @staticmethod
    def extents(file: int) -> list[object]:
        return [os.pread(file, 1 << 24, 0)]


def shifted_file(data: bytes, at: int, length: int) -> bytes:
    if length > 0:
        return data[:at] + bytes(length) + data[at:]
    return data[:at] + data[at - length :]


def plan(block: int) -> Shifts:
    """Two put in, one taken out."""
    with mock.patch.object(shifting, "COST", 0):
        return shifts(
            [
                Reused(0, 0, 2 * block),
                Reused(4 * block, 2 * block, 4 * block),
                Reused(8 * block, 7 * block, 3 * block),
            ],
            block,
        )


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("fails", [None, 1, 2])
def test_it_is_undone_to_the_byte(
    image: Path, monkeypatch: pytest.MonkeyPatch, *, fails: int | None, real: bool
) -> None:
    block = os.statvfs(image.parent).f_bsize
    real = real and falloc.movable(image.parent, block)
    if not real:
        blocks = Blocks(fails)
        monkeypatch.setattr(shifting, "insert", blocks.insert)
        monkeypatch.setattr(shifting, "collapse", blocks.collapse)
        monkeypatch.setattr("engine.pipeline.undo.extents", blocks.extents)
    before = image.read_bytes()
    how = plan(block)
    assert [one.length // block for one in how.shifts] == [2, -1]
    left = list(how.left(len(before)))
    undo = Undo(image.with_name("undo"))
    with image.open("r+b") as file:
        undo.keep(file.fileno(), left, left)
        for number, shift in enumerate(how.shifts, 1):
            if real and number == fails:
                break
            try:
                undo.shift(file.fileno(), shift)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                break
        else:
            assert fails is None
            data = image.read_bytes()
            for one in how.carried:
                assert data[one.new :][: one.length] == before[one.old :][: one.length]
            os.ftruncate(file.fileno(), 10 * block)
            os.pwrite(file.fileno(), b"ne" * block, 2 * block)
        undo.undo(file.fileno())
    assert image.read_bytes() == before


def test_of_what_was_shifted_in_part_nothing_is_given_back(
    image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = Blocks(2, number=errno.EIO)
    blocks.part = True
    monkeypatch.setattr(shifting, "insert", blocks.insert)
    monkeypatch.setattr(shifting, "collapse", blocks.collapse)
    monkeypatch.setattr("engine.pipeline.undo.extents", blocks.extents)
    how = plan(os.statvfs(image.parent).f_bsize)
    undo = Undo(image.with_name("undo"))
    with image.open("r+b") as file:
        undo.keep(file.fileno(), (), list(how.left(image.stat().st_size)))
        undo.shift(file.fileno(), how.shifts[0])
        with pytest.raises(OSError, match="Input/output"):
            undo.shift(file.fileno(), how.shifts[1])
        with pytest.raises(OSError, match="shifted in part"):
            undo.undo(file.fileno())
