"""What tar2sqfs makes of a manifest, as unsquashfs, rdsquashfs and our own reader see it."""

from __future__ import annotations

import io
import os
import random
import stat
import tarfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.cli import main
from engine.compare.diff import compare
from engine.filesystems import table
from engine.filesystems.driver import Drop, FilesystemPlan, Request
from engine.filesystems.paxstream import stream
from engine.filesystems.squashfs.driver import BLOCK_SIZE, bound
from engine.filesystems.squashfs.kept import kept
from engine.image.container import BadImage
from engine.image.container.disk import RawDisk
from engine.image.reading import Examination, Window, contents, holds_files, walk
from engine.manifest.datasums import DataSums
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from engine.pipeline.readback import differences
from tests.engine.filesystems.erofs.odd import LETTERS, odd
from tests.engine.filesystems.ext4 import contents as random_contents
from tests.engine.filesystems.ext4 import trees
from tests.support.tools import EPOCH, run_tool

MIB = 1 << 20
_QUIET = [HealthCheck.too_slow]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("squashfs")


def planned_of(manifest: Manifest, compression: str = "") -> FilesystemPlan:
    request = Request(manifest=manifest, compression=compression)
    return table.DRIVERS["squashfs"].least(request).filesystem


def made(image: Path, planned: FilesystemPlan) -> DataSums:
    """Makes a squashfs alone, as a build does, and returns the sums of what went in."""
    image.unlink(missing_ok=True)
    sums = DataSums()
    (argv,) = table.DRIVERS["squashfs"].make(planned, "image", 0, str(image))
    archive = b"".join(map(bytes, stream(planned.manifest, keep=kept, observer=sums)))
    done = run_tool(argv, input=archive, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    return sums


def checked(image: Path, manifest: Manifest, compression: str = "") -> FilesystemPlan:
    """Makes a squashfs and asserts that our reader finds what was planned, within its bound."""
    planned = planned_of(manifest, compression)
    assert not planned.refused
    sums = made(image, planned)
    assert image.stat().st_size <= planned.most_bytes == planned.size
    with RawDisk(image) as disk:
        content, trouble = table.probe(Window(disk, 0, disk.size))
        assert content is not None, trouble
        found = differences(content, planned, sums.of(manifest), lambda: False, kept)
    assert found == []
    return planned


def without(manifest: Manifest, *names: bytes) -> Manifest:
    """Returns a manifest without sockets, further names of any, and these entries."""
    return Manifest(
        [entry for entry in manifest if not stat.S_ISSOCK(entry.mode) and entry.path not in names]
    )


@settings(max_examples=15, deadline=None, suppress_health_check=_QUIET)
@given(
    manifest=st.one_of(random_contents.trees(), trees.manifests()).map(without),
    compression=st.sampled_from(["", "gzip", "xz"]),
)
def test_reads_back_as_it_went_in(manifest: Manifest, compression: str, shared: Path) -> None:
    planned = checked(shared / "image", manifest, compression)
    first = (shared / "image").read_bytes()
    made(shared / "image", planned)
    assert (shared / "image").read_bytes() == first


def test_others_read_what_is_hard_to_keep(tmp_path: Path) -> None:
    manifest, image = without(odd(), b"more attributes", b"hole", b"all hole"), tmp_path / "image"
    planned = checked(image, manifest)
    assert planned.drops == (
        Drop("times outside 1970 to 2106", 2, (b"1901", b"2300")),
        Drop("ACLs", 1, (b"acl",)),
    )
    archive = run_tool(("sqfs2tar", image), capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive), errors="surrogateescape") as told:
        members = {os.fsencode(one.name.rstrip("/")): one for one in told}
    assert set(members) == {entry.path for entry in manifest if entry.path}
    for entry in manifest:
        if not entry.path:
            continue
        first, seen = entry.link_to or entry, members[entry.path]
        if seen.islnk():
            seen = members[os.fsencode(seen.linkname)]
        assert (seen.mode, seen.uid, seen.gid) == (stat.S_IMODE(first.mode), first.uid, first.gid)
        assert seen.mtime == kept(first).mtime_ns // 10**9
        if entry.is_symlink:
            assert os.fsencode(seen.linkname) == entry.target
        elif entry.rdev:
            assert os.makedev(seen.devmajor, seen.devminor) == entry.rdev
        elif entry.is_regular:
            # tarfile gives the size of what is stored for sparse members of form 0.1.
            assert int(seen.pax_headers.get("GNU.sparse.size", seen.size)) == first.size
        names = {os.fsencode(key[13:]) for key in seen.pax_headers if key.startswith("SCHILY.x")}
        assert names == {name for name, _ in kept(first).xattrs}
    listing = run_tool(("unsquashfs", "-lln", image), capture_output=True, check=True).stdout
    assert b"drwxr-x--- 7/8 " in listing.splitlines()[0]
    for name in ("attributes", "first name", "hole inside a block"):
        file = manifest.get(name.encode())
        assert file is not None
        data = run_tool(("rdsquashfs", "-c", name, image), capture_output=True, check=True).stdout
        assert data == LETTERS.data(file)


def test_what_cannot_be_compressed_stays_below_the_bound_and_not_far(tmp_path: Path) -> None:
    manifest = trees.manifest(
        [Entry(b"noise%02d" % number, stat.S_IFREG | 0o644, size=300_001,
               source=random_contents.SOURCE) for number in range(10)]
    )  # fmt: skip
    planned = checked(tmp_path / "image", manifest)
    assert planned.size <= (tmp_path / "image").stat().st_size + 8192


def test_zeros_that_are_data_become_a_hole_and_read_as_zeros(tmp_path: Path) -> None:
    class Zeros(trees.Filler):
        def stream(self, entries: Sequence[Entry]):  # type: ignore[no-untyped-def]  # noqa: ANN202
            for entry in entries:
                yield entry, 0, memoryview(bytes(entry.size))

    entries = [trees.file(b"a", 5 * BLOCK_SIZE + 7), trees.file(b"b", 100)]
    for entry in entries:
        entry.source = Zeros()
    checked(tmp_path / "image", trees.manifest(entries))
    assert (tmp_path / "image").stat().st_size == 4096


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (trees.file(b"n" * 256, 0), "a name of 256 bytes, 255 at most"),
        (trees.symlink(b"l", b"t" * 4096), "a link target of 4,096 bytes, 4,095 at most"),
        (Entry(b"d", stat.S_IFCHR, rdev=os.makedev(4096, 1)), "the device 4096:1, 4095:1048575"),
        (Entry(b"s", stat.S_IFSOCK), "a socket"),
        (trees.file(b"x", 0, xattrs=((b"user.v", bytes(65_536)),)), "65,536 at most for tar2sqfs"),
    ],
)
def test_what_it_cannot_hold_is_named(entry: Entry, reason: str) -> None:
    planned = planned_of(trees.manifest([entry]))
    assert [reason in one.reason for one in planned.refused] == [True]


def test_the_largest_attributes_that_are_taken_go_through(tmp_path: Path) -> None:
    value = b"v" * (65_536 - len(b"65536 SCHILY.xattr.user.v=\n"))
    entry = trees.file(b"x", 5, xattrs=((b"user.v", value),))
    checked(tmp_path / "image", trees.manifest([entry]))
    entry.xattrs = ((b"user.v", value + b"v"),)
    assert len(planned_of(trees.manifest([entry])).refused) == 1


def test_holds_nothing_at_all(tmp_path: Path) -> None:
    checked(tmp_path / "image", Manifest(()))


@given(extents=st.lists(st.tuples(st.integers(0, 900_000), st.integers(1, 300_000)), max_size=9))
def test_the_bound_counts_each_block_with_data_once(extents: list[tuple[int, int]]) -> None:
    ranges, at = [], 0
    for gap, length in extents:
        ranges.append((at + gap, length))
        at += gap + length
    touched = {
        block
        for start, length in ranges
        for block in range(start // BLOCK_SIZE, -(-(start + length) // BLOCK_SIZE))
    }
    size = at + 5
    data = sum(min(BLOCK_SIZE, size - block * BLOCK_SIZE) for block in touched)
    one = trees.manifest([trees.file(b"a", size, tuple(ranges))])
    none = trees.manifest([trees.file(b"a", size, ())])
    assert abs(bound(one) - bound(none) - data) < 4096


def folder(path: Path) -> Path:
    """Makes a folder that mksquashfs takes."""
    noise = random.Random(7)
    (path / "deep" / "er").mkdir(parents=True)
    (path / "deep" / "er" / "small").write_bytes(b"s" * 100)
    (path / "large").write_bytes(noise.randbytes(300_000) + bytes(500_000) + b"l" * 900_000)
    (path / "link").symlink_to("large")
    (path / "other").hardlink_to(path / "large")
    os.setxattr(path / "large", "user.note", b"value")
    os.setxattr(path / "deep", "user.note", b"value")
    for number in range(700):
        (path / "deep" / f"file-{number:05d}-with-a-long-name").write_bytes(b"%d" % number)
    for each in (path, *path.rglob("*")):
        os.utime(each, (5, 1_500_000_000), follow_symlinks=False)
    return path


@pytest.mark.parametrize(
    "options",
    [("gzip",), ("xz",), ("zstd",), ("zstd", "-b", "4096", "-no-fragments"),
     ("gzip", "-noI", "-noD", "-noF", "-noX"), ("gzip", "-b", "1M", "-always-use-fragments")],
)  # fmt: skip
def test_reads_what_mksquashfs_makes(options: tuple[str, ...], tmp_path: Path) -> None:
    source, image = folder(tmp_path / "source"), tmp_path / "image"
    run_tool(("mksquashfs", source, image, "-quiet", "-no-progress", "-comp", *options), check=True)
    with RawDisk(image) as disk:
        content, trouble = table.probe(Window(disk, 0, disk.size))
        assert holds_files(content), trouble
        found = {node.path: node for node in walk(content)}
        assert {os.fsdecode(path) for path in found} == {
            str(path.relative_to(source)) for path in source.rglob("*")
        }
        assert found[b"large"].inode == found[b"other"].inode
        assert found[b"large"].xattrs == found[b"deep"].xattrs == ((b"user.note", b"value"),)
        for name, node in found.items():
            path = source / os.fsdecode(name)
            assert node.mtime_ns == path.lstat().st_mtime_ns // 10**9 * 10**9
            if stat.S_ISREG(node.mode):
                assert contents(content, node, 1 << 30) == path.read_bytes()


def test_a_compression_that_is_not_read_is_named(tmp_path: Path) -> None:
    source, image = folder(tmp_path / "source"), tmp_path / "image"
    run_tool(("mksquashfs", source, image, "-quiet", "-comp", "lz4"), check=True)
    with RawDisk(image) as disk:
        content, _ = table.probe(Window(disk, 0, disk.size))
        assert holds_files(content)
        with pytest.raises(BadImage, match="compressed with lz4, which is not read here"):
            content.lookup(b"large")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    image = tmp_path_factory.mktemp("sound") / "image"
    entries = [
        trees.file(b"a", 300_000, xattrs=((b"user.a", b"1"),)), trees.symlink(b"l", b"target"),
        trees.file(b"s", 900_000, ((270_000, 100),)), *trees.files(b"d", 300, width=90, size=3),
    ]  # fmt: skip
    made(image, planned_of(trees.manifest(entries)))
    return image.read_bytes()


@settings(max_examples=200, deadline=None, suppress_health_check=_QUIET)
@given(changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=6))
def test_damage_is_told_and_ends(
    changes: list[tuple[int, int]], sound: bytes, shared: Path
) -> None:
    damaged = bytearray(sound)
    for at, value in changes:
        damaged[max(4, at % len(damaged))] = value
    path = shared / "damaged"
    path.write_bytes(damaged)
    with RawDisk(path) as disk:
        content, trouble = table.probe(Window(disk, 0, disk.size))
        if content is None:
            assert trouble or damaged[28:30] != sound[28:30]  # of another version: not ours
            return
        assert holds_files(content)
        with suppress(BadImage):
            for node in walk(content):
                if stat.S_ISREG(node.mode):
                    assert sum(len(data) for _, data in content.data(node)) <= node.size


def test_inspect_and_diff_tell_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = []
    for mode in (0o644, 0o600):
        manifest = trees.manifest([trees.file(b"a", 9000), *trees.files(b"d", 3, size=10)])
        entry = manifest.get(b"d/00000001")
        assert entry is not None
        entry.mode = stat.S_IFREG | mode
        images.append(tmp_path / f"{mode:o}")
        made(images[-1], planned_of(manifest))
    found = compare(images[0], images[1])
    told = {each.where: (each.a, each.b) for each in found.fields}
    assert told.pop("disk, /d/00000001, mode") == ("0644", "0600")
    assert set(told) <= {"disk, squashfs, bytes used"}
    parts = ["superblock", "inodes", "directories", "data", "owners", "fragments"]
    assert {each.a for each in found.ranges} <= {
        "disk, unallocated blocks",
        *(f"disk, {part}" for part in parts),
    }
    assert main.main(["inspect", str(images[0])]) == 0
    assert "compressed with zstd" in capsys.readouterr().out
    assert main.main(["inspect", str(images[0]), "/d/00000001"]) == 0
    assert "mode: 0644" in capsys.readouterr().out


def test_the_time_of_the_whole_is_the_epoch(tmp_path: Path) -> None:
    made(tmp_path / "image", planned_of(Manifest(())))
    told = run_tool(
        ("unsquashfs", "-s", "-UTC", tmp_path / "image"), capture_output=True, check=True
    )
    assert b"Tue Nov 14 22:13:20 2023" in told.stdout
    assert EPOCH == 1_700_000_000


def examined(image: Path) -> Examination:
    with RawDisk(image) as disk:
        content, trouble = table.probe(Window(disk, 0, disk.size))
        assert content is not None, trouble
        return table.examine(content)


@pytest.mark.parametrize("tool", ["tar2sqfs", "mksquashfs"])
def test_what_is_sound_is_found_to_be(tool: str, tmp_path: Path) -> None:
    image = tmp_path / "image"
    if tool == "tar2sqfs":
        made(image, planned_of(without(odd(), b"more attributes", b"hole", b"all hole")))
    else:
        command = (tool, folder(tmp_path / "source"), image, "-quiet", "-no-progress")
        run_tool(command, check=True)
    assert examined(image) == Examination(())


def test_damage_of_data_and_counts_is_told_by_name(tmp_path: Path) -> None:
    image = tmp_path / "image"
    noise = Entry(b"noise", stat.S_IFREG | 0o644, size=300_000, source=random_contents.SOURCE)
    made(image, planned_of(trees.manifest([trees.file(b"letters", 400_000), noise])))
    raw = bytearray(image.read_bytes())
    raw[4] += 1  # the number of inodes
    at = raw.index(b"\x28\xb5\x2f\xfd", 96 + 8)  # the first block of zstd: that of the letters
    raw[at : at + 4] = b"none"
    image.write_bytes(raw)
    found = examined(image).findings
    assert any("3 inodes have a name, and there are 4" in one for one in found), found
    assert any(one.startswith("/letters: a block of zstd is damaged") for one in found), found


def test_more_data_than_is_looked_at_is_said(tmp_path: Path) -> None:
    image = tmp_path / "image"
    made(image, planned_of(trees.manifest([trees.file(b"large", 65 * MIB)])))
    assert examined(image).unchecked == ("the data of 1 files (`unsquashfs` reads it)",)
