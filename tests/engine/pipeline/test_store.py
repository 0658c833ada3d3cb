"""The store of volumes: whole or not there, verified, shared by many, and never too large."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from engine.pipeline.store import Damaged, Store
from engine.problem import Refused
from engine.reuse.digests import Digests

MIB = 1 << 20


def never() -> bool:
    return False


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with data, a hole, data that is zero, and more data."""
    path = tmp_path / "image"
    with path.open("wb") as stream:
        stream.truncate(8 * MIB)
        stream.seek(MIB)
        stream.write(os.urandom(MIB + 5))
        stream.seek(4 * MIB)
        stream.write(bytes(MIB))
        stream.seek(8 * MIB - 100)
        stream.write(b"x" * 100)
    return path


def key(number: int) -> str:
    return f"{number:064x}"


def test_what_is_put_in_comes_out(tmp_path: Path, image: Path) -> None:
    store = Store(tmp_path / "store")
    assert store.get(key(1), never) is None
    assert store.put(key(1), image, MIB, 7 * MIB, never)
    assert not store.put(key(1), image, 0, MIB, never)
    found = Store(tmp_path / "store").get(key(1), never)

    assert found is not None
    assert found.path.read_bytes() == image.read_bytes()[MIB:]
    assert found.length == 7 * MIB
    assert found.data < 4 * MIB
    assert list((tmp_path / "store/tmp").iterdir()) == []


def test_holes_and_zeros_are_the_same_to_it(tmp_path: Path, image: Path) -> None:
    dense = tmp_path / "dense"
    dense.write_bytes(image.read_bytes())
    stores = [Store(tmp_path / name) for name in ("a", "b")]
    for store, path in zip(stores, (image, dense), strict=True):
        store.put(key(1), path, 0, 8 * MIB, never)

    a, b = ((store.folder / "volumes/00" / key(1) / "entry.json").read_bytes() for store in stores)
    assert a == b


@pytest.mark.parametrize(
    "harm",
    [
        lambda data, entry: data.write_bytes(data.read_bytes()[:-1] + b"y"),
        lambda data, entry: os.truncate(data, 5),
        lambda data, entry: data.write_bytes(b"y" + data.read_bytes()[1:]),
        lambda data, entry: entry.write_bytes(b"{"),
        lambda data, entry: entry.write_bytes(entry.read_bytes().replace(b":1,", b":9,")),
    ],
)
def test_a_poisoned_entry_is_thrown_out(tmp_path: Path, image: Path, harm: object) -> None:
    store = Store(tmp_path / "store")
    store.put(key(1), image, 0, 8 * MIB, never)
    assert store.get(key(1), never) is not None  # and so is one that was verified before
    place = store.folder / "volumes/00" / key(1)
    time.sleep(0.03)
    assert callable(harm)
    harm(place / "data", place / "entry.json")

    with pytest.raises(Damaged):
        store.get(key(1), never)
    assert store.get(key(1), never) is None
    assert store.put(key(1), image, 0, 8 * MIB, never)
    assert store.get(key(1), never) is not None


def test_an_entry_that_lost_a_part_is_thrown_out(tmp_path: Path, image: Path) -> None:
    store = Store(tmp_path / "store")
    store.put(key(1), image, 0, 8 * MIB, never)
    (store.folder / "volumes/00" / key(1) / "data").unlink()

    assert store.get(key(1), never) is None
    assert store.put(key(1), image, 0, 8 * MIB, never)


def test_the_collector_removes_what_was_not_used_for_longest(tmp_path: Path, image: Path) -> None:
    store = Store(tmp_path / "store")
    for number in range(4):
        store.put(key(number), image, 0, 2 * MIB, never)
        os.utime(store.folder / "volumes/00" / key(number) / "entry.json", (number, number))
    assert store.get(key(0), never) is not None  # used just now
    size = store.collect(1 << 40) // 4
    left = store.collect(2 * size)

    there = [number for number in range(4) if store.get(key(number), never) is not None]
    assert there == [0, 3]
    assert left <= 2 * size


def test_a_store_stays_below_its_limit(tmp_path: Path, image: Path) -> None:
    store = Store(tmp_path / "store", limit=3 * MIB)
    for number in range(5):
        store.put(key(number), image, 0, 2 * MIB, never)

    assert store.collect(1 << 40) <= 3 * MIB
    assert store.get(key(4), never) is not None  # what was put in last


def _write(folder: Path, image: Path, number: int) -> None:
    store = Store(folder)
    for at in range(8):
        store.put(key(at), image, 0, 2 * MIB, never)
        assert store.get(key(at), never) is not None
        store.learn(Digests({number * 100 + at: bytes(32)}))


def test_many_writers_share_one_folder(tmp_path: Path, image: Path) -> None:
    store = tmp_path / "store"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(store, image, n)) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=60)

    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(Store(store).digests()) == 24
    assert list((store / "tmp").iterdir()) == []


def test_a_cancel_leaves_nothing(tmp_path: Path, image: Path) -> None:
    store = Store(tmp_path / "store")

    assert not store.put(key(1), image, 0, 8 * MIB, lambda: True)
    assert store.get(key(1), never) is None
    assert list((store.folder / "tmp").iterdir()) == []


def test_one_makes_an_entry_at_a_time(tmp_path: Path) -> None:
    store, other = Store(tmp_path / "store"), Store(tmp_path / "store")
    first = store.claim("a")
    assert first is not None
    assert first.held
    assert store.claim("a") is None
    assert other.claim("a") is None
    assert other.claim("b") is not None
    first.release()
    first.release()
    assert not first.held
    assert other.claim("a") is not None


def test_an_entry_of_one_run_is_believed_while_its_file_stays_as_it_is(
    tmp_path: Path, image: Path
) -> None:
    store = Store(tmp_path / "store", stays=False)
    store.put(key(1), image, 0, 8 * MIB, never)
    other = Store(tmp_path / "store", stays=False)
    stored = other.get(key(1), never)
    assert stored is not None

    with stored.path.open("r+b") as stream:
        stream.write(b"x")
    with pytest.raises(Damaged, match="its file has changed"):
        other.get(key(1), never)
    assert other.get(key(1), never) is None


def test_what_is_no_store_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(Refused, match="is not a store"):
        Store(tmp_path)
    with pytest.raises(Refused, match="cannot be used"):
        Store(tmp_path / "mine" / "below")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_what_a_killed_build_left_goes_after_a_day(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    old, new = store.folder / "tmp/old.volume", store.folder / "tmp/new.volume"
    old.mkdir()
    new.mkdir()
    os.utime(old, (1, 1))
    Store(tmp_path / "store")

    assert list((store.folder / "tmp").iterdir()) == [new]
