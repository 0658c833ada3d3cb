"""gzip whose bytes follow from the contents alone, read by zlib and by gzip itself."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.pipeline.gzipped import Gzip

MIB = 1 << 20
CONTENTS = b"".join(
    (bytes(MIB + 5), random.Random(3).randbytes(MIB), b"text " * 500_000, bytes(3 * MIB), b"end")
)


def packed(data: bytes, pieces: list[int]) -> bytes:
    made, at = b"", 0
    with closing(Gzip()) as stream:
        for piece in pieces:
            made += stream.compress(memoryview(data)[at : at + piece])
            at += piece
        return made + stream.compress(data[at:]) + stream.flush()


@settings(max_examples=25, deadline=None)
@given(pieces=st.lists(st.integers(0, 3 * MIB), max_size=6))
def test_however_it_comes_the_bytes_are_the_same(pieces: list[int]) -> None:
    assert packed(CONTENTS, pieces) == packed(CONTENTS, [])


@pytest.mark.parametrize("processors", [1, 2, 7, None])
def test_on_any_number_of_processors_they_are_the_same(processors: int | None) -> None:
    expected = packed(CONTENTS, [])
    with mock.patch.object(os, "cpu_count", return_value=processors):
        assert packed(CONTENTS, []) == expected


@given(data=st.binary(max_size=2000))
@settings(deadline=None, max_examples=50)
def test_what_goes_in_comes_out(data: bytes) -> None:
    assert gzip.decompress(packed(data, [])) == data


def test_gzip_itself_reads_it_and_finds_no_time_and_no_name(tmp_path: Path) -> None:
    path = tmp_path / "disk.gz"
    path.write_bytes(packed(CONTENTS, []))
    ran = subprocess.run(("gzip", "-dc", path), check=True, capture_output=True)
    assert ran.stdout == CONTENTS
    assert path.read_bytes()[:10] == bytes.fromhex("1f8b08000000000000ff")
    assert path.stat().st_size < len(CONTENTS) // 4
