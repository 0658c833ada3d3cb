"""Reads and writes that the kernel cuts short are carried on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.image.whole import fill_whole, read_whole, write_whole

_DATA = bytes(range(256)) * 5


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A file of which one call reads or writes at most 100 bytes."""
    pread, pwrite, preadv = os.pread, os.pwrite, os.preadv
    monkeypatch.setattr(os, "pread", lambda fd, length, at: pread(fd, min(length, 100), at))
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, at: preadv(fd, [buffers[0][:100]], at))
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, memoryview(data)[:100], at))
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("of", [bytes, bytearray, memoryview])
def test_all_is_written_and_read(short: int, of: type[bytes | bytearray | memoryview]) -> None:
    write_whole(short, of(_DATA), 7)

    assert os.fstat(short).st_size == 7 + len(_DATA)
    assert read_whole(short, len(_DATA), 7) == _DATA
    assert read_whole(short, 0, 7) == b""
    buffer = memoryview(bytearray(len(_DATA)))
    fill_whole(short, buffer, 7)
    assert buffer == _DATA


def test_a_file_that_ends_before_is_named_by_where(short: int) -> None:
    write_whole(short, _DATA, 0)

    with pytest.raises(OSError, match="ends at byte 1280"):
        read_whole(short, len(_DATA), 1)
