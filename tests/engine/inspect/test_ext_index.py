"""Indexes of directories: e2fsck judges what is damaged, debugfs says what a hash is."""

from __future__ import annotations

import random
import re
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.filesystems.ext4.reader_hash import HALF_MD4, TEA, name_hash
from tests.engine.inspect.test_soundness import block_of, debugfs, e2fsck, findings
from tests.support.tools import run_tool

SEED = uuid.UUID("97fd5997-d90b-4aa3-8d16-0c1723aea73c")
KINDS = {
    "half MD4": ("-O", "^metadata_csum"),
    "checksums": (),
    "TEA": ("-E", "hash_seed=97fd5997-d90b-4aa3-8d16-0c1723aea73c", "-O", "^metadata_csum"),
}


def indexed(path: Path, kind: str, count: int = 3000) -> Path:
    """A file system of 1 KiB blocks with an indexed directory; 3000 names take two levels."""
    chance = random.Random(3)
    tree = path.with_suffix(".tree") / "folder"
    tree.mkdir(parents=True)
    for number in range(count):
        (tree / f"{number}-ä-{'n' * chance.randrange(60)}").touch()
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-N", "4000", *KINDS[kind]]
    run_tool([*argv, "-d", tree.parent, path, "16M"], check=True, capture_output=True)
    if kind == "TEA":
        run_tool(["tune2fs", "-E", "hash_alg=tea", path], check=True, capture_output=True)
    return rebuilt(path)


def rebuilt(path: Path) -> Path:
    """Has e2fsck make indexes."""
    run_tool(["e2fsck", "-fyD", path], capture_output=True)
    assert e2fsck(path) == 0
    assert "Htree" in debugfs(path, "htree_dump folder") or "Root node" in debugfs(
        path, "htree_dump folder"
    )
    return path


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet="abcXYZ019äé_", min_size=1, max_size=60), st.booleans(),
       st.sampled_from([(HALF_MD4, "half_md4"), (TEA, "tea")]))  # fmt: skip
def test_hashes_are_those_of_debugfs(name: str, seeded: bool, kind: tuple[int, str]) -> None:
    seed = ("-s", str(SEED)) if seeded else ()
    argv = ("debugfs", "-R", " ".join(("dx_hash", "-h", kind[1], *seed, f'"{name}"')))
    told = run_tool(argv, capture_output=True).stdout
    (found,) = re.findall(rb"is (0x[0-9a-f]+) ", told)
    own = SEED.bytes if seeded else bytes(16)
    assert name_hash(name.encode(), kind[0], signed=True, seed=own) == int(found, 16)


@pytest.mark.parametrize(
    "kind",
    ["checksums", *(pytest.param(one, marks=pytest.mark.slow) for one in ("half MD4", "TEA"))],
)
def test_a_sound_index_is_called_sound(kind: str, tmp_path: Path) -> None:
    image = indexed(tmp_path / "fs.img", kind)
    assert findings(image) == []
    debugfs(image, "ssv flags 2")  # characters without a sign
    assert e2fsck(image) != 0
    assert any("/folder: its index does not lead to" in text for text in findings(image))
    assert findings(rebuilt(image)) == []


@pytest.mark.parametrize("count", [300, pytest.param(3000, marks=pytest.mark.slow)])
def test_what_e2fsck_sees_in_an_index_is_found(count: int, tmp_path: Path) -> None:
    image = indexed(tmp_path / "fs.img", "half MD4", count)
    at = block_of(image, "folder") * 1024
    sound = image.read_bytes()
    changes = {
        "levels": (at + 30, b"\x05"), "information": (at + 29, b"\x09"),
        "count": (at + 34, b"\xff\xff"), "limit": (at + 32, b"\x01\x00"),
        "a block beyond": (at + 44, b"\xff\xff\x00\x00"),
        "block 1 again": (at + 44, sound[at + 36 : at + 40]),
        "hash": (at + 40, b"\x02\x00\x00\x00"), "hash at the end": (at + 40, b"\xf0\xff\xff\xff"),
    }  # fmt: skip
    for name, (place, data) in changes.items():
        image.write_bytes(sound[:place] + data + sound[place + len(data) :])
        # Of an upper node e2fsck lets a hash pass by which a kernel looks in the wrong block.
        assert e2fsck(image) != 0 or (name, count) == ("hash", 3000), name
        assert findings(image), name
