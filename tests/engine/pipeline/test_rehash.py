"""The fs-verity digest of a file that changed: that of all its bytes, without reading them."""

from __future__ import annotations

import os
import random
import subprocess
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.pipeline import rehash
from engine.pipeline.packing import digests
from engine.pipeline.rehash import Changes, verity_again
from engine.pipeline.takeover import Range, Reused
from engine.pipeline.taking import take_all, take_range
from engine.provenance.fsverity import BLOCK, GROUP, FsVerity
from engine.reuse.leaves import SIZE, LeafWriter, opened
from engine.reuse.part import Part
from tests.engine.pipeline.test_sparse import never

BLOCKS = GROUP // BLOCK


def quiet(done: int, total: int) -> None:
    pass


def hashed(path: Path, leaves: Path) -> FsVerity:
    """Takes a whole file, and leaves the digests of its blocks."""
    writer = LeafWriter(Part(leaves))
    verity = FsVerity(writer.keep)
    take_all(path, [verity], quiet, never)
    verity.digest()
    install(writer)
    return verity


def install(writer: LeafWriter) -> None:
    part = writer.finish()
    assert part is not None
    part.install()


def holey(path: Path, size: int, pieces: list[tuple[int, bytes]]) -> None:
    with path.open("wb") as file:
        file.truncate(size)
        for at, data in pieces:
            file.seek(at)
            file.write(data[: max(size - at, 0)])


def again(path: Path, before: FsVerity, leaves: Path, changes: Changes, left: Path) -> FsVerity:
    writer = LeafWriter(Part(left))
    with opened(leaves, before.groups, changes.size) as known:
        found = verity_again(
            path, before.groups, known, changes, FsVerity(writer.keep), never
        )  # fmt: skip
    found.digest()
    install(writer)
    return found


def right(path: Path, found: FsVerity, left: Path) -> None:
    """Asserts that it is the file's digest, and that what is left is what all its bytes leave."""
    assert found.digest() == digests(path, ("fsverity",), quiet, never)["fsverity"]
    anew = hashed(path, left.with_name("anew"))
    assert found.groups == anew.groups
    size = path.stat().st_size
    with (
        opened(left, found.groups, size) as ours,
        opened(left.with_name("anew"), anew.groups, size) as theirs,
    ):
        assert [ours.of(n) for n in anew.groups] == [theirs.of(n) for n in anew.groups]


@given(st.data(), st.integers(0, 3 * GROUP), st.integers(0, 3 * GROUP))
@settings(max_examples=15)
def test_a_changed_file_is_hashed_where_it_changed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, before: int, after: int
) -> None:
    places = st.integers(0, max(before, after, 1))
    folder = tmp_path_factory.mktemp("changed")
    file = folder / "file"
    drawn = data.draw(st.lists(places, max_size=4))
    holey(file, before, [(at, b"x" * 10) for at in drawn if at + 10 < before])
    old = hashed(file, folder / "leaves")
    touched = []
    os.truncate(file, after)
    with file.open("r+b") as stream:
        for at in data.draw(st.lists(places, max_size=4)):
            if at + 10 < after:
                stream.seek(at)
                stream.write(data.draw(st.sampled_from([bytes(10), b"new" * 3 + b"s"])))
                touched.append((at, at + 10))
    changes = Changes(before, sorted(touched))
    right(file, again(file, old, folder / "leaves", changes, folder / "left"), folder / "left")
    none = again(file, old, folder / "none", changes, folder / "left")
    assert none.digest() == digests(file, ("fsverity",), quiet, never)["fsverity"]


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_what_moved_is_known_by_its_blocks(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Pieces of an old file, new data and holes in any order; one of the leaves may be damaged."""
    folder = tmp_path_factory.mktemp("moved")
    draw = random.Random(data.draw(st.integers(0, 1 << 20)))
    length = data.draw(st.integers(1, 3 * BLOCKS))
    blocks = [draw.choice([b"", draw.randbytes(BLOCK)]) for _ in range(length)]
    if draw.random() < 0.5:
        blocks[: BLOCKS + 3] = [b""] * min(length, BLOCKS + 3)
    old, new = folder / "old", folder / "new"
    tail = data.draw(st.sampled_from([0, 1, 600]))
    holey(old, length * BLOCK - tail, [(n * BLOCK, one) for n, one in enumerate(blocks) if one])
    before = hashed(old, folder / "leaves")

    parts: list[bytes] = []
    moved: list[Reused] = []
    touched: list[Range] = []
    for _ in range(data.draw(st.integers(1, 5))):
        at, how = len(parts), data.draw(st.sampled_from(["moved", "same", "new", "hole"]))
        count = data.draw(st.integers(1, 2 * BLOCKS))
        if how == "same" and at < length - 1:
            parts += blocks[at : min(at + count, length - 1)]
            continue
        if how == "moved" and length > 1:
            start = data.draw(st.integers(0, length - 2))
            taken = blocks[start : min(start + count, length - 1)]
            moved.append(Reused(at * BLOCK, start * BLOCK, len(taken) * BLOCK))
            parts += taken
        else:
            parts += [draw.randbytes(BLOCK) if how == "new" else b""] * count
        touched.append((at * BLOCK, len(parts) * BLOCK))
    if not parts:
        return
    size = len(parts) * BLOCK - data.draw(st.sampled_from([0, 1, 600]))
    holey(new, size, [(n * BLOCK, one) for n, one in enumerate(parts) if one])
    if (touched or [(0, 0)])[-1][1] != len(parts) * BLOCK:
        touched.append((size // BLOCK * BLOCK, len(parts) * BLOCK))
    damage = data.draw(st.booleans()) and (folder / "leaves").stat().st_size
    if damage:
        with (folder / "leaves").open("r+b") as file:
            file.seek(draw.randrange(damage))
            file.write(draw.randbytes(40))
            if draw.random() < 0.2:
                file.truncate(draw.randrange(damage))

    found = again(new, before, folder / "leaves", Changes(old.stat().st_size, touched, moved),
                  folder / "left")  # fmt: skip
    if damage:
        assert found.digest() == digests(new, ("fsverity",), quiet, never)["fsverity"]
    else:
        right(new, found, folder / "left")


def test_only_what_is_new_is_read(tmp_path: Path) -> None:
    draw = random.Random(3)
    data = draw.randbytes(5 * GROUP)
    grown = data[:GROUP] + draw.randbytes(3 * BLOCK) + data[GROUP:]
    (tmp_path / "old").write_bytes(data)
    (tmp_path / "new").write_bytes(grown)
    before = hashed(tmp_path / "old", tmp_path / "leaves")
    read: list[Range] = []
    real = take_range

    def noted(file: int, wanted: Range, *rest: object) -> None:
        read.append(wanted)
        real(file, wanted, *rest)  # type: ignore[arg-type]

    moved = Reused(GROUP + 3 * BLOCK, GROUP, 4 * GROUP)
    changes = Changes(len(data), [(GROUP, len(grown))], [moved])
    with mock.patch.object(rehash, "take_range", noted):
        found = again(
            tmp_path / "new", before, tmp_path / "leaves", changes, tmp_path / "left"
        )  # fmt: skip
    assert read == [(GROUP, GROUP + 3 * BLOCK)]
    said = subprocess.run(
        ["fsverity", "digest", tmp_path / "new"], check=True, capture_output=True, text=True
    )
    assert said.stdout.partition(" ")[0] == f"sha256:{found.digest()}"


def test_leaves_of_another_build_say_nothing(tmp_path: Path) -> None:
    for name, byte in (("one", b"1"), ("two", b"2")):
        (tmp_path / name).write_bytes(byte * 2 * GROUP)
    one = hashed(tmp_path / "one", tmp_path / "leaves of one")
    hashed(tmp_path / "two", tmp_path / "leaves of two")
    with ExitStack() as stack:
        mine, other, none = (
            stack.enter_context(opened(path, one.groups, 2 * GROUP))
            for path in (tmp_path / "leaves of one", tmp_path / "leaves of two", None)
        )
        assert mine.of(1) == (tmp_path / "leaves of one").read_bytes()[SIZE:]
        assert [other.of(1), none.of(1)] == [None, None]
        assert [mine.of(2), none.of(2)] == [None, None]  # behind the end


def test_leaves_that_cannot_be_written_are_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    writer = LeafWriter(Part(tmp_path / "file" / "below"))
    writer.keep(bytes(SIZE))
    assert writer.finish() is None
    full = LeafWriter(Part(tmp_path / "full"))
    assert full._file is not None
    full._file.close()
    full._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
    full.keep(bytes(SIZE))
    assert full.finish() is None
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
