"""The writer at the limits of its format: sizes, counts, depths."""

from __future__ import annotations

import random
import re
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.filesystems.ext4.format import EXT2, EXT4, ExtFormat
from engine.filesystems.ext4.geometry import geometry
from engine.filesystems.ext4.measure import measure
from engine.filesystems.ext4.solve import solve
from engine.filesystems.ext4.writer import fill
from engine.manifest.manifest import Manifest
from tests.engine.filesystems.ext4 import debugfs, dumpe2fs, trees
from tests.support.ext import stats

MIB = 1 << 20
GIB = 1 << 30


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "image"
    yield place
    place.unlink()


def written(
    image: Path, manifest: Manifest, ext: ExtFormat = EXT4, size: int | None = None
) -> None:
    """Fills the smallest file system, or one of a given size, and has it checked."""
    need = measure(manifest, ext)
    if size is None:
        size = solve(need, additional_bytes=0, additional_inodes=0, ext=ext).size_bytes
    dumpe2fs.make(image, geometry(size, inodes=need.inodes + 11, ext=ext))
    fill(image, dumpe2fs.OFFSET, manifest, epoch=1)
    dumpe2fs.check(image)


def names_of(image: Path, number: int) -> set[bytes]:
    """Returns the names in a directory."""
    return set(debugfs.listing(image, dumpe2fs.OFFSET, number)) - {b".", b".."}


@pytest.mark.parametrize("ext", [EXT4, EXT2], ids=lambda ext: str(ext.name))
def test_a_hundred_thousand_names_in_one_directory(image: Path, ext: ExtFormat) -> None:
    manifest = trees.manifest(trees.files(b"d", 100_000))
    written(image, manifest, ext)
    assert names_of(image, 12) == {b"%08d" % number for number in range(100_000)}
    assert debugfs.inode(image, dumpe2fs.OFFSET, 12).flags & 0x1000  # indexed


def test_long_names_need_a_second_level_of_index(image: Path) -> None:
    chance = random.Random(3)
    names = {chance.randbytes(120).hex().encode()[:240] for _ in range(9_000)}
    manifest = trees.manifest([trees.directory(b"d"), *(trees.file(b"d/" + n, 0) for n in names)])
    written(image, manifest)
    assert names_of(image, 12) == names
    assert b"Indirect levels: 1" in debugfs.htree(image, dumpe2fs.OFFSET, 12)


def test_the_root_itself_may_be_indexed(image: Path) -> None:
    manifest = trees.manifest(trees.file(b"%07d" % number, 0) for number in range(3_000))
    written(image, manifest)
    assert names_of(image, 2) == {b"lost+found"} | {b"%07d" % at for at in range(3_000)}


@pytest.mark.parametrize("count", [0, 5, 170, 600])
def test_lost_found_keeps_its_inode_and_blocks(image: Path, count: int) -> None:
    manifest = trees.manifest(trees.files(b"lost+found", count, width=100))
    written(image, manifest)
    assert names_of(image, 11) == {b"%0100d" % number for number in range(count)}
    assert debugfs.inode(image, dumpe2fs.OFFSET, 11).size >= 4 * 4096


def test_sixty_five_thousand_links(image: Path) -> None:
    first = trees.file(b"d/first", 10)
    links = [trees.link(b"d/link%05d" % number, first) for number in range(64_999)]
    manifest = trees.manifest([trees.directory(b"d"), first, *links])
    written(image, manifest)
    assert debugfs.inode(image, dumpe2fs.OFFSET, 13).links == 65_000


@pytest.mark.parametrize(("subdirectories", "links"), [(64_998, 65_000), (64_999, 1)])
def test_many_subdirectories(image: Path, subdirectories: int, links: int) -> None:
    folders = [trees.directory(b"d/%05d" % number) for number in range(subdirectories)]
    manifest = trees.manifest([trees.directory(b"d"), *folders])
    written(image, manifest)
    assert debugfs.inode(image, dumpe2fs.OFFSET, 12).links == links


def test_three_gib_of_holes(image: Path) -> None:
    ranges = ((5, 10), (GIB + 4095, 2), (3 * GIB - 1, 1))
    manifest = trees.manifest([trees.file(b"f", 3 * GIB, ranges), trees.file(b"g", 5 * GIB, ())])
    written(image, manifest)
    node = debugfs.inode(image, dumpe2fs.OFFSET, 12)
    assert (node.size, node.sectors) == (3 * GIB, 4 * 8)
    expected = {
        0: bytes(5) + b"x" * 10,
        GIB: bytes(4095) + b"xx",
        3 * GIB - MIB: bytes(MIB - 1) + b"x",
    }
    at = 0
    for piece in debugfs.pieces(image, dumpe2fs.OFFSET, 12):
        assert piece == expected.get(at, b"").ljust(MIB, b"\0")
        at += len(piece)
    assert at == 3 * GIB
    empty = debugfs.inode(image, dumpe2fs.OFFSET, 13)
    assert (empty.size, empty.sectors) == (5 * GIB, 0)


@pytest.mark.parametrize("ext", [EXT4, EXT2], ids=lambda ext: str(ext.name))
@pytest.mark.parametrize("holes", [5, 340, 341, 1361, 5000])
def test_thousands_of_holes(image: Path, holes: int, ext: ExtFormat) -> None:
    ranges = tuple((at * 8192, 4096) for at in range(holes))
    manifest = trees.manifest([trees.file(b"f", holes * 8192, ranges)])
    written(image, manifest, ext)
    read = b"".join(debugfs.pieces(image, dumpe2fs.OFFSET, 12))
    assert read == (b"x" * 4096 + bytes(4096)) * holes


def test_a_dense_file_of_several_extents(image: Path) -> None:
    size = 300 * MIB + 1
    manifest = trees.manifest([trees.file(b"f", size), trees.file(b"g", 3)])
    written(image, manifest)
    lengths = []
    for piece in debugfs.pieces(image, dumpe2fs.OFFSET, 12):
        assert piece == b"x" * len(piece)
        lengths.append(len(piece))
    assert sum(lengths) == size


def test_files_of_all_groups(image: Path) -> None:
    """Inodes of several groups, blocks around every copy of the superblock."""
    manifest = trees.manifest(trees.files(b"d", 9_000, size=60_000))
    written(image, manifest)
    shown = stats(image, dumpe2fs.OFFSET, groups=True)
    used = re.findall(r"(\d+) free blocks, (\d+) free inodes, (\d+) used director(?:y|ies)", shown)
    assert len(used) > 4
    assert sum(int(directories) for _, _, directories in used) == 3


def test_the_smallest_file_system(image: Path) -> None:
    written(image, trees.manifest([]), size=MIB)
    assert names_of(image, 2) == {b"lost+found"}


def test_an_error_of_the_host_comes_through(image: Path) -> None:
    """A limit on file size stands for a full disk: both fail the write itself."""
    dumpe2fs.make(image, geometry(64 * MIB))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20 * MIB, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            fill(image, dumpe2fs.OFFSET, trees.manifest([trees.file(b"f", 40 * MIB)]), epoch=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
