"""Our reader of XFS against the kernel, xfs_db and xfs_repair, and against damage."""

from __future__ import annotations

import os
import random
import stat
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.filesystems import table
from engine.filesystems.xfs import reader_blocks, reader_superblock, soundness
from engine.filesystems.xfs.reader import Xfs
from engine.filesystems.xfs.reader_directory import Named, Unit
from engine.filesystems.xfs.reader_inode import BTREE, EXTENTS, LOCAL
from engine.filesystems.xfs.reader_log import Log
from engine.filesystems.xfs.soundness_index import index_troubles, name_hash
from engine.filesystems.xfs.soundness_runs import Run, overlaps
from engine.image.container import BadImage
from engine.image.container.disk import RawDisk
from engine.image.reading import Window, contents
from tests.engine.filesystems.recorded import nodes, seen
from tests.engine.filesystems.xfs.record import RECORDINGS
from tests.support.tools import run_tool

_QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
_RECORDED = ("modern", "plain", "large", "folders", "newer", "old")
_SHARED = "data of /shared/"
_OWN = {"trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT"}
"""What the kernel shows of ACLs besides ACLs."""


class Patched(RawDisk):
    """A disk with some other bytes in place of its own."""

    patches: Sequence[tuple[int, int]] = ()

    def _read(self, offset: int, length: int) -> bytes:
        data = bytearray(super()._read(offset, length))
        for at, value in self.patches:
            if offset <= at < offset + length:
                data[at - offset] = value
        return bytes(data)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("xfs")


@pytest.fixture(scope="module")
def images(shared: Path) -> dict[str, Path]:
    return {name: RECORDINGS.unpacked(name, shared) for name in (*_RECORDED, "dirty")}


@contextmanager
def opened(file: Path) -> Iterator[Xfs]:
    """Opens an image that can be read."""
    with RawDisk(file) as disk:
        content, trouble = table.probe(Window(disk, 0, disk.size))
        assert isinstance(content, Xfs), trouble
        yield content


def db(file: Path, *commands: str) -> str:
    """Returns what xfs_db says."""
    argv: Sequence[str | Path] = ("xfs_db", "-r", *(f"-c{each}" for each in commands), file)
    return str(run_tool(argv, check=True, capture_output=True, text=True).stdout)


def changed(file: Path, *commands: str) -> None:
    """Has xfs_db change an image."""
    argv: Sequence[str | Path] = ("xfs_db", "-x", *(f"-c{each}" for each in commands), file)
    run_tool(argv, check=True, capture_output=True)


@pytest.mark.parametrize("name", _RECORDED)
def test_sees_what_the_kernel_saw(name: str, images: dict[str, Path]) -> None:
    wanted = dict(RECORDINGS.said(name))
    with opened(images[name]) as xfs:
        assert (xfs.label, xfs.clean, xfs.stale) == (name, True, "")
        for node in nodes(xfs):
            said = dict(wanted.pop(node.path))
            said["xattrs"] = {
                key: value for key, value in said["xattrs"].items() if key not in _OWN
            }
            found = seen(xfs, node)
            assert {key: found[key] for key in said} == said
        assert not wanted
        examination = table.examine(xfs)
    assert examination.findings == ()
    assert all("owners" in each for each in examination.unchecked)


@pytest.mark.parametrize("name", _RECORDED)
def test_every_byte_is_named_or_unused_once(name: str, images: dict[str, Path]) -> None:
    with opened(images[name]) as xfs:
        shared = xfs.superblock
        found = [(at, size, what) for at, size, what in xfs.structures()]
        # Files that share blocks have them all.
        common = {
            block for at, size, what in found if what.startswith(_SHARED)
            for block in range(at, at + size, shared.block_size)
        }  # fmt: skip
        ranges = [(at, size) for at, size, what in found if not what.startswith(_SHARED)]
        ranges += [(at, shared.block_size) for at in common]
        ranges = sorted(ranges + list(xfs.unused()))
        end = 0
        for at, size in ranges:
            assert at == end
            end = at + size
        assert end == xfs.size


def test_what_was_recorded_has_every_form(images: dict[str, Path]) -> None:
    found: set[tuple[object, int, str]] = set()
    for name in _RECORDED:
        with opened(images[name]) as xfs:
            for node in nodes(xfs):
                inode = xfs.inodes.inode(node.inode)
                kind = stat.S_IFMT(inode.mode)
                index = ""
                if stat.S_ISDIR(kind) and inode.data.form != LOCAL:
                    kinds = {unit.raw[8:10].hex() for unit in _index(xfs, node.inode)}
                    index = "tree" if "3ebe" in kinds else "block" if kinds else "inside"
                found.add((kind, inode.data.form, index))
                if inode.attributes is not None:
                    found.add(("attributes", inode.attributes.form, ""))
                if inode.data.form == BTREE:
                    found.add(("levels", inode.data.raw[1], ""))
    assert found >= {
        (stat.S_IFDIR, LOCAL, ""), (stat.S_IFDIR, EXTENTS, "inside"),
        (stat.S_IFDIR, EXTENTS, "block"), (stat.S_IFDIR, EXTENTS, "tree"),
        (stat.S_IFDIR, BTREE, "tree"), (stat.S_IFREG, EXTENTS, ""), (stat.S_IFREG, BTREE, ""),
        (stat.S_IFLNK, LOCAL, ""), (stat.S_IFLNK, EXTENTS, ""), ("attributes", LOCAL, ""),
        ("attributes", EXTENTS, ""), ("attributes", BTREE, ""), ("levels", 2, ""),
    }  # fmt: skip
    with opened(images["folders"]) as xfs:  # blocks of directories that lie in pieces
        crowded = xfs.lookup(b"crowded")
        assert crowded is not None
        assert any(size < xfs.superblock.directory_block for _, _, size in crowded.extents)


def _index(xfs: Xfs, number: int) -> Iterator[Unit]:
    return xfs.directories.units(xfs.inodes.inode(number), 1 << 35, 2 << 35)


def test_a_log_that_was_not_replayed_is_told(images: dict[str, Path]) -> None:
    with opened(images["dirty"]) as xfs:
        assert not xfs.clean
        assert xfs.stale == "its log holds changes that are not in their places, and is not " \
                            "replayed here"  # fmt: skip
        listed = {node.path for node in nodes(xfs)}
        assert table.examine(xfs).findings == ()
    assert listed < RECORDINGS.said("dirty").keys() | {b""}


def _record(length: int, *, unmounts: bool) -> list[bytes]:
    """Returns the units of a record of the log; the first word of each is put in later."""
    header = bytearray(512)
    struct.pack_into(">I", header, 0, 0xFEEDBABE)
    struct.pack_into(">II", header, 8, 2, length * 512)
    struct.pack_into(">I", header, 40, 1 if unmounts else 2)
    struct.pack_into(">I", header, 320, 32 << 10)
    return [
        bytes(header),
        bytes(9) + bytes([0x20 * unmounts]) + bytes(502),
        *[bytes(512)] * (length - 1),
    ]


@given(
    units=st.integers(9, 90),
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=60),
    unmounts=st.booleans(),
)
def test_a_log_ends_where_its_last_record_does(
    units: int, lengths: list[int], unmounts: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:  # fmt: skip
    """It is written round and round; each unit says in which round, a header in its second word."""
    written = [bytes(512)] * units
    at, turn = 0, 1
    for number, length in enumerate(lengths):
        for unit in _record(length, unmounts=unmounts and number == len(lengths) - 1):
            word = struct.pack(">I", turn)
            header = unit[:4] == b"\xfe\xed\xba\xbe"
            written[at] = unit[:4] + word + unit[8:] if header else word + unit[4:]
            at, turn = (at + 1) % units, turn + (at + 1 == units)
    file = tmp_path_factory.getbasetemp() / "log"
    file.write_bytes(b"".join(written))
    with RawDisk(file) as disk:
        assert Log(Window(disk, 0, disk.size), 0, units).unmounted() == unmounts


@cache
def _old(folder: Path) -> Path:
    """Makes a file system of version 4, whose directories do not tell types, from a list."""
    file, data = folder / "old", folder / "data"
    data.write_bytes(b"letters" * 1000)
    many = "\n".join(f"{number}-{'x' * (number % 40)} ---644 3 4 {data}" for number in range(900))
    (folder / "list").write_text(f"""/
0 0
d--755 7 8
few du-751 0 0
one ---644 1 2 {data}
up l--777 0 0 ../few/one
$
many d--755 0 0
{many}
$
chr c--620 0 5 5 1
blk b--660 0 6 259 700
fifo p--600 0 0
setuid -u-755 4294967294 100000 {data}
$
""")
    with file.open("wb") as empty:
        empty.truncate(300 << 20)
    argv = ("mkfs.xfs", "-q", "-m", "crc=0,finobt=0", "-b", "size=512", "-i", "size=256", "-n",
            "ftype=0", "-p", folder / "list", file)  # fmt: skip
    run_tool(argv, check=True, capture_output=True)
    changed(file, "path /few/one", "attr_set -u -v 9 inside", "attr_set -r -v 700 block",
            "attr_set -s -v 5000 far")  # fmt: skip
    return file


def test_version_4_as_xfs_db_shows_it(shared: Path) -> None:
    file = _old(shared)
    with opened(file) as xfs:
        assert (xfs.superblock.version, xfs.superblock.types, xfs.block_size) == (4, False, 512)
        assert xfs.clean
        found = {node.path: node for node in nodes(xfs)}
        assert table.examine(xfs).findings == ()
        one = found[b"few/one"]
        assert contents(xfs, one, 1 << 20) == b"letters" * 1000
        listed = {
            line.split()[1]: line.split()[-2]
            for line in db(file, "path /many", "ls").splitlines()
            if line.split()[-2] not in {".", ".."}
        }
        many = {str(node.inode): node.name.decode() for node in found.values()
                if node.path.startswith(b"many/")}  # fmt: skip
    assert listed == many
    assert len(many) == 900
    assert {name: len(value) for name, value in one.xattrs} == {
        b"user.inside": 9, b"trusted.block": 700, b"security.far": 5000,
    }  # fmt: skip
    modes = {path.decode(): oct(node.mode) for path, node in found.items() if b"/" not in path}
    assert modes == {
        "": "0o40755", "few": "0o44751", "many": "0o40755", "chr": "0o20620", "blk": "0o60660",
        "fifo": "0o10600", "setuid": "0o104755",
    }  # fmt: skip
    assert (found[b"setuid"].uid, found[b"setuid"].gid) == (4_294_967_294, 100_000)
    assert found[b"few/up"].target == b"../few/one"
    assert (found[b"chr"].rdev, found[b"blk"].rdev) == (os.makedev(5, 1), os.makedev(259, 700))


def test_a_link_that_mkfs_made_wrong_is_found(tmp_path: Path) -> None:
    """xfsprogs 6.1 gives no header to a target that does not fit into the inode."""
    (tmp_path / "list").write_text(f"/\n0 0\nd--755 0 0\nlong l--777 0 0 {'t' * 500}\n$\n")
    file = tmp_path / "xfs"
    with file.open("wb") as empty:
        empty.truncate(300 << 20)
    argv = ("mkfs.xfs", "-q", "-p", tmp_path / "list", file)
    run_tool(argv, check=True, capture_output=True)
    sound = run_tool(("xfs_repair", "-n", "-f", file), capture_output=True).returncode == 0
    with opened(file) as xfs:
        found = table.examine(xfs).findings
        assert (found == ()) == sound
        if not sound:
            assert "/long: the target of inode" in found[0]
            with pytest.raises(BadImage, match="the target of inode"):
                xfs.lookup(b"long")


def test_other_devices_are_told(tmp_path: Path) -> None:
    file, other = tmp_path / "xfs", tmp_path / "other"
    for path in (file, other):
        with path.open("wb") as empty:
            empty.truncate(320 << 20)
    (tmp_path / "list").write_text(f"/\n0 0\nd--755 0 0\nfile ---644 0 0 {tmp_path / 'list'}\n$\n")
    make = ("mkfs.xfs", "-q", "-f", "-m", "reflink=0", "-p", tmp_path / "list")
    run_tool((*make, "-l", f"logdev={other}", file), check=True, capture_output=True)
    with opened(file) as xfs:
        assert (xfs.clean, xfs.stale) == (
            True, "its log is on another device, which is not read here"
        )  # fmt: skip
        assert [node.path for node in nodes(xfs)] == [b"", b"file"]
    run_tool((*make, "-r", f"rtdev={other}", file), check=True, capture_output=True)
    changed(file, "path /file", "write -d core.realtime 1")
    with opened(file) as xfs:
        node = xfs.lookup(b"file")
        assert node is not None
        with pytest.raises(BadImage, match="is on the realtime device, which is not read here"):
            list(xfs.data(node))
        assert "what is on its realtime device" in table.examine(xfs).unchecked


@pytest.mark.parametrize(
    ("what", "at", "says"),
    [
        ("superblock of group 1", 60, "group 1: its copy of the superblock does not match its"),
        ("header of free space of group 2", 130, "group 2: its header in sector 1 does not match"),
        ("header of inodes of group 1", 200, "group 1: its header in sector 2 does not match"),
        ("list of free blocks of group 1", 300, "group 1: its list of free blocks does not match"),
        ("tree of free space by size of group 0", 70, "the tree of free space by size at block"),
        ("tree of inodes of group 0", 60, "the tree of inodes at block"),
        ("tree of owners of group 1", 1000, "the tree of owners at block"),
        ("inode ", 90, "does not match its checksum"),
        ("directory of /leaf", 700, "/leaf: directory"),
        ("attributes of /attributes far away", 600, "/attributes far away: an attribute of inode"),
        ("data of /pieces (its map)", 200, "/pieces: the map of extents at block"),
        ("data of /link of 1023", 100, "/link of 1023: "),
    ],
)
def test_a_changed_byte_is_found_where_it_is(
    what: str, at: int, says: str, images: dict[str, Path],
    structures: list[tuple[int, int, str]],
) -> None:  # fmt: skip
    places = [place for place, size, name in structures if name.startswith(what) and size > at]
    with Patched(images["modern"]) as disk:
        before = disk.read(places[-1] + at, 1)[0]
        disk.patches = [(places[-1] + at, before ^ 0x10)]
        content, trouble = table.probe(Window(disk, 0, disk.size))
        assert content is not None, trouble
        found = table.examine(content).findings
    assert any(says in each for each in found), found


@pytest.mark.parametrize(
    ("commands", "says"),
    [
        (("path /file", "write -d core.nlinkv2 7"), "/file has 2 names, not 7"),
        (("path /file", "write -d core.nblocks 99"), "/file says that it has 99 blocks, not "),
        (("sb 0", "write -d ifree 3"), "the superblock says 3 free inodes, there are "),
        (("agf 1", "write -d freeblks 5"), "group 1 says 5 free blocks, there are "),
        (("path /block", "dblock 0", "write -d bleaf[3].hashval 0x12345"),
         "/block: its index has 15 of 15 names, and lacks 1"),
        (("path /block", "dblock 0", "write -d bu[3].inumber 77"), "/block/0-"),
        (("path /short", "write -d u3.sfdir3.list[0].inumber.i4 64"),
         "is a second name of the directory /"),
    ],
)  # fmt: skip
def test_what_xfs_repair_complains_about(
    commands: tuple[str, ...], says: str, images: dict[str, Path], tmp_path: Path
) -> None:
    """xfs_db changes a field and makes the checksum right; both we and xfs_repair see it."""
    file = tmp_path / "xfs"
    run_tool(("cp", "--sparse=always", images["modern"], file), check=True)
    changed(file, *commands)
    with opened(file) as xfs:
        found = table.examine(xfs).findings
    assert any(says in each for each in found), found
    assert run_tool(("xfs_repair", "-n", "-f", file), capture_output=True).returncode == 1


def test_a_directory_index_without_a_name_is_told(images: dict[str, Path]) -> None:
    with opened(images["modern"]) as xfs:
        for path in (b"block", b"leaf", b"node", b"scattered"):
            node = xfs.lookup(path)
            assert node is not None
            inode = xfs.inodes.inode(node.inode)
            entries = list(xfs.directories.entries(inode))
            assert list(index_troubles(xfs, inode, entries)) == []
            more = [*entries, Named(b"nobody knows", 5, 1, 64)]
            (told,) = index_troubles(xfs, inode, more)
            assert told == f"its index has {len(entries)} of {len(more)} names, and lacks 1"


@pytest.mark.parametrize("name", ["a", "ab", "abc", "abcd", "long" * 50 + "x", "ä€𝄞"])
def test_hashes_are_those_of_xfs_db(name: str, images: dict[str, Path]) -> None:
    assert db(images["dirty"], f"hash {name}") == f"{name_hash(name.encode()):#x}\n"


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=12),
       st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=4))  # fmt: skip
def test_blocks_that_two_have(runs: list[tuple[int, int]], shared: list[tuple[int, int]]) -> None:
    def blocks(ranges: list[tuple[int, int]]) -> list[int]:
        return [block for start, count in ranges for block in range(start, start + count)]

    taken = blocks(runs)
    wrong = {block for block in taken if taken.count(block) > 1} - set(blocks(shared))
    found = list(overlaps([Run(*each, "") for each in runs], [Run(*each, "") for each in shared]))
    assert bool(found) == bool(wrong)


@pytest.fixture(scope="module")
def structures(images: dict[str, Path]) -> list[tuple[int, int, str]]:
    with opened(images["modern"]) as xfs:
        return list(xfs.structures())


@pytest.fixture(scope="module")
def targets(
    images: dict[str, Path], structures: list[tuple[int, int, str]]
) -> dict[int, list[tuple[int, int]]]:
    """The structures of one inode of each form, and as 0 those of the groups."""
    with opened(images["modern"]) as xfs:
        forms: dict[object, tuple[int, str]] = {}
        for node in nodes(xfs):
            inode = xfs.inodes.inode(node.inode)
            own = inode.attributes
            form = (stat.S_IFMT(inode.mode), inode.data.form, inode.data.raw[:2]
                    if inode.data.form == BTREE else b"", len(node.extents) > 1,
                    own is not None and (own.form, len(node.xattrs) > 3))  # fmt: skip
            forms.setdefault(form, (node.inode, f"/{node.path.decode('utf-8', 'replace')}"))
        found: dict[int, list[tuple[int, int]]] = {0: []}
        for place, size, what in structures:
            if what.startswith(("header", "list", "super", "tree")):
                found[0].append((place, size))
            for number, path in forms.values():
                blocks = (f"directory of {path}", f"attributes of {path}")
                known = what.startswith(f"inode {number} (") or what in blocks
                if known or what.endswith(f"of {path} (its map)"):
                    found.setdefault(number, []).append((place, size))
    return found


@settings(max_examples=80, deadline=None, suppress_health_check=_QUIET)
@given(seed=st.integers(0, 1 << 32))
def test_damage_with_right_checksums_is_told_or_read(
    seed: int, images: dict[str, Path], targets: dict[int, list[tuple[int, int]]]
) -> None:
    """Who makes an image to do harm makes its checksums right: so all are, here."""
    chosen = random.Random(seed)
    number = chosen.choice(list(targets))
    with pytest.MonkeyPatch.context() as patch, Patched(images["modern"]) as disk:
        patch.setattr(reader_blocks.Blocks, "matches", lambda *_: True)
        patch.setattr(reader_superblock, "valid", lambda _: True)
        patch.setattr(soundness, "valid", lambda _: True)
        disk.patches = _patches(chosen, targets[number])
        content, trouble = table.probe(Window(disk, 0, disk.size))
        assert content is not None or trouble
        if not isinstance(content, Xfs):
            return
        with suppress(BadImage):
            if number:
                _read(content, number)
            else:
                table.examine(content)
                list(content.unused())


def _patches(chosen: random.Random, places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    patches = []
    for _ in range(chosen.choice((1, 1, 2, 5))):
        place, size = chosen.choice(places)
        at = place + chosen.randrange(min(size, chosen.choice((16, 64, 200, size))))
        value = chosen.choice((0, 1, 127, 128, 255, chosen.randrange(256)))
        patches += [(at + more, value) for more in range(chosen.choice((1, 1, 4)))]
    return patches


def _read(xfs: Xfs, number: int) -> None:
    node = xfs.node(number, b"it")
    if stat.S_ISREG(node.mode):
        contents(xfs, node, 1 << 20)
    elif stat.S_ISDIR(node.mode):
        assert all(b"/" not in name for name, _ in xfs.names(node))
        inode = xfs.inodes.inode(number)
        if inode.data.form != LOCAL:
            list(index_troubles(xfs, inode, list(xfs.directories.entries(inode))))


def test_a_cut_image_is_read_as_far_as_it_goes(images: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "cut"
    file.write_bytes(images["plain"].read_bytes()[: 8 << 20])
    with opened(file) as xfs:
        assert xfs.room == 8 << 20 < xfs.size
        assert xfs.lookup(b"file") is not None
        assert (xfs.clean, xfs.stale[:26]) == (True, "its log cannot be read: by")
        assert any("group 2" in each for each in table.examine(xfs).findings)


@pytest.mark.parametrize(
    ("at", "form", "value", "says"),
    [
        (4, ">I", 4095, "blocks of 4095 bytes"), (84, ">I", 0, "groups of 0 blocks"),
        (88, ">I", 9, "9 groups of"), (104, ">H", 300, "inodes of 300 bytes"),
        (216, ">I", 1 << 20, "features 0x100000 that are not known here"),
        (192, ">B", 7, "directories in units of 2^7 blocks"), (123, ">B", 5, "inodes in a block"),
    ],
)  # fmt: skip
def test_a_superblock_that_cannot_be(
    at: int, form: str, value: int, says: str, images: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(reader_superblock, "valid", lambda _: True)
    with Patched(images["plain"]) as disk:
        disk.patches = [(at + index, byte) for index, byte in enumerate(struct.pack(form, value))]
        content, trouble = table.probe(Window(disk, 0, disk.size))
    assert content is None
    assert says in trouble
