"""Mutations of seeds, the same ones for the same number."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

from tests.fuzz.fields import Field

_EDGES = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF)
_WIDTHS = (1, 2, 4, 8)
_MOST_CHANGES = 6


class Mutator:
    """Makes variants of seeds.

    Args:
        seeds: Well-formed inputs.
        words: Texts that mean something to the reader, to be put in anywhere.
        resize: Whether bytes may be added and removed; an image keeps its length.
        fields: Finds the numbers of a seed that its reader goes by: half of the changes are made
            to these.
        repair: Makes checksums right again; every second variant is repaired.
    """

    def __init__(
        self,
        seeds: Sequence[bytes],
        words: Sequence[bytes] = (),
        *,
        resize: bool = True,
        fields: Callable[[bytes], Sequence[Field]] = lambda seed: (),
        repair: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self._seeds = seeds
        self._fields = [fields(seed) for seed in seeds]
        self._words = words
        self._resize = resize
        self._repair = repair
        # An image is mostly zeros, and what stands between them is what a reader looks at.
        self._places = [_places(seed) for seed in seeds]

    def variant(self, number: int) -> bytes:
        """Returns the variant of that number."""
        draw = random.Random(number)
        index = draw.randrange(len(self._seeds))
        data = bytearray(self._seeds[index])
        for _ in range(draw.randint(1, _MOST_CHANGES)):
            if self._fields[index] and draw.randrange(2):
                _renumber(draw, data, self._fields[index])
            else:
                self._change(draw, data, self._places[index])
        return self._repair(bytes(data)) if self._repair and number % 2 else bytes(data)

    def _change(self, draw: random.Random, data: bytearray, places: Sequence[int]) -> None:
        at = min(draw.choice(places) + draw.randint(-2, 2) if places else 0, len(data) - 1)
        at = max(at, 0)
        kind = draw.randrange(10)
        if kind < 3 and data:
            data[at] ^= 1 << draw.randrange(8)
        elif kind < 6:
            _put(data, at, _number(draw))
        elif kind == 6 and self._words:
            self._insert(data, at, draw.choice(self._words))
        elif kind == 7:
            length = draw.randint(1, 64)
            start = draw.choice(places) if places else 0
            self._insert(data, at, bytes(data[start : start + length]))
        elif kind == 8 and self._resize:
            del data[at : at + draw.choice((1, 2, 16, 512, len(data)))]
        else:
            self._insert(data, at, draw.randbytes(draw.choice((1, 4, 16))))

    def _insert(self, data: bytearray, at: int, piece: bytes) -> None:
        if self._resize and at % 2:
            data[at:at] = piece
        else:
            _put(data, at, piece)


def _renumber(draw: random.Random, data: bytearray, fields: Sequence[Field]) -> None:
    """Gives a field another number: one near its own, one of another field, or an extreme."""
    at, form = draw.choice(fields)
    top = 1 << 8 * struct.calcsize(form)
    (own,) = struct.unpack_from(form, data, at)
    other_at, other_form = draw.choice(fields)
    (other,) = struct.unpack_from(other_form, data, other_at)
    bit = 1 << draw.randrange(8 * struct.calcsize(form))
    near = own + draw.randint(-3, 3)
    number = draw.choice((other, near, own ^ bit, own * 2, own // 2, bit, top - bit, *_EDGES))
    struct.pack_into(form, data, at, number % top)


def _number(draw: random.Random) -> bytes:
    width = draw.choice(_WIDTHS)
    top = 1 << 8 * width
    value = draw.choice((*_EDGES, top - 1, top // 2, top // 2 - 1, draw.randrange(top))) % top
    return value.to_bytes(width, draw.choice(("little", "big")))


def _put(data: bytearray, at: int, piece: bytes) -> None:
    piece = piece[: max(len(data) - at, 0)]
    data[at : at + len(piece)] = piece


def _places(seed: bytes) -> Sequence[int]:
    if seed.count(0) * 2 < len(seed):
        return range(len(seed))
    return [at for at, byte in enumerate(seed) if byte]
