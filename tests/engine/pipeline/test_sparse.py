"""Files with holes: the same bytes, without reading what is not there."""

from __future__ import annotations

import random
from pathlib import Path

from engine.image.whole import zeros
from engine.pipeline.sparse import copy_range

MIB = 1 << 20


def never() -> bool:
    return False


def holey(path: Path, size: int, *pieces: tuple[int, int]) -> Path:
    """Makes a file of that size with random data in the given (offset, length) pieces."""
    draw = random.Random(size)
    with path.open("wb") as file:
        file.truncate(size)
        for offset, length in pieces:
            file.seek(offset)
            file.write(draw.randbytes(length))
    return path


def test_a_range_is_copied_with_its_holes(tmp_path: Path) -> None:
    source = holey(tmp_path / "source", 32 * MIB, (9 * MIB, 4096), (20 * MIB - 10, 100))
    target = tmp_path / "target"

    copy_range(source, 8 * MIB, 12 * MIB, target, never)

    assert target.read_bytes() == source.read_bytes()[8 * MIB : 20 * MIB]
    assert target.stat().st_blocks * 512 < MIB


def test_zeros_are_as_many_as_asked_for() -> None:
    assert [len(piece) for piece in zeros(2 * MIB + 5)] == [MIB, MIB, 5]
    assert list(zeros(0)) == []
    assert list(zeros(-1)) == []
