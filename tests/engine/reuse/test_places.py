"""Places of data by digest, as a record keeps them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.filesystems.placed import Piece, Place
from engine.manifest.entry import Entry
from engine.reuse.places import Known, Places

SIZE = 4096
D1, D2 = b"1" * 32, b"2" * 32


def stored(place: Place, size: int, digest: bytes = D1) -> Known:
    places = Places(SIZE)
    entry = Entry(b"x", 0o100644, size=size)
    places.put([entry], [place])
    return Known(places.dumps({id(entry): digest}))


def test_data_in_one_piece_is_found_by_its_digest() -> None:
    known = stored(100, 3 * SIZE - 5)
    assert len(known) == 1
    assert known.runs(D1, 3 * SIZE - 5, 7) == [(100, 7, 3)]
    assert known.runs(D2, 3 * SIZE - 5, 7) is None


@st.composite
def pieces(draw: st.DrawFn, blocks: list[int]) -> list[Piece]:
    """Lays blocks of a file out in pieces somewhere."""
    found: list[Piece] = []
    disk = draw(st.integers(1, 50))
    for block in blocks:
        joins = found and found[-1][0] + found[-1][2] == block and draw(st.booleans())
        if joins:
            logical, first, count = found[-1]
            found[-1] = logical, first, count + 1
        else:
            found.append((block, disk, 1))
        disk = found[-1][1] + found[-1][2] + (0 if joins else draw(st.integers(0, 2)))
    return found


@given(st.data(), st.lists(st.integers(0, 20), min_size=1, unique=True).map(sorted))
def test_pieces_are_matched_block_for_block(data: st.DataObject, blocks: list[int]) -> None:
    here, there = data.draw(pieces(blocks)), data.draw(pieces(blocks))
    runs = stored(here, 21 * SIZE).runs(D1, 21 * SIZE, there)
    assert runs is not None
    moved = {to + n: source + n for source, to, count in runs for n in range(count)}
    source = {logical + n: disk + n for logical, disk, count in here for n in range(count)}
    target = {logical + n: disk + n for logical, disk, count in there for n in range(count)}
    assert moved == {target[block]: source[block] for block in blocks}


def test_a_block_that_is_not_there_is_not_made_up() -> None:
    assert stored([(0, 5, 1)], 3 * SIZE).runs(D1, 3 * SIZE, [(0, 9, 2)]) is None
