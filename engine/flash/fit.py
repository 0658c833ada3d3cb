"""Fits the partition table of an image to the disk that it is written to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from engine.disk.gpt_move import read_gpt
from engine.flash.destination import Destination
from engine.flash.payload import CHUNK, Payload
from engine.image.container import BadImage


def fitted(payload: Payload, destination: Destination) -> Payload:
    """Returns an image whose GPT is fitted to the destination: the backup at the very end.

    Raises:
        BadImage: It has no GPT, or a damaged one.
    """
    sector = payload.table.sector_size
    try:
        pieces = read_gpt(payload.head, sector).fitted(destination.bytes // sector)
    except ValueError as error:
        raise BadImage(f"{payload.path.name}: the backup GPT cannot be moved: {error}") from error
    inside = tuple(piece for piece in pieces if piece[0] < payload.size)
    tail = tuple(piece for piece in pieces if piece[0] >= payload.size)
    return replace(payload, pieces=lambda: _overlaid(payload, inside), tail=tail)


def _overlaid(payload: Payload, over: Sequence[tuple[int, bytes]]) -> Iterator[bytes | None]:
    """Yields an image's chunks with some bytes replaced."""
    for number, given in enumerate(payload.pieces()):
        at = number * CHUNK
        length = min(CHUNK, payload.size - at)
        touched = [(o, data) for o, data in over if o < at + length and o + len(data) > at]
        if not touched:
            yield given
            continue
        piece = bytearray(bytes(length) if given is None else given)
        for offset, data in touched:
            first, last = max(offset, at), min(offset + len(data), at + length)
            piece[first - at : last - at] = data[first - offset : last - offset]
        yield bytes(piece)
