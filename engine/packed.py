"""Numbers packed one behind the other, in this machine's order of bytes."""

from __future__ import annotations

from array import array
from typing import Literal


def numbers(kind: Literal["i", "I", "q"], data: bytes) -> array[int]:
    """Returns the numbers that an array's `tobytes` packed.

    Args:
        kind: Type code of the array.
        data: Whole numbers of that kind.
    """
    found = array(kind)
    found.frombytes(data)
    return found
