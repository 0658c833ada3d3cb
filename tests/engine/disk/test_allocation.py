"""What is left is shared out by weight, in whole MiB, and nobody gets less than the least."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.disk.allocation import share_out

MIB = 1 << 20
SHARES = st.lists(st.tuples(st.integers(1, 20), st.integers(0, 50)), min_size=1, max_size=12)


@given(available=st.integers(0, 5000), shares=SHARES)
def test_sums_and_least_sizes(available: int, shares: list[tuple[int, int]]) -> None:
    weights = [weight for weight, _ in shares]
    least = [size * MIB for _, size in shares]
    sizes = share_out(available * MIB, weights, least)
    assert all(size % MIB == 0 for size in sizes)
    assert all(size >= wanted for size, wanted in zip(sizes, least, strict=True))
    assert sum(sizes) == max(available * MIB, sum(least))


@given(available=st.integers(0, 5000), weights=st.lists(st.integers(1, 20), min_size=1, max_size=9))
def test_by_weight_to_the_mib(available: int, weights: list[int]) -> None:
    sizes = share_out(available * MIB, weights, [0] * len(weights))
    for size, weight in zip(sizes, weights, strict=True):
        exact = available * weight / sum(weights)
        assert abs(size // MIB - exact) < 1


def test_what_has_its_least_leaves_less_to_the_others() -> None:
    assert share_out(100 * MIB, (1, 1, 2), (60 * MIB, 0, 0)) == (60 * MIB, 13 * MIB, 27 * MIB)
