"""Block maps: runs of data, extent trees, indirect blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.filesystems.ext4.extents import Runs, extent_count, indirect_blocks, runs, tree_blocks


@pytest.mark.parametrize(
    ("size", "ranges", "expected"),
    [
        (0, None, ()),
        (1, None, ((0, 1),)),
        (4097, None, ((0, 2),)),
        (1 << 30, (), ()),
        (9000, ((0, 100), (8192, 808)), ((0, 1), (2, 1))),
        (9000, ((0, 100), (3000, 1200)), ((0, 2),)),
        (9000, ((0, 4096), (4096, 4096)), ((0, 2),)),
        (9000, ((0, 0), (4096, 1)), ((1, 1),)),
    ],
)
def test_runs(size: int, ranges: tuple[tuple[int, int], ...] | None, expected: Runs) -> None:
    assert runs(size, ranges) == expected


@given(st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(0, 40_000)), max_size=8))
def test_runs_cover_exactly_the_touched_blocks(pairs: list[tuple[int, int]]) -> None:
    ranges = tuple(sorted(pairs))
    touched = {
        block
        for offset, length in ranges
        if length
        for block in range(offset // 4096, (offset + length - 1) // 4096 + 1)
    }
    found = [
        block for first, count in runs(4_000_000, ranges) for block in range(first, first + count)
    ]
    assert found == sorted(touched)


@pytest.mark.parametrize(
    ("extents", "blocks"), [(0, 0), (4, 0), (5, 1), (340, 1), (341, 2), (1360, 4), (1361, 6)]
)
def test_extent_trees(extents: int, blocks: int) -> None:
    assert tree_blocks(extents) == blocks


def test_an_extent_holds_128_mib() -> None:
    assert extent_count(((0, 32_768), (40_000, 32_769))) == 3


def expected_indirect(touched: Runs) -> int:
    """Counts indirect blocks one data block at a time."""
    used = set()
    for first, count in touched:
        for block in range(first, first + count):
            rest = block - 12
            for depth in range(3):
                if rest < 0:
                    break
                if rest < 1024 ** (depth + 1):
                    used |= {(depth, level, rest // 1024**level) for level in range(1, depth + 2)}
                    break
                rest -= 1024 ** (depth + 1)
    return len(used)


AROUND = st.sampled_from([0, 12, 1036, 1036 + 1024, 12 + 1024 + 1024**2, 12 + 1024 + 2 * 1024**2])


@given(st.lists(st.tuples(AROUND, st.integers(-3, 3), st.integers(1, 2000)), max_size=4))
def test_indirect_blocks(parts: list[tuple[int, int, int]]) -> None:
    ranges = sorted((max(0, edge + shift) * 4096, count * 4096) for edge, shift, count in parts)
    touched = runs(1 << 40, tuple(ranges))
    assert indirect_blocks(touched) == expected_indirect(touched)
