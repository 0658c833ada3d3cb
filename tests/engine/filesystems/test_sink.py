"""Gathered writes leave the bytes that single ones would."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.filesystems.sink import Sink

ORIGIN = 12_345
SIZE = 6 << 20


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    place = tmp_path_factory.mktemp("sink") / "image"
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 600_000)), max_size=8),
    st.booleans(),
)
def test_rising_pieces(image: int, pieces: list[tuple[int, int]], again: bool) -> None:
    """Gaps within touched blocks become zeros, whole blocks between pieces stay as they were."""
    os.ftruncate(image, 0)
    os.pwrite(image, b"\xee" * SIZE, ORIGIN)
    expected = bytearray(b"\xee" * SIZE)
    at = 0
    placed = []
    for gap, length in pieces:
        placed.append((at + gap, length))
        at += gap + length
    for start, length in placed:
        first, end = start - start % 4096, start + length
        expected[first : end + -end % 4096] = bytes(end + -end % 4096 - first)
    with Sink(image, ORIGIN, 4096) as sink:
        for start, length in placed:
            data = random.Random(start).randbytes(length)
            expected[start : start + length] = data
            sink.write(start, data)
        if again and placed:  # back to the beginning, as inode tables do
            sink.write(0, b"again".ljust(4096))
            expected[:4096] = b"again".ljust(4096)
    assert os.pread(image, SIZE, ORIGIN) == expected[: os.fstat(image).st_size - ORIGIN]


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[int]:
    place = tmp_path / "image"
    place.touch()
    descriptor = os.open(place, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_an_error_surfaces_when_the_sink_is_left(unwritable: int) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"), Sink(unwritable, 0, 4096) as sink:
        sink.write(0, b"x")


def write_without_end(sink: Sink) -> None:
    for at in range(0, 1 << 40, 1 << 20):
        sink.write(at, bytes(1 << 20))


def test_an_error_surfaces_while_writing(unwritable: int) -> None:
    before = threading.active_count()
    with pytest.raises(OSError, match="Bad file descriptor"), Sink(unwritable, 0, 4096) as sink:
        write_without_end(sink)
    assert threading.active_count() == before
