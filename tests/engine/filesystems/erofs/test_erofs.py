"""What is written is what the manifest says, as fsck.erofs, dump.erofs and our reader see it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.cli import main
from engine.compare.diff import compare
from engine.filesystems import table
from engine.filesystems.driver import FilesystemPlan, Request
from engine.filesystems.erofs.chunks import chunks
from engine.filesystems.erofs.format import BLOCK_SIZE
from engine.filesystems.erofs.layout import layout
from engine.filesystems.populate import Cancelled, PopulateFailed
from engine.image.container import BadImage
from engine.image.container.disk import RawDisk
from engine.image.reading import Window, holds_files, walk
from engine.manifest.entry import Entry, SourceChanged
from engine.manifest.manifest import Manifest
from tests.engine.filesystems import writing
from tests.engine.filesystems.erofs.odd import LETTERS, odd
from tests.engine.filesystems.ext4 import contents, trees
from tests.support.tools import EPOCH, run_tool

MIB = 1 << 20


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("erofs")


def checked(image: Path, manifest: Manifest) -> FilesystemPlan:
    """Writes a file system and asserts that both readers find what was planned."""
    planned = writing.plan("erofs", manifest)
    assert not planned.refused
    sums = writing.write(image, planned)
    assert writing.read_back(image, planned, sums) == []
    run_tool(("fsck.erofs", writing.alone(image, planned)), check=True, capture_output=True)
    assert sum(size for _, size in planned.parts) == planned.size
    assert all(size >= 0 for _, size in planned.parts)
    return planned


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(manifest=st.one_of(contents.trees(), trees.manifests()))
def test_reads_back_as_written(manifest: Manifest, shared: Path) -> None:
    planned = checked(shared / "image", manifest)
    first = writing.alone(shared / "image", planned).read_bytes()
    writing.write(shared / "image", planned)
    assert writing.alone(shared / "image", planned).read_bytes() == first


def test_keeps_all_that_is_hard_to_keep(tmp_path: Path) -> None:
    manifest = odd()
    planned = checked(tmp_path / "image", manifest)
    alone = writing.alone(tmp_path / "image", planned)
    for entry in manifest:
        if b"\n" in entry.path or b"\xff" in entry.path:  # dump.erofs prints them as they are
            continue
        path = "/" + os.fsdecode(entry.path)
        dumped = run_tool(
            ("dump.erofs", f"--path={path}", alone), check=True, capture_output=True, text=True
        ).stdout
        first = entry.link_to or entry
        assert re.search(rf"Uid: {first.uid} +Gid: {first.gid} +Access: ", dumped), dumped
        # dump.erofs 1.5 shows the last nine bits alone.
        assert f"Access: {first.mode & 0o777:04o}/" in dumped, dumped
        names = sum(1 for each in manifest if each.link_to is first) + 1
        if not entry.is_directory:
            assert re.search(rf"Links: {names} ", dumped), dumped
            assert f"Size: {first.size} " in dumped, dumped


def test_fsck_extracts_what_went_in(tmp_path: Path) -> None:
    """As far as an ordinary user may, and without holes, which fsck.erofs 1.5 leaves out."""
    files = [
        *(trees.file(b"f%d" % size, size) for size in (0, 1, 4000, 4095, 4096, 4097, 70_000)),
        *trees.files(b"many", 1500, width=100, size=10),
        trees.symlink(b"link", b"t" * 200),
    ]
    for entry in files:
        entry.mtime_ns = 1_600_000_000 * 10**9
    manifest = trees.manifest([*files, trees.link(b"other", files[6])])
    planned = checked(tmp_path / "image", manifest)
    out = tmp_path / "out"
    run_tool(
        ("fsck.erofs", f"--extract={out}", writing.alone(tmp_path / "image", planned)),
        check=True, capture_output=True,
    )  # fmt: skip
    found = {os.fsencode(path.relative_to(out)) for path in out.rglob("*")}
    assert found == {entry.path for entry in manifest if entry.path}
    for entry in manifest:
        path = out / os.fsdecode(entry.path)
        if entry.is_symlink:
            assert os.fsencode(path.readlink()) == entry.target
        elif entry.is_regular:
            assert path.read_bytes() == b"x" * entry.size


def test_is_as_large_as_it_was_said_to_be_and_no_larger(tmp_path: Path) -> None:
    manifest = trees.manifest([trees.file(b"a", 5 * MIB), *trees.files(b"d", 300, size=700)])
    request = Request(manifest=manifest, uuid=writing.UUID, free=50 * MIB)
    sized = table.DRIVERS["erofs"].least(request)
    assert sized.bytes == 6 * MIB
    assert sized.filesystem.size < 5 * MIB + 300 * 900
    assert (sized.filesystem.free_bytes, sized.filesystem.shortage) == (0, None)
    short = table.DRIVERS["erofs"].fit(request, sized.filesystem.size - 1).shortage
    assert short is not None
    assert (short.needed, short.available) == (sized.filesystem.size, sized.filesystem.size - 1)


def test_holds_nothing_at_all(tmp_path: Path) -> None:
    planned = checked(tmp_path / "image", Manifest(()))
    assert planned.size == BLOCK_SIZE


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (trees.file(b"n" * 256, 0), "a name of 256 bytes, 255 at most"),
        (trees.symlink(b"l", b"t" * 4096), "a link target of 4,096 bytes, 4,095 at most"),
        (Entry(b"d", stat.S_IFCHR, rdev=os.makedev(4096, 1)), "the device 4096:1, 4095:1048575"),
        (trees.file(b"x", 0, xattrs=((b"system.other", b""),)), "unknown kind"),
        (trees.file(b"x", 0, xattrs=((b"user.v", bytes(65_536)),)), "65535 at most"),
        (trees.file(b"x", 0, xattrs=((b"user." + b"n" * 256, b""),)), "255 and"),
    ],
)
def test_refuses_by_name_and_writes_nothing(entry: Entry, reason: str, tmp_path: Path) -> None:
    planned = writing.plan("erofs", trees.manifest([entry]))
    assert [reason in one.reason for one in planned.refused] == [True]
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(MIB)
    with pytest.raises(PopulateFailed, match=re.escape(reason)):
        table.writer("erofs").make(image, 0, planned, epoch=0)
    assert not any(image.read_bytes())


@pytest.mark.parametrize("label", ["x" * 17, "a\0b"])
def test_a_label_that_is_none_writes_nothing(label: str, tmp_path: Path) -> None:
    planned = writing.plan("erofs", Manifest(()), label=label)
    with pytest.raises(ValueError, match="label"):
        writing.write(tmp_path / "image", planned)


class Other(trees.Filler):
    """A source whose files have become longer or shorter by some bytes, or others' altogether."""

    def __init__(self, change: int, other: Entry | None = None) -> None:
        self._change = change
        self._other = other

    def stream(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, int, memoryview]]:
        for entry in entries:
            letters = memoryview(b"x" * (entry.size + self._change))
            yield self._other or entry, 0, letters


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (Other(1), "/changing.*data at byte 0 that was not there"),
        (Other(-1), "/changing.*it ends at byte 8999 of 9000"),
        (Other(0, trees.file(b"other", 9000)), "/other.*data where there was none"),
    ],
)
def test_a_file_that_is_not_what_was_scanned_is_named(
    source: Other, says: str, tmp_path: Path
) -> None:
    changing = trees.file(b"changing", 9000)
    changing.source = source
    planned = writing.plan("erofs", trees.manifest([changing]))
    with pytest.raises(SourceChanged, match=says):
        writing.write(tmp_path / "image", planned)


def test_can_be_cancelled(tmp_path: Path) -> None:
    planned = writing.plan("erofs", trees.manifest([trees.file(b"a", 9 * MIB)]))
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(planned.size)
    with pytest.raises(Cancelled):
        table.writer("erofs").make(image, 0, planned, epoch=0, cancelled=lambda: True)
    with pytest.raises(Cancelled):
        table.writer("erofs").populate(image, 0, planned, epoch=0, cancelled=lambda: True)


def test_diff_names_what_differs(tmp_path: Path) -> None:
    images = []
    for mode in (0o644, 0o600):
        manifest = trees.manifest([trees.file(b"a", 9000), *trees.files(b"d", 3, size=10)])
        entry = manifest.get(b"d/00000001")
        assert entry is not None
        entry.mode = stat.S_IFREG | mode
        planned = writing.plan("erofs", manifest)
        writing.write(tmp_path / "image", planned)
        images.append(writing.alone(tmp_path / "image", planned).rename(tmp_path / f"{mode:o}"))
    found = compare(images[0], images[1])
    assert [(each.where, each.a, each.b) for each in found.fields] == [
        ("disk, /d/00000001, mode", "0644", "0600")
    ]
    assert {each.a for each in found.ranges} == {"disk, superblock", "disk, inode of /d/00000001"}


def test_inspect_shows_it_and_what_it_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planned = writing.plan("erofs", odd())
    writing.write(tmp_path / "image", planned)
    alone = str(writing.alone(tmp_path / "image", planned))
    assert main.main(["inspect", alone]) == 0
    assert f'erofs "a label" {writing.UUID}' in capsys.readouterr().out
    assert main.main(["inspect", alone, "/"]) == 0
    assert "long link -> ttt" in capsys.readouterr().out
    assert main.main(["inspect", alone, "/blk"]) == 0
    assert "device: [259, 70000]" in capsys.readouterr().out


EXTENTS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 90_000)), max_size=12)


@given(extents=EXTENTS, rest=st.integers(0, 5_000_000))
def test_chunks_cover_what_is_stored_and_no_other_cut_is_smaller(
    extents: list[tuple[int, int]], rest: int
) -> None:
    ranges, end = [], 0
    for gap, length in extents:
        ranges.append((end + gap * BLOCK_SIZE, length))
        end += gap * BLOCK_SIZE + length
    size = end + rest
    cut = chunks(size, ranges)
    pieces = cut.pieces()
    stored = {block for first, count in pieces for block in range(first, first + count)}
    wanted = {
        block
        for offset, length in ranges
        for block in range(offset // BLOCK_SIZE, -(-(offset + length) // BLOCK_SIZE))
    }
    assert wanted <= stored
    assert max(stored, default=-1) < -(-size // BLOCK_SIZE)
    cost = cut.index_bytes + len(stored) * BLOCK_SIZE
    assert cost <= -(-size // BLOCK_SIZE) * 4 + len(wanted) * BLOCK_SIZE
    assert cut.count == -(-size // (BLOCK_SIZE << cut.bits))


@given(manifest=trees.manifests())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_two_things_share_a_byte(manifest: Manifest) -> None:
    made = layout(manifest)
    places = []
    for inode in made.inodes:
        tail = inode.size % BLOCK_SIZE if inode.tail else 0
        end = inode.at + inode.head + tail
        assert inode.at % 32 == 0
        if end - inode.at <= BLOCK_SIZE:
            assert inode.at // BLOCK_SIZE == (end - 1) // BLOCK_SIZE
        places.append((inode.at, end))
        if inode.blocks:
            start = inode.block * BLOCK_SIZE
            places.append((start, start + inode.blocks * BLOCK_SIZE))
    places.sort()
    assert all(end <= start for (_, end), (start, _) in pairwise(places))
    assert places[-1][1] <= made.size


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    image = tmp_path_factory.mktemp("sound") / "image"
    entries = [
        trees.file(b"a", 9000, xattrs=((b"user.a", b"1"),)), trees.symlink(b"l", b"target"),
        trees.file(b"s", 90_000, ((8192, 100),)), *trees.files(b"d", 40, width=100, size=3),
    ]  # fmt: skip
    planned = writing.plan("erofs", trees.manifest(entries))
    writing.write(image, planned)
    return writing.alone(image, planned).read_bytes()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=6))
def test_damage_is_told_and_ends(
    changes: list[tuple[int, int]], sound: bytes, shared: Path
) -> None:
    damaged = bytearray(sound)
    damaged[1024 + 8] &= ~1  # without the checksum, which would tell at once
    for at, value in changes:
        if at % len(damaged) not in range(1024, 1028):
            damaged[at % len(damaged)] = value
    path = shared / "damaged"
    path.write_bytes(damaged)
    with RawDisk(path) as disk:
        content, trouble = table.probe(Window(disk, 0, disk.size))
        if content is None:
            assert trouble
            return
        assert holds_files(content)
        with suppress(BadImage):
            for node in walk(content):
                if stat.S_ISREG(node.mode):
                    assert sum(len(data) for _, data in content.data(node)) <= node.size


def test_a_wrong_checksum_is_told(sound: bytes, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(sound[:2000] + b"\xff" + sound[2001:])
    with RawDisk(path) as disk:
        content, trouble = table.probe(Window(disk, 0, disk.size))
    assert content is None
    assert "checksum" in trouble


def test_chunks_that_share_a_block_without_end_are_refused(tmp_path: Path) -> None:
    manifest = trees.manifest([trees.file(b"s", 1000 * BLOCK_SIZE, ((BLOCK_SIZE, BLOCK_SIZE),))])
    planned = writing.plan("erofs", manifest)
    writing.write(tmp_path / "image", planned)
    raw = bytearray(writing.alone(tmp_path / "image", planned).read_bytes())
    inode = layout(manifest).inodes[1]
    assert inode.chunks is not None
    assert inode.chunks.count == 1000
    index = slice(inode.at + 64, inode.at + 64 + 4000)
    raw[index] = inode.block.to_bytes(4, "little") * 1000
    raw[1024 + 8] &= ~1
    path = tmp_path / "shared"
    path.write_bytes(raw)
    with RawDisk(path) as disk:
        content, trouble = table.probe(Window(disk, 0, disk.size))
        assert holds_files(content), trouble
        with pytest.raises(BadImage, match="more chunks than there are blocks"):
            content.lookup(b"s")


def folder(path: Path) -> Path:
    """Makes a folder that mkfs.erofs takes."""
    (path / "deep" / "er").mkdir(parents=True)
    (path / "deep" / "er" / "small").write_bytes(b"s" * 100)
    (path / "large").write_bytes(b"l" * 1_000_000)
    (path / "link").symlink_to("large")
    (path / "other").hardlink_to(path / "large")
    for number in range(400):
        (path / "deep" / f"file-{number:05d}-with-a-long-name").write_bytes(b"%d" % number)
    os.utime(path / "large", ns=(5, 1_500_000_000_123_456_789))
    return path


@pytest.mark.parametrize("options", [(), ("-Eforce-inode-compact",), ("--chunksize=65536",)])
def test_reads_what_mkfs_makes(options: tuple[str, ...], tmp_path: Path) -> None:
    source, image = folder(tmp_path / "source"), tmp_path / "image"
    run_tool(("mkfs.erofs", "-U", writing.UUID, *options, image, source), check=True)
    with RawDisk(image) as disk:
        content, trouble = table.probe(Window(disk, 0, disk.size))
        assert holds_files(content), trouble
        nodes = {os.fsdecode(node.path): node for node in walk(content)}
        assert nodes.keys() == {str(path.relative_to(source)) for path in source.rglob("*")}
        for name, node in nodes.items():
            path = source / name
            assert node.mode == path.lstat().st_mode
            if not options:
                assert node.mtime_ns == min(path.lstat().st_mtime_ns, EPOCH * 10**9)
            if path.is_file() and not path.is_symlink():
                assert b"".join(data for _, data in content.data(node)) == path.read_bytes()
        assert nodes["link"].target == b"large"
        assert nodes["large"].inode == nodes["other"].inode
        assert nodes["large"].links == 2


def test_lists_compressed_files_and_says_that_their_data_is_not_read(tmp_path: Path) -> None:
    source, image = folder(tmp_path / "source"), tmp_path / "image"
    run_tool(("mkfs.erofs", "-zlz4", image, source), check=True)
    with RawDisk(image) as disk:
        content, trouble = table.probe(Window(disk, 0, disk.size))
        assert holds_files(content), trouble
        node = content.lookup(b"large")
        assert node is not None
        assert node.size == 1_000_000
        with pytest.raises(BadImage, match="compressed"):
            list(content.data(node))


def test_letters_are_the_source_of_the_odd_tree() -> None:
    assert {entry.source for entry in odd() if entry.is_regular} == {LETTERS}
