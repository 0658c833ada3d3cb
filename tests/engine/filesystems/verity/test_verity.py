"""Hash trees, as veritysetup and our reader see them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cli import main
from engine.compare.diff import compare
from engine.filesystems import table
from engine.filesystems.populate import Cancelled
from engine.filesystems.verity.reader import HashTree
from engine.filesystems.verity.tree import BLOCK_SIZE, hash_tree_size, levels, partition_guids
from engine.filesystems.verity.writer import write_tree
from engine.image.container.disk import RawDisk
from engine.image.reading import Window
from tests.support.tools import run_tool

UUID = "97fd5997-d90b-4aa3-8d16-0c1723aea73c"
SALT = bytes(range(32))
MIB = 1 << 20
DATA_AT = 3 * BLOCK_SIZE


def image(path: Path, blocks: int, *, seed: int = 1) -> int:
    """Makes an image with so many blocks of data and room for their tree; returns where that is."""
    generator = random.Random(seed)
    with path.open("wb") as file:
        file.seek(DATA_AT)
        for block in range(blocks):
            # Holes, blocks of zeros and blocks of noise in turn.
            if block % 7 < 4:
                file.write(generator.randbytes(BLOCK_SIZE))
            else:
                file.seek(BLOCK_SIZE, 1)
        tree = DATA_AT + blocks * BLOCK_SIZE + BLOCK_SIZE
        file.truncate(tree + hash_tree_size(blocks * BLOCK_SIZE) + BLOCK_SIZE)
    return tree


def cut(path: Path, start: int, size: int, name: str) -> Path:
    """Returns part of an image as a file."""
    copy = path.with_name(name)
    with path.open("rb") as file:
        file.seek(start)
        copy.write_bytes(file.read(size))
    return copy


def by_veritysetup(data: Path, out: Path, *options: str) -> str:
    """Makes a tree with veritysetup; returns its root hash."""
    command = ("veritysetup", "format", *options, str(data), str(out))
    printed = run_tool(command, check=True, capture_output=True, text=True).stdout
    (line,) = (line for line in printed.splitlines() if line.startswith("Root hash"))
    return str(line.split()[-1])


@pytest.mark.parametrize("blocks", [1, 2, 127, 128, 129, 1024, 1025, 16_384, 16_385])
@pytest.mark.parametrize("salt", [SALT, b"", bytes(256)], ids=["salt", "none", "longest"])
def test_is_what_veritysetup_makes(blocks: int, salt: bytes, tmp_path: Path) -> None:
    if salt != SALT and blocks > 200:
        salt = salt[:3]
    path = tmp_path / "image"
    tree, size = image(path, blocks), blocks * BLOCK_SIZE
    reported: list[tuple[int, int]] = []
    root = write_tree(
        path, DATA_AT, size, tree, salt, UUID, lambda done, total: reported.append((done, total))
    )
    data = cut(path, DATA_AT, size, "data")
    ours = cut(path, tree, hash_tree_size(size), "ours")
    options = f"--salt={salt.hex() or '-'}", f"--uuid={UUID}"
    assert by_veritysetup(data, tmp_path / "theirs", *options) == root
    assert (tmp_path / "theirs").read_bytes() == ours.read_bytes()
    run_tool(("veritysetup", "verify", data, ours, root), check=True, capture_output=True)
    assert reported[-1] == (size, size)
    assert reported == sorted(reported)
    with RawDisk(path) as disk:
        found = HashTree(Window(disk, tree, hash_tree_size(size)))
        assert (found.data_bytes, found.uuid, found.salt) == (size, UUID, salt)
        assert list(found.damaged(Window(disk, DATA_AT, size), root)) == []
        if blocks > 1:
            assert found.root() == root


@given(blocks=st.integers(1, 1 << 40))
def test_size_is_that_of_the_levels(blocks: int) -> None:
    size = hash_tree_size(blocks * BLOCK_SIZE)
    tree = levels(blocks * BLOCK_SIZE)
    assert size % BLOCK_SIZE == 0
    below = blocks
    for level in tree:
        assert level.digests == below
        assert (level.blocks - 1) * 128 < below <= level.blocks * 128
        below = level.blocks
    assert below == 1
    assert size == BLOCK_SIZE * (1 + sum(level.blocks for level in tree))
    spans = sorted((level.at, level.at + level.blocks * BLOCK_SIZE) for level in tree)
    assert [start for start, _ in spans] == [BLOCK_SIZE, *(end for _, end in spans[:-1])][
        : len(spans)
    ]


def test_size_of_a_gibibyte_is_what_was_measured() -> None:
    assert hash_tree_size(1 << 30) == 8_462_336


@pytest.mark.parametrize("size", [0, -4096, 1, 4095, 4097])
def test_refuses_what_is_no_whole_number_of_blocks(size: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{size:,}"):
        hash_tree_size(size)
    (tmp_path / "image").write_bytes(bytes(8192))
    with pytest.raises(ValueError, match=f"{size:,}"):
        write_tree(tmp_path / "image", 0, size, 4096, SALT, UUID)
    assert (tmp_path / "image").read_bytes() == bytes(8192)


def test_refuses_a_long_salt_and_data_past_the_end(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(bytes(8192))
    with pytest.raises(ValueError, match="257 bytes, 256 at most"):
        write_tree(path, 0, 4096, 4096, bytes(257), UUID)
    with pytest.raises(ValueError, match="12288 of an image of 8192"):
        write_tree(path, 4096, 8192, 0, SALT, UUID)
    assert path.read_bytes() == bytes(8192)


def flip(path: Path, at: int) -> None:
    """Changes one bit of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("data", "block 300 of the data is damaged"),
        ("level 0", "block 1 of level 0 of the tree is damaged"),
        ("top", "the root hash is another"),
    ],
)
def test_one_bit_is_told_by_both_readers(where: str, says: str, tmp_path: Path) -> None:
    path, blocks = tmp_path / "image", 400
    tree, size = image(path, blocks), blocks * BLOCK_SIZE
    root = write_tree(path, DATA_AT, size, tree, SALT, UUID)
    lowest, top = levels(size)
    places = {
        "data": DATA_AT + 300 * BLOCK_SIZE + 99,
        "level 0": tree + lowest.at + BLOCK_SIZE + 5,
        "top": tree + top.at + 7,
    }
    flip(path, places[where])
    with RawDisk(path) as disk:
        found = HashTree(Window(disk, tree, hash_tree_size(size)))
        assert next(found.damaged(Window(disk, DATA_AT, size), root)) == says
    data = cut(path, DATA_AT, size, "data")
    ours = cut(path, tree, hash_tree_size(size), "ours")
    told = run_tool(("veritysetup", "verify", data, ours, root), capture_output=True)
    assert told.returncode != 0


def test_can_be_cancelled(tmp_path: Path) -> None:
    tree = image(tmp_path / "image", 5000)
    with pytest.raises(Cancelled):
        write_tree(
            tmp_path / "image", DATA_AT, 5000 * BLOCK_SIZE, tree, SALT, UUID, cancelled=lambda: True
        )


def test_guids_are_the_halves_of_the_root_hash() -> None:
    root = "4cce0a19f28d4ab3a5ae2d2d2a0b1e2f00112233445566778899aabbccddeeff"
    assert partition_guids(root) == (
        "4CCE0A19-F28D-4AB3-A5AE-2D2D2A0B1E2F", "00112233-4455-6677-8899-AABBCCDDEEFF",
    )  # fmt: skip


def test_inspect_names_it_and_diff_the_level(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trees = []
    for seed in (1, 2):
        path = tmp_path / f"image{seed}"
        at = image(path, 200, seed=seed)
        write_tree(path, DATA_AT, 200 * BLOCK_SIZE, at, SALT, UUID)
        trees.append(cut(path, at, hash_tree_size(200 * BLOCK_SIZE), f"tree{seed}"))
    assert main.main(["inspect", str(trees[0])]) == 0
    assert f'verity "" {UUID}' in capsys.readouterr().out
    found = compare(trees[0], trees[1])
    assert {each.a for each in found.ranges} == {
        "disk, level 0 of the hash tree", "disk, level 1 of the hash tree",
    }  # fmt: skip


def test_reads_other_algorithms_and_block_sizes(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "tree"
    data.write_bytes(random.Random(3).randbytes(MIB))
    sizes = "--data-block-size=1024", "--hash-block-size=512"
    root = by_veritysetup(data, out, "--hash=sha1", *sizes)
    with RawDisk(out) as disk, RawDisk(data) as other:
        content, trouble = table.probe(Window(disk, 0, disk.size))
        assert isinstance(content, HashTree), trouble
        assert list(content.damaged(Window(other, 0, MIB), root)) == []
