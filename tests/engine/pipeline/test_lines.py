"""Tool output in pieces, whatever chunks it arrives in."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from engine.tools.lines import MAX_LINE, LineSplitter, Piece, clean

REPAINTED = "start\r\n    (1.00/100%)\r    (50.00/100%)\r    (100.00/100%)\r\nend ü"


def pieces(*chunks: bytes) -> list[Piece]:
    splitter = LineSplitter()
    found = [piece for chunk in chunks for piece in splitter.feed(chunk)]
    return [*found, *splitter.feed(b"", final=True)]


def test_newlines_end_log_lines_and_returns_end_progress() -> None:
    assert pieces(REPAINTED.encode()) == [
        Piece("log", "start"),
        Piece("progress", "    (1.00/100%)"),
        Piece("progress", "    (50.00/100%)"),
        Piece("log", "    (100.00/100%)"),
        Piece("log", "end ü"),
    ]


@given(st.lists(st.integers(0, len(REPAINTED.encode())), max_size=8))
def test_chunks_make_no_difference(cuts: list[int]) -> None:
    whole = REPAINTED.encode()
    edges = [0, *sorted(cuts), len(whole)]
    chunks = [whole[start:end] for start, end in pairwise(edges)]

    assert pieces(*chunks) == pieces(whole)


def test_backspaces_repaint_as_mke2fs_does_it() -> None:
    assert pieces(b"1/32\b\b\b\b2/32\b\b\b\bdone\n") == [
        Piece("progress", "1/32"),
        Piece("progress", "2/32"),
        Piece("log", "done"),
    ]


def test_bytes_that_are_not_utf8_are_shown_as_such() -> None:
    assert pieces(b"a\xff\xfeb\n") == [Piece("log", "a\ufffd\ufffdb")]


def test_a_line_without_end_is_cut_and_the_next_one_is_whole() -> None:
    endless = b"x" * (3 * MAX_LINE)

    first, second = pieces(*[endless] * 20, b"rest\nnext\n")

    assert first.text == "x" * MAX_LINE + "…"
    assert second == Piece("log", "next")


def test_terminal_escapes_are_dropped() -> None:
    assert clean("\x1b[1;31mred\x1b[0m \x1b]0;title\x07\tplain\x00") == "red \tplain"
