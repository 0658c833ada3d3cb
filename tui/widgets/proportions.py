"""How many cells each part of a bar gets."""

from __future__ import annotations

from collections.abc import Sequence


def cells(weights: Sequence[int], width: int, *, minimum: int = 1) -> list[int]:
    """Divides a bar by largest remainder.

    Args:
        weights: One non-negative weight for each part.
        width: Cells to give out; the result sums to it.
        minimum: Cells every part gets, however small, as long as there is room.

    Returns:
        Cells for each part. Without room for the minimum, the first parts get one cell each.
    """
    count = len(weights)
    if count == 0 or width <= 0:
        return [0] * count
    if width < count * minimum:
        base, extra = divmod(width, count)
        return [base + (1 if index < extra else 0) for index in range(count)]
    total = sum(weights)
    if total <= 0:
        weights, total = [1] * count, count
    # Parts below the minimum are given it first; the rest is shared among the others.
    small: set[int] = set()
    while True:
        free = width - minimum * len(small)
        rest = sum(weight for index, weight in enumerate(weights) if index not in small)
        more = {
            index
            for index, weight in enumerate(weights)
            if index not in small and weight * free < minimum * rest
        }
        if not more:
            break
        small |= more
    result = [minimum] * count
    large = [index for index in range(count) if index not in small]
    if not large:
        return cells([1] * count, width, minimum=minimum)
    for index in large:
        result[index] = weights[index] * free // rest
    by_remainder = sorted(large, key=lambda index: (-(weights[index] * free % rest), index))
    for index in by_remainder[: width - sum(result)]:
        result[index] += 1
    return result


def even(weights: Sequence[int]) -> list[int]:
    """Returns weights that keep the order of sizes but let small parts be read.

    The weight is the number of binary digits, so a part twice as large is a little wider.
    """
    return [max(weight.bit_length(), 1) for weight in weights]


def fitted(wanted: Sequence[int], room: int) -> list[int]:
    """Returns the cells columns get: what they want, or else an even part of what is left.

    Args:
        wanted: Cells of each column's widest text.
        room: Cells for all of them; without so many, what narrow columns leave goes to the others.
    """
    result = list(wanted)
    if sum(wanted) <= room:
        return result
    left = max(room, 0)
    by_size = sorted(range(len(wanted)), key=lambda index: wanted[index])
    for position, index in enumerate(by_size):
        result[index] = min(wanted[index], left // (len(wanted) - position))
        left -= result[index]
    return result
