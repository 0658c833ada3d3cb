"""Digests by identity: believed where nothing can have changed, and never otherwise."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.manifest.entry import Entry, identity
from engine.manifest.folder import COARSE_NS, GRAIN_NS, FolderSource, is_recent
from engine.manifest.manifest import Manifest
from engine.manifest.memory import copy_of, file_of
from engine.manifest.progress import Ticker
from engine.manifest.walk import Rules, Walk
from engine.provenance.inputs import read_sums
from engine.reuse.digests import BadDigests, Digests


def walked(folder: Path, *, age_ns: int = 2 * COARSE_NS) -> Manifest:
    """Walks a folder as if that much time had gone by since it was last changed."""
    newest_ns = max(path.stat().st_ctime_ns for path in (folder, *folder.rglob("*")))
    walk = Walk(Rules(), Ticker(None, None), _begun_ns=newest_ns + age_ns)
    walk.folder(os.fsencode(folder), b"")
    walk.tie()
    return Manifest(walk.entries)


def tree(folder: Path) -> Path:
    (folder / "below").mkdir(parents=True)
    (folder / "a").write_bytes(b"first")
    (folder / "below" / "b").write_bytes(b"second" * 1000)
    with (folder / "hole").open("wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 19)
        file.write(b"data")
    return folder


def learned(manifest: Manifest) -> Digests:
    digests = Digests()
    digests.learn(manifest, read_sums(manifest).of(manifest))
    return digests


def test_nothing_is_read_of_files_that_stayed(tmp_path: Path) -> None:
    folder = tree(tmp_path / "tree")
    digests = learned(walked(folder))
    again = walked(folder)
    sums, missing = Digests.loads(digests.dumps()).known(again)
    assert missing == []
    assert sums.of(again) == read_sums(again).of(again)


def test_a_file_is_read_again_whose_size_and_time_were_put_back(tmp_path: Path) -> None:
    folder = tree(tmp_path / "tree")
    digests = learned(walked(folder))
    before = (folder / "a").stat()
    (folder / "a").write_bytes(b"FIRST")
    os.utime(folder / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (folder / "a").stat().st_ctime_ns > before.st_ctime_ns
    _, missing = digests.known(walked(folder))
    assert [entry.path for entry in missing] == [b"a"]


def test_a_file_that_has_just_changed_is_not_learned(tmp_path: Path) -> None:
    folder = tree(tmp_path / "tree")
    digests = learned(walked(folder, age_ns=0))
    assert len(digests) == 0


@pytest.mark.parametrize(
    ("ctime", "age", "recent"),
    [
        (1_700_000_000_123_456_789, GRAIN_NS, True),
        (1_700_000_000_123_456_789, GRAIN_NS + 1, False),
        (1_700_000_000_000_000_000, COARSE_NS, True),
        (1_700_000_000_000_000_000, COARSE_NS + 1, False),
        (1_700_000_000_123_456_789, -5 * COARSE_NS, True),  # a server whose clock is ahead
    ],
)
def test_what_is_recent_depends_on_the_grain_of_times(ctime: int, age: int, recent: bool) -> None:
    assert is_recent(ctime, ctime + age) is recent


def test_made_up_data_has_no_identity_and_a_copy_that_of_its_original(tmp_path: Path) -> None:
    original = walked(tree(tmp_path / "tree")).get(b"a")
    assert original is not None
    assert identity(file_of(b"x", b"data", mtime_ns=0)) is None
    assert identity(copy_of(b"x", original)) == identity(original) is not None


def test_where_the_holes_lie_is_part_of_the_identity() -> None:
    source = FolderSource(b"/nowhere")
    one = Entry(b"x", 0o100644, size=9, source=source, stamp=5, extents=((0, 4),))
    other = Entry(b"x", 0o100644, size=9, source=source, stamp=5, extents=((0, 5),))
    assert identity(one) != identity(other)


@given(st.dictionaries(st.integers(-(2**63), 2**63 - 1), st.binary(min_size=32, max_size=32)))
def test_what_is_stored_is_what_is_loaded(known: dict[int, bytes]) -> None:
    stored = Digests(known).dumps()
    loaded = Digests.loads(stored)
    assert {number: loaded._of(number) for number in known} == known
    assert len(loaded) == len(known)
    for wrong in (stored[:-1], b"", stored[1:], stored + b"\0"):
        with pytest.raises(BadDigests):
            Digests.loads(wrong)


@given(
    st.dictionaries(
        st.integers(-3, 3).map(lambda number: number << 8),
        st.binary(min_size=32, max_size=32),
        min_size=1,
    ),
    st.integers(-(1 << 20), 1 << 20),
    st.sampled_from([0, 1, 1000]),
)
def test_a_few_are_found_without_taking_all_apart(
    known: dict[int, bytes], wanted: int, few: int
) -> None:
    loaded = Digests.loads(Digests(known).dumps())
    loaded._few = few
    for number in (wanted, *known, wanted):  # parts of two numbers may look like another
        assert loaded._of(number) == known.get(number)
    more = {7: bytes(32), **known}
    joined = Digests.loads(loaded.joined(Digests({7: bytes(32)})).dumps())
    assert {number: joined._of(number) for number in more} == more


def test_digests_are_those_of_the_data(tmp_path: Path) -> None:
    manifest = walked(tree(tmp_path / "tree"))
    entry = manifest.get(b"a")
    assert entry is not None
    assert learned(manifest).of(entry) == hashlib.sha256(b"first").digest()
