"""Files copied by processes of their own: the same bytes, the same errors, nobody left behind."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.filesystems import copiers
from engine.filesystems.copiers import Copiers, of_folder
from engine.filesystems.ext4.geometry import geometry
from engine.filesystems.ext4.writer import fill
from engine.filesystems.populate import Cancelled, PopulateFailed
from engine.manifest.datasums import DataSums
from engine.manifest.entry import Entry, SourceChanged
from engine.manifest.folder import FolderSource
from engine.manifest.manifest import Manifest
from engine.manifest.memory import copy_of, file_of
from engine.manifest.scan import scan
from engine.provenance.inputs import read_sums
from engine.spec.load import loads
from engine.spec.resolve import resolve
from tests.engine.filesystems.ext4 import dumpe2fs

MIB = 1 << 20
SMALL = 600
"""Files: more than two batches."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Makes files of every kind: empty, small, of several reads, with holes, of two names."""
    folder = tmp_path_factory.mktemp("copiers") / "tree"
    generator = random.Random(1)
    for index in range(SMALL):
        place = folder / f"d{index % 7}" / f"file-{index}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(generator.randbytes(generator.randrange(9000) * (index % 5 > 0)))
    (folder / "large").write_bytes(generator.randbytes(5 * MIB + 1))
    (folder / "d0" / "again").hardlink_to(folder / "large")
    with (folder / "holes").open("wb") as file:
        file.seek(3 * MIB)
        file.write(b"data")
        file.truncate(8 * MIB)
    return folder


def scanned(folder: Path) -> Manifest:
    """Returns the folder's manifest, with a file that no folder has and one that is elsewhere."""
    text = f"schema = 1\n[[contents]]\nsource = {str(folder)!r}\ntarget = '/'\n"
    settings, _ = resolve(loads(text), Path("/"), {})
    entries = list(scan(settings).volumes["root"])
    large = next(entry for entry in entries if entry.path == b"large")
    entries += [copy_of(b"z1", large), file_of(b"z2", b"made", mtime_ns=1)]
    return Manifest(entries)


def work_for(monkeypatch: pytest.MonkeyPatch, processors: int) -> None:
    """Has so many processors share any work."""
    monkeypatch.setattr(copiers, "_WORTH_IT", 0)
    monkeypatch.setattr(copiers, "processors", lambda: processors)


def children() -> list[int]:
    """Returns the processes that this one has."""
    return [
        int(word)
        for path in Path("/proc/self/task").glob("*/children")
        for word in path.read_text().split()
    ]


@contextlib.contextmanager
def nobody_left() -> Iterator[Callable[[], list[int]]]:
    """Asserts that every process is gone that was begun meanwhile; yields what tells them."""
    before = children()  # another test may have left one for those after it
    yield lambda: [pid for pid in children() if pid not in before]
    assert children() == before


def write(image: Path, manifest: Manifest, cancelled: Callable[[], bool] = lambda: False) -> bytes:
    """Makes and fills a file system; returns its bytes, and holds the sums against the sources."""
    dumpe2fs.make(image, geometry(64 * MIB))
    sums = DataSums()
    reports: list[tuple[int, int]] = []
    fill(
        image, dumpe2fs.OFFSET, manifest, epoch=1, observer=sums, cancelled=cancelled,
        progress=lambda done, total: reports.append((done, total)),
    )  # fmt: skip
    assert sums.of(manifest) == read_sums(manifest).of(manifest)
    assert reports == sorted(reports)
    assert reports[-1][0] == reports[-1][1]
    return image.read_bytes()


def test_the_bytes_are_the_same_for_any_number_of_processors(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = scanned(folder)
    found = set()
    for processors in (1, 2, 5):
        work_for(monkeypatch, processors)
        with nobody_left():
            found.add(write(tmp_path / "image", manifest))
    assert len(found) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(b"other"), "changed after it was scanned"),
        (lambda path: path.unlink(), "is not what was scanned any more"),
    ],
)
def test_a_file_that_changed_is_named(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], object],
    message: str,
) -> None:
    work_for(monkeypatch, 2)
    manifest = scanned(folder)
    victim = folder / "d3" / "file-3"
    kept = victim.read_bytes()
    change(victim)
    try:
        with nobody_left(), pytest.raises(SourceChanged, match=f"{victim} {message}"):
            write(tmp_path / "image", manifest)
    finally:
        victim.write_bytes(kept)


def test_a_cancel_ends_all(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work_for(monkeypatch, 2)
    with nobody_left() as begun, pytest.raises(Cancelled):
        write(tmp_path / "image", scanned(folder), cancelled=lambda: bool(begun()))


def test_a_process_that_is_killed_ends_the_rest(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_for(monkeypatch, 2)

    def kill(begun: Callable[[], list[int]]) -> bool:
        for pid in begun()[:1]:
            os.kill(pid, signal.SIGKILL)
        return False

    with nobody_left() as begun, pytest.raises(PopulateFailed, match=r"was killed; .*memory"):
        write(tmp_path / "image", scanned(folder), cancelled=lambda: kill(begun))


def test_a_full_disk_is_told_as_such(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work_for(monkeypatch, 2)
    entries = [e for e in scanned(folder) if e.is_regular and e.link_to is None and e.size]
    descriptor = os.open("/dev/full", os.O_RDWR)
    work = Copiers(descriptor, 0, 4096, lambda done, files, sums: None, lambda: False)
    try:
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as failure:
            give(work, entries)
    finally:
        work.end()
        os.close(descriptor)
    assert failure.value.errno == errno.ENOSPC


def give(work: Copiers, entries: list[Entry]) -> None:
    """Has the files that folders have copied one behind the other."""
    at = 1
    for entry in entries:
        if of_folder(entry) is not None and entry.extents is None:
            assert work.put([entry], [at]) == ([], [])
            at += -(-entry.size // 4096)
    work.finish()


def test_a_process_is_not_sent_what_it_does_not_need(folder: Path) -> None:
    entry = scanned(folder).get(b"d1/file-1")
    assert entry is not None
    assert isinstance(entry.source, FolderSource)
    batch = copiers._Batch(entry.source, 0)
    batch.put(entry, entry, 1)
    assert len(batch.message(known=False)) < 1000


def test_little_work_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copiers, "processors", lambda: 2)
    assert not copiers.pay(100, 10 * MIB)
    assert copiers.pay(70_000, 10 * MIB)
    assert copiers.pay(10, 1000 * MIB)
    monkeypatch.setattr(copiers, "processors", lambda: 1)
    assert not copiers.pay(70_000, 1000 * MIB)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans())))
def test_the_lowest_is_that_of_those_who_came_and_have_not_gone(
    events: list[tuple[int, bool]],
) -> None:
    lowest, there = copiers._Lowest(), []
    for number, comes in events:
        if comes:
            lowest.add(number)
            there.append(number)
        elif number in there:
            lowest.remove(number)
            there.remove(number)
        assert lowest.first == min(there, default=copiers.NONE)
