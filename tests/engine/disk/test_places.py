"""Places of volumes: aligned, disjoint, numbered as libparted numbers them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.disk.placement import begin, extended, numbers, place, span
from engine.disk.volume import Scheme

MIB = 1 << 20
SCHEMES: st.SearchStrategy[Scheme] = st.sampled_from(["gpt", "mbr"])


@given(
    scheme=SCHEMES,
    sector=st.sampled_from([512, 4096]),
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=12),
)
def test_aligned_disjoint_and_within_the_span(
    scheme: Scheme, sector: int, sizes: list[int]
) -> None:
    wanted = [(f"v{index}", size * 4096) for index, size in enumerate(sizes)]
    placed = place(scheme, sector, wanted)
    assert all(one.start * sector % MIB == 0 for one in placed)
    for before, after in itertools.pairwise(placed):
        assert before.start + before.sectors <= after.start
    last = placed[-1]
    lengths = [size for _, size in wanted]
    assert (last.start + last.sectors) * sector <= span(scheme, lengths)
    assert last.start * sector == begin(scheme, lengths[:-1])


@pytest.mark.parametrize(
    ("scheme", "count", "expected"),
    [
        ("gpt", 6, (1, 2, 3, 4, 5, 6)),
        ("mbr", 4, (1, 2, 3, 4)),
        ("mbr", 5, (1, 2, 3, 5, 6)),
        ("mbr", 6, (1, 2, 3, 5, 6, 7)),
    ],
)
def test_numbers(scheme: Scheme, count: int, expected: tuple[int, ...]) -> None:
    assert numbers(scheme, count) == expected


def test_logical_partitions_have_room_for_their_records() -> None:
    placed = place("mbr", 512, [(name, MIB) for name in "abcde"])
    assert extended(placed[:4], 512) is None
    start, sectors = extended(placed, 512) or (0, 0)
    assert placed[3].start - start == placed[4].start - (placed[3].start + 2048) == 2048
    assert start + sectors == placed[4].start + placed[4].sectors
