"""Directories: the leaf count is known before the order of the names is."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.filesystems.ext4.directory import (
    DOTS,
    NODE_ENTRIES,
    DirectoryTooLarge,
    Shape,
    leaf_capacity,
    leaf_spans,
    node_spans,
    record_length,
    shape,
)
from engine.filesystems.ext4.format import EXT3, EXT4, ExtFormat


@pytest.mark.parametrize(("name", "record"), [(1, 12), (4, 12), (5, 16), (254, 264), (255, 264)])
def test_a_record_is_a_multiple_of_four(name: int, record: int) -> None:
    assert record_length(name) == record


@given(
    names=st.lists(st.integers(1, 255), min_size=1, max_size=600),
    seed=st.integers(0, 99),
    ext=st.sampled_from([EXT3, EXT4]),
    minimum=st.sampled_from([1, 4]),
)
def test_names_fit_their_leaves_in_any_order(
    names: list[int], seed: int, ext: ExtFormat, minimum: int
) -> None:
    lengths = [record_length(name) for name in names]
    packed = shape(sum(lengths), max(lengths), ext, minimum=minimum)
    assert packed.blocks >= minimum
    if not packed.indexed:
        assert DOTS + sum(lengths) <= leaf_capacity(ext)
        return
    random.Random(seed).shuffle(lengths)
    spans = list(leaf_spans(lengths, packed.leaves))
    assert len(spans) == packed.leaves
    assert [index for first, end in spans for index in range(first, end)] == [*range(len(lengths))]
    for first, end in spans:
        assert 0 < sum(lengths[first:end]) <= leaf_capacity(ext)


def test_short_names_fill_their_leaves() -> None:
    """The price of an order-free count is a longest record for each leaf, no more."""
    assert shape(100_000 * 16, 16) == Shape(-(-100_000 * 16 // (4084 - 16)), indexed=True)


def test_one_block_is_linear_and_more_are_indexed() -> None:
    room = 4084 - DOTS
    assert shape(room, 20) == Shape(1)
    assert shape(room + 4, 20) == Shape(1, indexed=True)
    assert shape(0, 0) == Shape(1)
    assert shape(0, 0, minimum=4).blocks == 4


def test_large_directories_get_interior_nodes() -> None:
    packed = shape(600 * 4000, 20)
    assert (packed.nodes, packed.indexed) == (2, True)
    assert packed.blocks == packed.leaves + 3
    spans = list(node_spans(packed))
    assert spans == [(0, NODE_ENTRIES), (NODE_ENTRIES, packed.leaves)]


def test_refuses_what_an_index_cannot_reach() -> None:
    with pytest.raises(DirectoryTooLarge, match="258570 at most"):
        shape(300_000 * 4000, 264)
