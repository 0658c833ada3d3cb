"""Features of ext file systems that this program never writes: their source, and dumpe2fs."""

from __future__ import annotations

import os
import random
import re
import stat
from pathlib import Path

import pytest

from engine.filesystems.ext4.reader import ExtFilesystem
from engine.image.container import open_disk
from engine.image.reading import BadFilesystem, Window, contents, walk
from engine.inspect.image import open_image
from engine.inspect.unused import unused
from tests.support.folders import below
from tests.support.tools import run_tool

SMALL_GROUPS = ("-b", "1024", "-g", "1024")
FEATURES = {
    "inline data": ("ext4", "-O", "inline_data", "-I", "256"),
    "inline data, large inodes": ("ext4", "-b", "1024", "-O", "inline_data", "-I", "512"),
    "inline data, block maps": ("ext2", "-O", "inline_data", "-I", "256"),
    "bigalloc": ("ext4", "-b", "4096", "-O", "bigalloc", "-C", "16384"),
    "bigalloc, 1024-byte blocks": ("ext4", "-b", "1024", "-O", "bigalloc", "-C", "8192"),
    "meta_bg": ("ext4", *SMALL_GROUPS, "-O", "meta_bg,^resize_inode,^64bit"),
    "meta_bg, 64-bit": ("ext4", *SMALL_GROUPS, "-O", "meta_bg,^resize_inode,64bit"),
    "sparse_super2": ("ext4", "-b", "1024", "-O", "sparse_super2,^resize_inode"),
    "no sparse_super": ("ext2", "-b", "1024", "-O", "^sparse_super,^resize_inode"),
    "no flex_bg": ("ext4", *SMALL_GROUPS, "-O", "^flex_bg,^resize_inode"),
    "attributes in inodes": ("ext4", "-O", "ea_inode"),
    "large directories, encryption, verity": ("ext4", "-O", "large_dir,encrypt,verity"),
    "folded case": ("ext4", "-O", "casefold"),
    "no file types": ("ext2", "-O", "^filetype"),
    "inodes of 128 bytes": ("ext4", "-I", "128"),
    "64 KiB blocks": ("ext4", "-b", "65536"),
}
INDEXED = {"large directories, encryption, verity", "inline data, large inodes"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("source")
    chance = random.Random(5)
    for size in (0, 1, 59, 60, 61, 100, 150, 160, 300, 5000):
        (top / f"file of {size}").write_bytes(chance.randbytes(size))
    for size in (5, 59, 60, 100, 300):
        (top / f"link of {size}").symlink_to("t" * size)
    for folder, count in (("none", 0), ("few", 2), ("some", 12), ("many", 300)):
        (top / folder).mkdir()
        for number in range(count):
            (top / folder / f"{number}, a name that takes room").write_text(str(number))
    with (top / "sparse").open("wb") as file:
        for place in (0, 300 << 10, 9 << 20, 80 << 20):
            file.seek(place)
            file.write(chance.randbytes(3000))
    with (top / "scattered").open("wb") as file:
        for number in range(500):
            file.seek(number * 8192)
            file.write(chance.randbytes(1000))
    os.setxattr(top / "file of 60", "user.note", b"with data beside it")
    os.setxattr(top / "few", "user.note", b"of a directory")
    os.setxattr(top / "file of 5000", "user.note", b"n" * 600)
    return top


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_reads_back_as_its_source(source: Path, tmp_path: Path, name: str) -> None:
    image = made(tmp_path, source, *FEATURES[name])
    if name in INDEXED:
        run_tool(["e2fsck", "-fyD", image], capture_output=True, check=False)
    ext = opened(image)

    found = {node.path: node for node in walk(ext) if node.path != b"lost+found"}

    assert set(found) == {os.fsencode(path.relative_to(source)) for path in below(source)}
    for path, node in found.items():
        real = source / os.fsdecode(path)
        status = real.lstat()
        assert node.mode == status.st_mode
        if stat.S_ISREG(node.mode):
            assert contents(ext, node, 1 << 30) == real.read_bytes(), path
        if stat.S_ISLNK(node.mode):
            assert os.fsdecode(node.target) == str(real.readlink())
        names = os.listxattr(real, follow_symlinks=False)
        assert dict(node.xattrs) == {os.fsencode(key): os.getxattr(real, key) for key in names}


@pytest.mark.parametrize("name", FEATURES)
def test_free_blocks_and_copies_are_those_that_dumpe2fs_finds(
    source: Path, tmp_path: Path, name: str
) -> None:
    image = made(tmp_path, source, *FEATURES[name])
    ext = opened(image)
    unit = ext.block_size
    shown = run_tool(["dumpe2fs", image], capture_output=True, text=True, check=True).stdout

    free: set[int] = set()
    for ranges in re.findall(r"^  Free blocks: (.+)$", shown, re.MULTILINE):
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", ranges):
            # Of a run of clusters, the last one is named by its first block (1.47.0) or by
            # its last (1.47.2).
            end = (int(last or first) // ext.layout.ratio + 1) * ext.layout.ratio
            free |= set(range(int(first), end))
    copy = r"^Group (\d+):[^\n]*\n(?:  [^\n]*\n)*?  \w+ superblock at"
    copies = re.findall(copy, shown, re.MULTILINE)
    opening = open_image(image)
    with opening.disk:
        ours = {at for place, size in unused(opening) for at in range(place, place + size, unit)}
    assert ours == {block * unit for block in free}
    assert [group for group in range(ext.groups) if ext.layout.has_superblock(group)] == [
        int(group) for group in copies
    ]


def test_a_value_that_has_an_inode_of_its_own(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("data")
    os.setxattr(tree / "file", "user.long", b"V" * 3000)
    os.setxattr(tree / "file", "user.short", b"s")
    image = made(tmp_path, tree, "ext4", "-b", "1024", "-O", "ea_inode")

    node = opened(image).lookup(b"file")

    assert node is not None
    assert dict(node.xattrs) == {b"user.long": b"V" * 3000, b"user.short": b"s"}


def test_a_large_file_with_a_map_of_single_blocks_is_read(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "large").write_bytes(b"begin")
    image = made(tmp_path, tree, "ext2", "-b", "1024", size="1200M")
    blocks = 1100 << 10
    for change in (f"fallocate large 0 {blocks - 1}", f"sif large size {blocks << 10}"):
        run_tool(["debugfs", "-w", "-R", change, image], check=True, capture_output=True)

    ext = opened(image)
    node = ext.lookup(b"large")

    assert node is not None
    assert sum(length for _, _, length in node.extents) == blocks << 10
    assert contents(ext, node, 1024).startswith(b"begin\0")


def test_the_journal_of_another_file_system_is_none(tmp_path: Path) -> None:
    image = tmp_path / "journal"
    run_tool(["mke2fs", "-q", "-F", "-O", "journal_dev", image, "16M"], check=True)

    with pytest.raises(BadFilesystem, match="journal"):
        opened(image)


def made(folder: Path, source: Path, kind: str, *options: str, size: str = "64M") -> Path:
    image = folder / "fs.img"
    run_tool(
        ["mke2fs", "-q", "-F", "-t", kind, *options, "-d", source, image, size],
        check=True, capture_output=True,
    )  # fmt: skip
    return image


def opened(image: Path) -> ExtFilesystem:
    disk = open_disk(image)
    return ExtFilesystem(Window(disk, 0, disk.size))
