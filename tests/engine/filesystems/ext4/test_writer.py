"""What is written is what the manifest says, as debugfs and e2fsck see it."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.filesystems.ext4.extents import extent_count, runs, tree_blocks
from engine.filesystems.ext4.format import EXT2, EXT3, ExtFormat
from engine.filesystems.ext4.geometry import Geometry, geometry
from engine.filesystems.ext4.measure import measure
from engine.filesystems.ext4.solve import solve
from engine.filesystems.ext4.writer import fill
from engine.filesystems.ext4.xattr import place
from engine.filesystems.populate import Cancelled, PopulateFailed
from engine.manifest.entry import Entry, SourceChanged
from engine.manifest.manifest import Manifest
from tests.engine.filesystems.ext4 import contents, debugfs, dumpe2fs, trees

MIB = 1 << 20
EPOCH = 1_700_000_000


def write(image: Path, manifest: Manifest, layout: Geometry) -> None:
    """Makes and fills a file system."""
    dumpe2fs.make(image, layout)
    fill(image, dumpe2fs.OFFSET, manifest, epoch=EPOCH)


def expected_sectors(entry: Entry, blocks: int) -> int:
    """Returns the 512-byte units that a file's inode must count."""
    return 8 * (blocks + bool(place(entry.xattrs).block))


def check_tree(image: Path, manifest: Manifest, folder: Path, *, epoch: int = EPOCH) -> None:
    """Asserts that an ext4 file system holds exactly what a manifest says."""
    nodes = debugfs.read(image, dumpe2fs.OFFSET, measure(manifest).inodes + 1)
    found: dict[bytes, int] = {b"": debugfs.ROOT}
    for parent in manifest:
        if parent.is_directory and parent.link_to is None:
            prefix = parent.path + b"/" if parent.path else b""
            names = nodes[found[parent.path]].names
            assert names.pop(b".") == found[parent.path]
            assert names.pop(b"..") == found[parent.parent]
            found |= {prefix + name: number for name, number in names.items()}
    extra = set(found) - {entry.path for entry in manifest}
    assert extra == (set() if manifest.get(b"lost+found") else {b"lost+found"})
    assert len(found) == len(manifest) + len(extra)
    wanted = []
    for entry in manifest:
        number = found[entry.path]
        if entry.link_to is not None:
            assert number == found[entry.link_to.path]
            continue
        node = nodes[number]
        assert (node.mode, node.uid, node.gid) == (entry.mode, entry.uid, entry.gid)
        assert node.mtime_ns == entry.mtime_ns
        assert node.stamps == {(epoch, 0)}
        assert node.rdev == entry.rdev
        others = sum(1 for each in manifest if each.link_to is entry)
        if entry.is_directory:
            inside = [each for each in manifest if each.is_directory and each.parent == entry.path]
            implied = not entry.path and bool(extra)
            assert node.links == 2 + len([each for each in inside if each.path]) + implied
        else:
            assert node.links == 1 + others
        if entry.is_regular:
            assert node.size == entry.size
            assert node.data == contents.SOURCE.data(entry)
            pieces = runs(entry.size, entry.extents)
            blocks = sum(count for _, count in pieces) + tree_blocks(extent_count(pieces))
            # Broken in two by the file system's own blocks, a file may need a tree of one block.
            assert node.sectors - expected_sectors(entry, blocks) in (0, 8)
        elif entry.is_symlink:
            assert node.data == entry.target
            assert node.size == len(entry.target)
        assert node.xattrs == {name for name, _ in entry.xattrs}
        wanted += [(number, name, debugfs.seen(name, value)) for name, value in entry.xattrs]
    pairs = [(number, name) for number, name, _ in wanted]
    values = debugfs.xattr_values(image, dumpe2fs.OFFSET, pairs, folder)
    assert values == [value for _, _, value in wanted]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("writer")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(manifest=contents.trees(), exact=st.booleans())
def test_reads_back_as_written(manifest: Manifest, exact: bool, shared: Path) -> None:
    image = shared / "image"
    size = 24 * MIB
    if exact:  # not a block to spare beyond the alignment
        size = solve(measure(manifest), additional_bytes=0, additional_inodes=0).size_bytes
    write(image, manifest, geometry(size, inodes=measure(manifest).inodes + 11))
    dumpe2fs.check(image)
    check_tree(image, manifest, shared)


@pytest.mark.parametrize("ext", [EXT2, EXT3], ids=lambda ext: str(ext.name))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(manifest=contents.trees())
def test_older_formats_hold_the_same_bytes(
    manifest: Manifest, ext: ExtFormat, shared: Path
) -> None:
    image = shared / f"image.{ext.name}"
    write(image, manifest, geometry(24 * MIB, ext=ext))
    dumpe2fs.check(image)
    nodes = debugfs.read(image, dumpe2fs.OFFSET, measure(manifest, ext).inodes + 1)
    for entry in manifest:
        if entry.is_regular and entry.link_to is None and entry.parent == b"":
            node = nodes[nodes[debugfs.ROOT].names[entry.path]]
            assert node.data == contents.SOURCE.data(entry)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(manifest=contents.trees())
def test_writing_twice_gives_the_same_bytes(manifest: Manifest, shared: Path) -> None:
    images = [shared / "one", shared / "two"]
    for image in images:
        write(image, manifest, geometry(24 * MIB))
    assert images[0].read_bytes() == images[1].read_bytes()


def test_an_epoch_of_zero_is_kept(tmp_path: Path) -> None:
    image = tmp_path / "image"
    dumpe2fs.make(image, geometry(300 * MIB))
    fill(image, dumpe2fs.OFFSET, trees.manifest([trees.file(b"f", 1)]), epoch=0)
    fields = dumpe2fs.header(image)
    assert "Filesystem created" not in fields  # as it is shown when 0
    assert fields["Last write time"] == "Thu Jan  1 00:00:00 1970"
    journal = debugfs.inode(image, dumpe2fs.OFFSET, 8)
    assert journal.mtime_ns == 0
    assert journal.stamps == {(0, 0)}
    dumpe2fs.check(image)


def test_a_bare_file_system_is_filled(tmp_path: Path) -> None:
    image = tmp_path / "image"
    dumpe2fs.make(image, geometry(8 * MIB))
    bare = tmp_path / "bare"
    bare.write_bytes(image.read_bytes()[dumpe2fs.OFFSET :])
    manifest = trees.manifest([trees.file(b"f", 5000)])
    fill(image, dumpe2fs.OFFSET, manifest, epoch=EPOCH)
    fill(bare, 0, manifest, epoch=EPOCH)
    assert bare.read_bytes() == image.read_bytes()[dumpe2fs.OFFSET :]
    assert not any(image.read_bytes()[: dumpe2fs.OFFSET])


def test_progress_reaches_the_total(tmp_path: Path) -> None:
    image = tmp_path / "image"
    dumpe2fs.make(image, geometry(64 * MIB))
    seen: list[tuple[int, int]] = []
    manifest = trees.manifest([trees.file(b"a", 20 * MIB), trees.file(b"b", 3)])
    fill(
        image,
        dumpe2fs.OFFSET,
        manifest,
        epoch=EPOCH,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (20 * MIB + 3, 20 * MIB + 3)
    assert len(seen) > 3
    assert seen == sorted(seen)


@pytest.mark.parametrize("asked", [0, 1, 5])
def test_stops_when_cancelled(asked: int, tmp_path: Path) -> None:
    image = tmp_path / "image"
    dumpe2fs.make(image, geometry(64 * MIB))
    answers = iter([False] * asked + [True])
    manifest = trees.manifest([trees.file(b"a", 20 * MIB)])
    with pytest.raises(Cancelled):
        fill(image, dumpe2fs.OFFSET, manifest, epoch=EPOCH, cancelled=lambda: next(answers))


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (
            trees.manifest([trees.file(b"big", 20 * MIB)]),
            "the file system is too small: 5120 blocks needed, {blocks} available",
        ),
        (
            trees.manifest(trees.files(b"d", 100)),
            "the file system is too small: 101 inodes needed, 5 available",
        ),
        (
            trees.manifest([trees.symlink(b"s", b"t" * 4096)]),
            "/s: a link target of 4,096 bytes, 4,095 at most",
        ),
        (
            trees.manifest([trees.file(b"f", 1, xattrs=((b"user.a", b"v" * 5000),))]),
            "/f (from filler for b'f'): extended attributes larger than a block",
        ),
        (
            trees.manifest([Entry(b"f", stat.S_IFREG | 0o644, size=1)]),
            "/f: a file with data but without a source",
        ),
    ],
)
def test_refuses_what_does_not_fit(manifest: Manifest, message: str, tmp_path: Path) -> None:
    image = tmp_path / "image"
    layout = geometry(8 * MIB, inodes=16)
    dumpe2fs.make(image, layout)
    with pytest.raises(PopulateFailed) as caught:
        fill(image, dumpe2fs.OFFSET, manifest, epoch=EPOCH)
    assert str(caught.value) == message.format(blocks=layout.free_blocks)


def test_refuses_what_is_no_file_system(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(MIB))
    with pytest.raises(PopulateFailed, match="no ext file system there"):
        fill(image, 0, trees.manifest([]), epoch=EPOCH)


class Liar(contents.Bytes):
    """A source whose files have changed."""

    def __init__(self, *pieces: tuple[int, int]) -> None:
        self.pieces = pieces

    def stream(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, int, memoryview]]:
        for entry in entries:
            for offset, length in self.pieces:
                yield entry, offset, memoryview(bytes(length))


@pytest.mark.parametrize(
    ("pieces", "how"),
    [
        ((), "it has no data any more"),
        (((0, 50),), "it ends at byte 50 of 100"),
        (((0, 50), (60, 40)), "data at byte 60 that was not there before"),
        (((0, 101),), "data at byte 0 that was not there before"),
        (((0, 100), (100, 1)), "data where there was none"),
    ],
)
def test_notices_a_changed_source(
    pieces: tuple[tuple[int, int], ...], how: str, tmp_path: Path
) -> None:
    image = tmp_path / "image"
    dumpe2fs.make(image, geometry(8 * MIB))
    entry = Entry(b"f", stat.S_IFREG | 0o644, size=100, source=Liar(*pieces))
    with pytest.raises(SourceChanged) as caught:
        fill(image, dumpe2fs.OFFSET, trees.manifest([entry]), epoch=EPOCH)
    assert str(caught.value) == f"/f (from invented f): changed since it was scanned: {how}"
