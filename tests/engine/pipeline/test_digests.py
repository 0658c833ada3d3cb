"""Digests of files with holes: the same as coreutils and fsverity-utils compute of all bytes."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.pipeline.packing import digests
from engine.provenance.fsverity import BLOCK, FsVerity
from tests.engine.pipeline.test_sparse import MIB, holey, never

SHAPES: list[tuple[int, tuple[tuple[int, int], ...]]] = [
    (0, ()),
    (1, ((0, 1),)),
    (BLOCK, ((0, BLOCK),)),
    (128 * BLOCK, ()),
    (128 * BLOCK + 1, ((BLOCK, 5),)),
    (5 * MIB + 3, ()),
    (3 * MIB, ((0, 3 * MIB),)),
    (9 * MIB + 1, ((2 * MIB, 70_000), (9 * MIB, 1))),
    (70 * MIB, ((64 * MIB + 4095, 2),)),
]


@pytest.mark.parametrize(("size", "pieces"), SHAPES)
def test_they_are_of_all_bytes(
    tmp_path: Path, size: int, pieces: tuple[tuple[int, int], ...]
) -> None:
    file = holey(tmp_path / "file", size, *pieces)
    reports: list[tuple[int, int]] = []

    found = digests(file, ("sha256", "fsverity"), lambda *done: reports.append(done), never)

    assert found["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    said = subprocess.run(["fsverity", "digest", file], check=True, capture_output=True, text=True)
    assert said.stdout == f"sha256:{found['fsverity']} {file}\n"
    assert reports[-1] == (size, size)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 200 * BLOCK)), max_size=6))
def test_holes_are_zeros_wherever_they_are(pieces: list[tuple[bool, int]]) -> None:
    whole, parts = FsVerity(), FsVerity()
    for hole, length in pieces:
        data = bytes(length) if hole else (b"data" * length)[:length]
        whole.data(memoryview(data))
        if hole:
            parts.hole(length)
        else:
            parts.data(memoryview(data))

    assert whole.digest() == parts.digest()
