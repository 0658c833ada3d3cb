"""Our reader of Btrfs against the kernel and btrfs-progs, and against damage."""

from __future__ import annotations

import random
import re
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.filesystems import table
from engine.filesystems.btrfs import reader_packed
from engine.filesystems.btrfs.reader import BtrfsFilesystem
from engine.filesystems.btrfs.reader_checksums import Checksums
from engine.filesystems.btrfs.reader_room import between, joined
from engine.filesystems.btrfs.reader_superblock import AT
from engine.image.container import BadImage
from engine.image.container.disk import RawDisk
from engine.image.reading import BadFilesystem, Window, contents
from tests.engine.filesystems.btrfs.record import IMAGES, RECORDINGS
from tests.engine.filesystems.recorded import nodes, seen
from tests.support.tools import run_tool

_INODE_BITS = 48
"""Of what our reader numbers an entry with: above stands its subvolume."""
_STANDS_FOR_ONE = 2
"""Number of a directory in a snapshot where a subvolume was; the kernel makes its times up."""


class Patched(RawDisk):
    """A disk with other nodes in place of its own."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.patches: dict[int, bytes] = {}

    def _read(self, offset: int, length: int) -> bytes:
        data = bytearray(super()._read(offset, length))
        for at, value in self.patches.items():
            low, high = max(at, offset), min(at + len(value), offset + length)
            if low < high:
                data[low - offset : high - offset] = value[low - at : high - at]
        return bytes(data)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("btrfs")
    return {name: RECORDINGS.unpacked(name, folder) for name in IMAGES}


@contextmanager
def opened(file: Path) -> Iterator[BtrfsFilesystem]:
    """Opens an image that can be read."""
    with RawDisk(file) as disk:
        content, trouble = table.probe(Window(disk, 0, disk.size))
        assert isinstance(content, BtrfsFilesystem), trouble
        yield content


@pytest.mark.parametrize("name", IMAGES)
def test_sees_what_the_kernel_saw(name: str, images: dict[str, Path]) -> None:
    wanted = RECORDINGS.said(name)
    with opened(images[name]) as btrfs:
        assert (btrfs.label, btrfs.clean) == (name, True)
        for node in nodes(btrfs):
            said = wanted.pop(node.path)
            found = seen(btrfs, node)
            found["inode"] &= (1 << _INODE_BITS) - 1
            if found["inode"] == _STANDS_FOR_ONE:
                found = {**said, "mode": found["mode"], "inode": found["inode"]}
            assert found == said
        assert not wanted
        examination = table.examine(btrfs)
    assert examination.findings == ()
    assert examination.unchecked == ("the trees of its room",) + (
        ("checksums, which are xxHash64",) if name == "other" else ()
    )


@pytest.mark.parametrize(
    "name",
    ["usual", *(pytest.param(name, marks=pytest.mark.slow) for name in IMAGES if name != "usual")],
)
def test_what_is_not_in_use_can_hold_anything(
    name: str, images: dict[str, Path], tmp_path: Path
) -> None:
    wanted = RECORDINGS.said(name)
    file = tmp_path / "other.img"
    file.write_bytes(images[name].read_bytes())
    with opened(file) as btrfs, file.open("r+b") as image:
        ends = [0]
        for start, length in btrfs.unused():
            assert start > ends[-1]
            ends.append(start + length)
            image.seek(start)
            image.write(b"\xa5" * min(length, 1 << 16))
    run_tool(("btrfs", "check", "--check-data-csum", file), check=True, capture_output=True)
    with opened(file) as btrfs:
        assert {node.path for node in nodes(btrfs)} == set(wanted)
        assert table.examine(btrfs).findings == ()


@pytest.mark.parametrize("name", IMAGES)
def test_every_byte_is_named_or_not_in_use(name: str, images: dict[str, Path]) -> None:
    with opened(images[name]) as btrfs:
        free = list(btrfs.unused())
        named = sorted((at, at + length) for at, length, _ in btrfs.structures())
        words = {what for _, _, what in btrfs.structures()}
        figures = btrfs.figures()
    assert {"tree of extents", "tree of the files", "superblock"} <= words
    ranges = sorted([*named, *((at, at + length) for at, length in free)])
    end = 0
    for start, stop in ranges:
        assert start <= end or end < 1 << 20  # what is before belongs to boot loaders
        end = max(end, stop)
    assert end == 128 << 20
    assert not any(
        start < at + length and at < stop
        for at, length in free[1:5]
        for start, stop in named
    )  # fmt: skip
    dump = run_tool(("btrfs", "inspect-internal", "dump-tree", "-t", "extent", images[name]),
                    check=True, capture_output=True, text=True).stdout  # fmt: skip
    groups = re.findall(
        r"BLOCK_GROUP_ITEM (\d+)\).*\n\s+block group used (\d+) .* flags (\S+)", str(dump)
    )
    for of, is_data in (("data", True), ("metadata", False)):
        mine = [(int(size), int(used)) for size, used, flags in groups
                if ("DATA" in re.split(r"\W", flags)) == is_data]  # fmt: skip
        assert figures[f"{of}_bytes"] == sum(size for size, _ in mine)
        assert figures[f"{of}_used"] == sum(used for _, used in mine)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), max_size=9),
       st.integers(0, 30), st.integers(0, 30))  # fmt: skip
def test_what_lies_between_pieces(pieces: list[tuple[int, int]], start: int, length: int) -> None:
    covered = {byte for at, size in pieces for byte in range(at, at + size)}
    found = list(between(list(joined(pieces)), start, start + length))
    assert [byte for at, size in found for byte in range(at, at + size)] == [
        byte for byte in range(start, start + length) if byte not in covered
    ]
    assert all(size for _, size in found)


@pytest.mark.parametrize("name", ["usual", "small"])
def test_finds_by_name_what_it_lists(name: str, images: dict[str, Path]) -> None:
    with opened(images[name]) as btrfs:
        for node in nodes(btrfs):
            assert btrfs.lookup(node.path) == node
        assert btrfs.lookup(b"file/below") is None
        assert btrfs.lookup(b"empty/not there") is None


def test_knows_the_subvolumes_that_btrfs_lists(images: dict[str, Path]) -> None:
    dump = run_tool(("btrfs", "inspect-internal", "dump-tree", "-t", "root", images["usual"]),
                    check=True, capture_output=True, text=True).stdout  # fmt: skip
    names = sorted(re.findall(r"root ref key dirid \d+ sequence \d+ name (.+)", str(dump)))
    with opened(images["usual"]) as btrfs:
        found = btrfs.subvolumes()
        assert sorted(path.rpartition(b"/")[2].decode() for path in found.values()) == names
        assert sorted(found.values()) == [
            b"@", b"@/deep/er", b"@home", b"@home/before", b"empty/snapshot",
        ]  # fmt: skip
        assert btrfs.default == b"@"
        assert btrfs.tops[:2] == (b"@", b"")
        assert btrfs.figures()["default_subvolume"] == "/@"
    with opened(images["small"]) as btrfs:
        assert (dict(btrfs.subvolumes()), btrfs.default, btrfs.tops) == ({}, b"", (b"",))


@pytest.mark.slow
def test_restores_what_btrfs_restore_does(images: dict[str, Path], tmp_path: Path) -> None:
    run_tool(("btrfs", "restore", "--symlinks", images["small"], tmp_path),
             check=True, capture_output=True)  # fmt: skip
    with opened(images["small"]) as btrfs:
        for node in nodes(btrfs):
            if stat.S_ISREG(node.mode) and node.size < 1 << 22:
                there = tmp_path / node.path.decode(errors="surrogateescape")
                assert there.read_bytes() == contents(btrfs, node, 1 << 22)


def test_a_bad_copy_of_a_node_is_passed_over_and_two_are_told(images: dict[str, Path]) -> None:
    with opened(images["usual"]) as btrfs:
        places = btrfs._forest.nodes.places(btrfs.superblock.root, btrfs.superblock.node_size)
    assert len(places) == 2
    with Patched(images["usual"]) as disk:
        for place, sound in zip(places, (True, False), strict=True):
            disk.patches[place + 200] = b"\xa5" * 9
            content, trouble = table.probe(Window(disk, 0, disk.size))
            assert (content is not None) == sound
            assert sound or "checksum" in trouble


def test_data_that_rots_is_told(images: dict[str, Path]) -> None:
    with Patched(images["usual"]) as disk:
        btrfs, _ = table.probe(Window(disk, 0, disk.size))
        assert isinstance(btrfs, BtrfsFilesystem)
        node = btrfs.lookup(b"pieces")
        assert node is not None
        place = node.extents[3][1]
        disk.patches[place + 17] = b"\xa5\x5a"
        with pytest.raises(BadFilesystem, match=f"byte {place} does not agree"):
            list(btrfs.data(node))
        findings = table.examine(btrfs).findings
    assert [finding.partition(":")[0] for finding in findings] == ["/pieces", "/same pieces"]


def test_several_devices_are_told_by_their_superblock(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one", "two")]
    for file in files:
        with file.open("wb") as image:
            image.truncate(256 << 20)
    run_tool(("mkfs.btrfs", "-q", "-m", "raid1", "-d", "raid1", *files),
             check=True, capture_output=True)  # fmt: skip
    with RawDisk(files[0]) as disk:
        content, trouble = table.probe(Window(disk, 0, disk.size))
        assert trouble == ""
        assert content is not None
        assert not hasattr(content, "lookup")
        assert table.examine(content).unchecked == ("all but its superblock: it is on 2 devices",)


@pytest.mark.parametrize(
    ("name", "rounds"),
    [
        ("usual", 8), ("small", 8),
        pytest.param("usual", 150, marks=pytest.mark.slow),
        pytest.param("small", 150, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_damage_ends_in_words(name: str, rounds: int, images: dict[str, Path]) -> None:
    """Random bytes with checksums made right again: errors that are documented, and an end."""
    chosen = random.Random(rounds)
    with opened(images[name]) as btrfs:
        trees, size = btrfs._forest.nodes, btrfs.superblock.node_size
        copies = sorted({tuple(trees.places(at, size)) for at in _nodes(btrfs)})
        checksums = btrfs.superblock.checksums
    for _ in range(rounds):
        with Patched(images[name]) as disk:
            for places in chosen.sample(copies, 2):
                node = bytearray(disk.read(places[0], size))
                for _ in range(3):
                    # What stands in front says most, and keys do.
                    end = chosen.choice((101, 600, size))
                    node[chosen.randrange(64, end)] = chosen.randrange(256)
                _seal(node, 0, size, checksums)
                disk.patches |= dict.fromkeys(places, bytes(node))
            _read_all(disk)


def _nodes(btrfs: BtrfsFilesystem) -> set[int]:
    """Returns the addresses of all nodes of the trees that are read."""
    found: set[int] = set()
    said = btrfs.superblock
    tops = [(said.root, said.root_level)]
    for tree in (5, 7, *btrfs.subvolumes()):
        there = btrfs._forest.tree(tree)
        tops.append((there.root, there.level))
    while tops:
        at, level = tops.pop()
        found.add(at)
        if level:
            node = btrfs._forest.nodes.node(at, level)
            tops += [(place, level - 1) for place, _ in node.pointers]
    return found


def _seal(image: bytearray, place: int, size: int, checksums: Checksums) -> None:
    compute = checksums._compute
    assert compute is not None
    value = compute(bytes(image[place + 32 : place + size]))
    image[place : place + len(value)] = value


def _read_all(disk: RawDisk) -> None:
    with suppress(BadImage), disk.at_most(16 << 20):
        content, _ = table.probe(Window(disk, 0, disk.size))
        if isinstance(content, BtrfsFilesystem):
            with suppress(BadImage):
                content.figures()
            for node in nodes(content):
                with suppress(BadImage):
                    for _ in islice(content.data(node), 3):
                        pass


@given(st.binary(max_size=3000))
def test_any_bytes_unpack_to_words(data: bytes) -> None:
    for kind in (1, 2, 3, 4):
        with suppress(BadFilesystem):
            assert len(reader_packed.unpack(kind, data, 4096, 4096)) <= 4096
    with suppress(BadFilesystem, IndexError):
        assert len(reader_packed.lzo1x(data, 4096)) <= 4096 + len(data)


def test_a_superblock_of_nonsense_is_refused(images: dict[str, Path], tmp_path: Path) -> None:
    data = bytearray(images["usual"].read_bytes()[: 4 << 20])
    for at, value, says in (
        (0x94, struct.pack("<I", 12345), "nodes of 12345 bytes"),
        (0xC6, b"\x09", "levels"),
        (0xA0, struct.pack("<I", 5000), "5,000 bytes of chunks"),
        (0x90, struct.pack("<I", 512), "blocks of 512"),
    ):
        patched = bytearray(data)
        patched[AT + at : AT + at + len(value)] = value
        _seal(patched, AT, 4096, Checksums(0))
        file = tmp_path / "image"
        file.write_bytes(patched)
        with RawDisk(file) as disk:
            content, trouble = table.probe(Window(disk, 0, disk.size))
        assert content is None
        assert says in trouble
