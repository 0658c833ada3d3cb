"""What our writer makes, read back by fsck.fat, mtools, GRUB's driver and our own reader."""

from __future__ import annotations

import re
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.boot.sources import composed
from engine.filesystems.fat.geometry import DIRECTORY_ENTRY, FatGeometry, geometry
from engine.filesystems.fat.measure import measure
from engine.filesystems.fat.reader import FatFilesystem
from engine.filesystems.fat.writer import fill, make_empty
from engine.filesystems.populate import Cancelled, PopulateFailed
from engine.image.container.disk import RawDisk
from engine.image.reading import Window
from engine.manifest.datasums import DataSums
from engine.manifest.entry import Entry, SourceChanged
from engine.manifest.manifest import Manifest
from engine.manifest.memory import copy_of, file_of
from tests.support.fat import (
    EPOCH,
    MTOOLS,
    VOLUME,
    copied_out,
    files,
    folder,
    fsck,
    hole,
    manifest,
)

MIB = 1 << 20
NS = 10**9
LAYOUTS = {
    "12": geometry(4 * MIB, bits=12),
    "12 of 4096": geometry(8 * MIB, sector_size=4096, bits=12),
    "16": geometry(20 * MIB, bits=16),
    "16 of 4096": geometry(68 * MIB, sector_size=4096, bits=16),
    "32": geometry(34 * MIB),
    "32 of 4096": geometry(258 * MIB, sector_size=4096),
    "32 in 4 KiB": geometry(262 * MIB),
}
every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())


def written(place: Path, layout: FatGeometry, contents: Manifest, offset: int = 0) -> Path:
    """Makes an image as a build does, an empty file system first."""
    image = hole(place, offset + layout.size)
    make_empty(image, offset, layout, VOLUME)
    fill(image, offset, layout, VOLUME, contents)
    return image


def tree(image: Path) -> dict[str, tuple[int, int, bytes | None]]:
    """Reads everything by our reader: mode, time and data by path."""
    found: dict[str, tuple[int, int, bytes | None]] = {}
    with RawDisk(image) as disk:
        filesystem = FatFilesystem(Window(disk, 0, disk.size))
        root = filesystem.lookup(b"")
        assert root is not None
        waiting = [root]
        while waiting:
            for node in filesystem.children(waiting.pop()):
                directory = stat.S_ISDIR(node.mode)
                data = None if directory else b"".join(d for _, d in filesystem.data(node))
                found[node.path.decode()] = node.mode, node.mtime_ns, data
                if directory:
                    waiting.append(node)
    return found


def expected(contents: Manifest) -> dict[str, bytes | None]:
    """What a manifest made from memory holds."""
    return {
        entry.path.decode(): None if entry.is_directory else data(entry)
        for entry in contents
        if entry.path
    }


def data(entry: Entry) -> bytes:
    origin = entry.link_to or entry
    found = bytearray(origin.size)
    assert origin.source is not None
    for _, offset, piece in origin.source.stream([origin]):
        found[offset : offset + len(piece)] = piece
    return bytes(found)


def free_clusters(image: Path) -> int:
    with RawDisk(image) as disk:
        filesystem = FatFilesystem(Window(disk, 0, disk.size))
        return filesystem.free // filesystem.block_size


LETTERS = "abcdefgXYZ0189 .-_~[]+,;=!#$%&'()@^`{}\x7féÉüßÿΩ\u03c3Àñ日本µ\u017f"
BEYOND = "\U0001f4be\U00020000\U0010ffff"


def names(letters: str) -> st.SearchStrategy[str]:
    return st.one_of(
        st.text(letters, min_size=1, max_size=14),
        st.text(letters, min_size=20, max_size=120),
        st.sampled_from(["LOADER", "loader.cfg", "Loader.efi", "CON", "nul.txt", "longname1.txt",
                         "longname2.txt", "longna~1.txt", "longna~2.txt", "a.b.c", ".x"]),
    ).filter(lambda name: not name.endswith((".", " ")))  # fmt: skip


@st.composite
def trees(draw: st.DrawFn, letters: str) -> Manifest:
    """Random trees of what FAT can hold."""
    above = [b""]
    found: dict[str, Entry] = {}
    for name in draw(st.lists(names(letters), max_size=30)):
        parent = draw(st.sampled_from(above))
        path = (parent + b"/" if parent else b"") + name.encode()
        if path.decode().upper() in found:
            continue
        mtime_ns = draw(st.integers(EPOCH - 10**8, EPOCH)) * NS
        if draw(st.integers(0, 4)) == 0:
            entry = Entry(path, stat.S_IFDIR | 0o755, mtime_ns=mtime_ns)
            above.append(path)
        else:
            size = draw(st.one_of(st.sampled_from([0, 1, 511, 512, 513, 4096, 4097]),
                                  st.integers(0, 30_000)))  # fmt: skip
            mode = draw(st.sampled_from([0o644, 0o444, 0o755]))
            content = (path * (size // len(path) + 1))[:size]
            entry = file_of(path, content, mtime_ns=mtime_ns, mode=mode)
        found[path.decode().upper()] = entry
    return manifest(*found.values())


@pytest.fixture
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


PROPERTY = settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow]
)  # fmt: skip


@PROPERTY
@given(trees(LETTERS + BEYOND), st.sampled_from(sorted(LAYOUTS)))
def test_any_tree_is_sound_and_read_back_by_our_reader(contents: Manifest, name: str) -> None:
    layout = LAYOUTS[name]
    assert measure(contents).unholdable == ()
    with tempfile.TemporaryDirectory() as place:
        image = written(Path(place, "image"), layout, contents)
        fsck(image)
        found = tree(image)
        assert {path: data for path, (_, _, data) in found.items()} == expected(contents)
        for entry in contents:
            if entry.path:
                mode, mtime_ns, _ = found[entry.path.decode()]
                assert mtime_ns == entry.mtime_ns // (2 * NS) * 2 * NS
                if entry.is_regular:
                    assert bool(mode & 0o222) == bool(entry.mode & 0o222)
        assert free_clusters(image) == layout.clusters - measure(contents).clusters(layout)
        again = hole(Path(place, "again"), layout.size)
        fill(again, 0, layout, VOLUME, contents)
        assert again.read_bytes() == image.read_bytes()


@PROPERTY
@given(trees("abcdefgXYZ0189 -_~[]+,;=!#$%&'()@^`{}éÉüßÿΩ\u03c3Àñ日本."))
def test_any_tree_is_copied_out_by_mtools(contents: Manifest) -> None:
    """Up to U+FFFF: mtools knows no character beyond."""
    with tempfile.TemporaryDirectory() as place:
        image = written(Path(place, "image"), LAYOUTS["32"], contents)
        if len(contents) > 1:
            assert copied_out(image, Path(place, "out")) == expected(contents)


@every_layout
def test_mtools_say_what_was_written(layout: FatGeometry, scratch: Path) -> None:
    contents = files({"EFI/BOOT/BOOTX64.EFI": b"x" * 5000, "Loader.conf": b"y"})
    image = written(scratch / "image", layout, contents, offset=MIB)
    listing = subprocess.run(
        ("mdir", "-/", "-b", "-i", f"{image}@@{MIB}", "::"), env=MTOOLS, check=True, text=True,
        capture_output=True,
    ).stdout.split()  # fmt: skip
    assert set(listing) == {
        "::/EFI/", "::/EFI/BOOT/", "::/EFI/BOOT/BOOTX64.EFI", "::/Loader.conf"
    }  # fmt: skip
    info = subprocess.run(
        ("minfo", "-i", f"{image}@@{MIB}", "::"), env=MTOOLS, check=True, text=True,
        capture_output=True,
    ).stdout  # fmt: skip
    assert "serial number: 1234ABCD" in info
    assert f'disk type="FAT{layout.bits}   "' in info
    assert f"{layout.sector_size} bytes" in info or layout.sector_size == 512
    dated = subprocess.run(
        ("mdir", "-i", f"{image}@@{MIB}", "::"), env=MTOOLS, check=True, text=True,
        capture_output=True,
    ).stdout  # fmt: skip
    assert "Volume in drive : is ESP" in dated
    assert re.search(r"2023-11-14 +22:13", dated)


def test_grub_reads_it(scratch: Path) -> None:
    """GRUB's driver is one that boots: characters beyond U+FFFF, `[`, deep folders, chains."""
    big = bytes(range(256)) * 1000
    contents = files({"[a]/\U0001f4be disk.efi": big, "[a]/b": b"B"})
    image = written(scratch / "image", LAYOUTS["32"], contents)
    listing = subprocess.run(
        ("grub-fstest", image, "ls", "(loop0)/[a]/"), check=True, capture_output=True
    ).stdout.decode()
    assert "\U0001f4be disk.efi" in listing
    read = subprocess.run(
        ("grub-fstest", image, "cat", "(loop0)/[a]/\U0001f4be disk.efi"),
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    assert read == big


@every_layout
def test_a_directory_of_thousands(layout: FatGeometry, scratch: Path) -> None:
    count = 700 if layout.bits == 12 else 6000
    contents = manifest(
        *(file_of(b"EFI/a long name that is like others %05d" % at, b"", mtime_ns=EPOCH * NS)
          for at in range(count))
    )  # fmt: skip
    image = written(scratch / "image", layout, contents)
    fsck(image)
    assert tree(image).keys() == expected(contents).keys()


@pytest.mark.slow
def test_the_largest_directory_and_one_more(scratch: Path) -> None:
    names = [f"D/{at:08X}" for at in range(65_534)]
    contents = files(dict.fromkeys(names, b""))
    need = measure(contents)
    assert need.unholdable == ()
    assert need.directories[b"D"] == 65_536
    image = written(scratch / "image", LAYOUTS["32"], contents)
    assert len(tree(image)) == 65_535
    (found,) = measure(files(dict.fromkeys([*names, "D/MORE"], b""))).unholdable
    assert found.entry.path == b"D"
    assert found.reason == (
        "its names take 65537 directory entries, and a directory on FAT has at most 65536"
    )


@pytest.mark.parametrize("name", ["12", "16", "16 of 4096"])
def test_a_fixed_root_directory_to_its_last_entry(name: str, scratch: Path) -> None:
    layout = LAYOUTS[name]
    names = [f"{at:08X}" for at in range(layout.root_entries - 1)]
    image = written(scratch / "image", layout, files(dict.fromkeys(names, b"")))
    fsck(image)
    assert len(tree(image)) == layout.root_entries - 1
    more = files(dict.fromkeys([*names, "MORE"], b""))
    assert not measure(more).fits(layout)
    untouched = hole(scratch / "untouched", layout.size)
    with pytest.raises(PopulateFailed, match=f"take {layout.root_entries + 1} directory entries"):
        fill(untouched, 0, layout, VOLUME, more)
    assert untouched.stat().st_blocks == 0


@every_layout
def test_full_to_the_last_cluster_and_one_byte_more(layout: FatGeometry, scratch: Path) -> None:
    room = layout.data_bytes - (layout.cluster_size if layout.bits == 32 else 0)
    full = manifest(sparse(b"FULL", room))
    image = written(scratch / "image", layout, full)
    fsck(image)
    assert free_clusters(image) == 0
    assert measure(full).fits(layout)
    with pytest.raises(PopulateFailed, match=f"take {layout.clusters + 1} clusters"):
        fill(image, 0, layout, VOLUME, manifest(sparse(b"FULL", room + 1)))


class Holes:
    """A source of files that are one hole but for their last bytes."""

    def stream(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, int, memoryview]]:
        for entry in entries:
            for start, length in entry.extents or ():
                yield entry, start, memoryview(b"x" * length)

    def describe(self, entry: Entry) -> str:
        return "the test"


HOLES = Holes()


def sparse(path: bytes, size: int, data: int = 3) -> Entry:
    return Entry(
        path, stat.S_IFREG | 0o644, size=size, mtime_ns=EPOCH * NS, source=HOLES,
        extents=((size - data, data),),
    )  # fmt: skip


def test_holes_of_files_are_zeros_and_stay_holes_of_the_image(scratch: Path) -> None:
    image = written(scratch / "image", LAYOUTS["32"], manifest(sparse(b"HOLE", 20 * MIB)))
    fsck(image)
    assert image.stat().st_blocks * 512 < MIB
    assert tree(image)["HOLE"][2] == bytes(20 * MIB - 3) + b"xxx"


def test_hard_links_and_copies_each_have_their_data(scratch: Path) -> None:
    first = file_of(b"A", b"0123456789" * 100_000, mtime_ns=EPOCH * NS)
    second = Entry(b"B", first.mode, size=first.size, mtime_ns=first.mtime_ns, link_to=first)
    contents = manifest(first, second, copy_of(b"C", first), copy_of(b"D", first))
    image = written(scratch / "image", LAYOUTS["32"], contents)
    fsck(image)
    assert {path: data for path, (_, _, data) in tree(image).items()} == expected(contents)


def test_what_is_put_together_has_zeros_between_its_parts(scratch: Path) -> None:
    part = sparse(b"part", 100_000)
    made = composed(
        b"A", [(0, b"head"), (1000, part), (200_000, b"")], 200_001, mtime_ns=EPOCH * NS
    )
    image = written(scratch / "image", LAYOUTS["32"], manifest(made))
    whole = b"head" + bytes(996) + bytes(99_997) + b"xxx"
    assert tree(image)["A"][2] == whole.ljust(200_001, b"\0")


class InTurn:
    """A source that gives its files piece by piece in turn, each of an odd length."""

    def stream(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, int, memoryview]]:
        for start in range(0, 7000, 700):
            for entry in entries:
                yield entry, start, memoryview(entry.path * 700)

    def describe(self, entry: Entry) -> str:
        return "the test"


def test_pieces_that_come_in_turn_spoil_no_others(scratch: Path) -> None:
    source = InTurn()
    contents = manifest(
        *(Entry(name, stat.S_IFREG | 0o644, size=7000, source=source) for name in (b"A", b"B"))
    )
    image = written(scratch / "image", LAYOUTS["32"], contents)
    found = tree(image)
    assert (found["A"][2], found["B"][2]) == (b"A" * 7000, b"B" * 7000)


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([(0, b"ab")], "ends at byte 2 of 4"),
        ([], "ends at byte 0 of 4"),
        ([(0, b"abcde")], "data at byte 0"),
        ([(0, b"abcd"), (4, b"e")], "data where there was none"),
        ([(1, b"abc")], "data at byte 1"),
    ],
)
def test_a_source_that_changed(
    pieces: list[tuple[int, bytes]], message: str, scratch: Path
) -> None:
    class Changed:
        def stream(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, int, memoryview]]:
            for start, data in pieces:
                yield entries[0], start, memoryview(data)

        def describe(self, entry: Entry) -> str:
            return "/there"

    contents = manifest(Entry(b"x", stat.S_IFREG | 0o644, size=4, source=Changed()))
    with pytest.raises(SourceChanged, match=f"/x .from /there.: .*{message}"):
        written(scratch / "image", LAYOUTS["32"], contents)


class Noted(DataSums):
    """Notes where each piece of data that is taken begins."""

    def __init__(self, pieces: list[tuple[bytes, int]]) -> None:
        super().__init__()
        self.pieces = pieces

    def take(self, entry: Entry, offset: int, data: memoryview) -> None:
        self.pieces.append((entry.path, offset))

    def adopt_all(self, entries: Iterable[Entry], digests: Iterable[bytes]) -> None:
        raise AssertionError("every piece is taken")


def test_progress_sums_and_cancel(scratch: Path) -> None:
    contents = files({name: bytes([at]) * 5 * MIB for at, name in enumerate("ABC", 1)})
    image = hole(scratch / "image", LAYOUTS["32"].size)
    reports: list[tuple[int, int]] = []
    seen: list[tuple[bytes, int]] = []
    fill(
        image, 0, LAYOUTS["32"], VOLUME, contents,
        progress=lambda done, total: reports.append((done, total)),
        observer=Noted(seen),
    )  # fmt: skip
    assert reports == [(at * 5 * MIB, 15 * MIB) for at in (1, 2, 3)] + [(15 * MIB, 15 * MIB)]
    assert seen == [(b"A", 0), (b"B", 0), (b"C", 0)]
    with pytest.raises(Cancelled):
        fill(image, 0, LAYOUTS["32"], VOLUME, contents, cancelled=lambda: len(seen) > 0)


def test_times_out_of_range_are_counted_and_clamped(scratch: Path) -> None:
    old = file_of(b"OLD", b"", mtime_ns=1 * NS)
    new = file_of(b"NEW", b"", mtime_ns=5_000_000_000 * NS)
    contents = manifest(old, new)
    assert measure(contents).clamped == 2
    found = tree(written(scratch / "image", LAYOUTS["32"], contents))
    assert found["OLD"][1] == 315_532_800 * NS
    assert found["NEW"][1] == 4_354_819_198 * NS


def test_nothing_outside_its_bytes_is_touched(scratch: Path) -> None:
    layout = LAYOUTS["12"]
    image = hole(scratch / "image", layout.size + 2 * MIB)
    with image.open("r+b") as file:
        file.write(b"\xee" * MIB)
        file.seek(layout.size + MIB)
        file.write(b"\xee" * MIB)
    room = layout.data_bytes
    fill(image, MIB, layout, VOLUME, manifest(sparse(b"FULL", room, data=room)))
    content = image.read_bytes()
    assert content[:MIB] == content[layout.size + MIB :] == b"\xee" * MIB


def test_a_folder_in_the_root_says_zero_for_its_parent(scratch: Path) -> None:
    layout = LAYOUTS["32"]
    image = written(scratch / "image", layout, manifest(folder(b"A"), folder(b"A/B")))
    raw = image.read_bytes()[layout.data_start :]
    one, two = raw[layout.cluster_size :], raw[2 * layout.cluster_size :]
    dots = [part[DIRECTORY_ENTRY : 2 * DIRECTORY_ENTRY] for part in (one, two)]
    assert [int.from_bytes(dot[26:28], "little") for dot in dots] == [0, 3]
    assert image.stat().st_size == layout.size
