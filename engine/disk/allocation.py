"""Shares out what a disk has left, by weight and in whole MiB."""

from __future__ import annotations

from collections.abc import Sequence

from engine.units import MIB


def share_out(available: int, weights: Sequence[int], least: Sequence[int]) -> tuple[int, ...]:
    """Returns a size for each weight: whole MiB, by weight, none below its least.

    The sizes sum to `available` in whole MiB, unless the least sizes alone take more; then they
    are what is returned.

    Args:
        available: Bytes to share out.
        weights: Positive, one for each volume.
        least: Bytes, in whole MiB, that each must have.
    """
    free = set(range(len(weights)))
    sizes = list(least)
    while free:
        left = max(
            0, available // MIB - sum(sizes[i] for i in range(len(sizes)) if i not in free) // MIB
        )
        total = sum(weights[i] for i in free)
        short = {i for i in free if left * weights[i] < least[i] // MIB * total}
        if not short:
            _by_weight(sizes, sorted(free), weights, left)
            break
        free -= short  # they have their least; the others share what that leaves
    return tuple(sizes)


def _by_weight(sizes: list[int], which: Sequence[int], weights: Sequence[int], left: int) -> None:
    """Divides so many MiB; the remainder goes to the largest fractions, first ones first."""
    total = sum(weights[i] for i in which)
    whole = {i: left * weights[i] // total for i in which}
    rest = left - sum(whole.values())
    for i in sorted(which, key=lambda i: (-(left * weights[i] % total), i))[:rest]:
        whole[i] += 1
    for i in which:
        sizes[i] = whole[i] * MIB
