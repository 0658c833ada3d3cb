"""Digests of files with holes: the same as coreutils and fsverity-utils compute of all bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.pipeline.packing import digests, taken, verity_again
from engine.provenance.fsverity import BLOCK, GROUP, FsVerity
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


@given(st.data(), st.integers(0, 3 * GROUP), st.integers(0, 3 * GROUP))
@settings(max_examples=15)
def test_a_changed_file_is_hashed_where_it_changed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, before: int, after: int
) -> None:
    places = st.integers(0, max(before, after, 1))
    file = tmp_path_factory.mktemp("changed") / "file"
    drawn = data.draw(st.lists(places, max_size=4))
    holey(file, before, *((at, 10) for at in drawn if at + 10 < before))
    (old,) = taken(file, ("fsverity",), lambda done, total: None, never).values()
    assert isinstance(old, FsVerity)
    old.digest()
    touched = []
    os.truncate(file, after)
    with file.open("r+b") as stream:
        for at in data.draw(st.lists(places, max_size=4)):
            if at + 10 < after:
                stream.seek(at)
                stream.write(data.draw(st.sampled_from([bytes(10), b"new" * 3 + b"s"])))
                touched.append((at, at + 10))

    again = verity_again(file, old.groups, before, touched, never)

    whole = digests(file, ("fsverity",), lambda done, total: None, never)
    assert again.digest() == whole["fsverity"]
    anew = taken(file, ("fsverity",), lambda done, total: None, never)["fsverity"]
    assert isinstance(anew, FsVerity)
    anew.digest()  # which ends the last group, as it did for the other
    zeros = hashlib.sha256(hashlib.sha256(bytes(BLOCK)).digest() * (GROUP // BLOCK)).digest()
    assert {n: one for n, one in again.groups.items() if one != zeros} == {
        n: one for n, one in anew.groups.items() if one != zeros
    }
