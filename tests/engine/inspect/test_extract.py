"""Files and trees out of images: against their sources, debugfs and GNU tar, and hostile images."""

from __future__ import annotations

import fcntl
import io
import os
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.compare.diff import compare
from engine.image.container import BadImage
from engine.image.reading import Filesystem, Node
from engine.inspect import rescue
from engine.inspect.extract import Extracted, ExtractFailed, extract
from engine.inspect.image import open_image
from engine.inspect.unpublished import remove
from engine.manifest.progress import ScanCancelled
from engine.problem import Refused
from tests.support.folders import below
from tests.support.ordinary import as_nobody
from tests.support.tools import run_tool

OLD_NS = 1_234_567_890_000_000_000
LONG = b"n" * 255
ODD = b"odd\n\xff\xfe *"


def made(folder: Path, tree: Path, kind: str = "ext4") -> Path:
    """Returns an image of a tree, made by mke2fs."""
    image = folder / f"{kind}.img"
    run_tool(["mke2fs", "-q", "-t", kind, "-b", "4096", "-d", tree, image, "64M"], check=True)
    return image


def copied(image: Path, dest: Path, path: bytes = b"") -> Extracted:
    """Extracts from the last file system of an image."""
    opened = open_image(image)
    with opened.disk:
        filesystem = opened.parts[-1].filesystem
        assert filesystem is not None
        node = filesystem.lookup(path)
        assert node is not None
        return extract(filesystem, node, dest)


def debugfs(image: Path, *requests: str) -> None:
    for request in requests:
        ran = run_tool(("debugfs", "-w", "-R", request, image), capture_output=True, text=True)
        # Its first line is its version; it fails with status 0.
        assert len(ran.stderr.splitlines()) == 1, ran.stderr


def seen(top: Path, *, shown: int = 0o7777, owner: int = 0) -> dict[str, tuple[object, ...]]:
    """Returns what is below a folder: mode, time, links, contents, attributes.

    Args:
        shown: Bits of a mode that count.
        owner: Bits of a mode that its owner has anyhow.
    """
    found: dict[str, tuple[object, ...]] = {}
    for path in (top, *sorted(below(top))):
        status = path.lstat()
        name = os.fspath(path.relative_to(top))
        if name == "lost+found":
            continue
        what: object = None
        times = status.st_mtime_ns // 1_000_000_000 if path != top else 0
        if stat.S_ISLNK(status.st_mode):
            found[name] = status.st_mode, times, path.readlink()
            continue
        if stat.S_ISREG(status.st_mode):
            what = status.st_nlink, path.read_bytes()
        least = owner | (0o100 if owner and path.is_dir() else 0)
        mode = stat.S_IFMT(status.st_mode) | stat.S_IMODE(status.st_mode) & shown | least
        attributes = [(key, os.getxattr(path, key)) for key in sorted(os.listxattr(path))]
        found[name] = mode, times, what, attributes
    return found


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user's tree has, and any user can make."""
    top = tmp_path_factory.mktemp("source") / "tree"
    (top / "etc" / "deep" / ("d" * 200)).mkdir(parents=True)
    (top / "etc" / "motd").write_text("hello\n")
    os.link(top / "etc" / "motd", top / "same")
    (top / "etc" / "deep" / ("d" * 200) / "file").write_bytes(bytes(range(256)) * 3000)
    (top / "etc" / "link").symlink_to("motd")
    (top / "out").symlink_to("/etc/passwd")
    (top / "far").symlink_to("y" * 300)
    (top / os.fsdecode(ODD)).write_text("odd")
    (top / os.fsdecode(LONG)).write_text("long")
    (top / "empty").touch(mode=0o600)
    with (top / "sparse").open("wb") as file:
        for number in range(5):
            file.seek(number * 3_000_000)
            file.write(bytes([number]) * 5000)
        file.truncate(20_000_000)
    with (top / "hole").open("wb") as file:
        file.truncate(30_000_000)
    (top / "secret").write_text("x")
    (top / "secret").chmod(0o6751)
    os.setxattr(top / "secret", "user.colour", b"gr\xffeen\n")
    os.setxattr(top / "etc", "user.folder", b"=\0")
    (top / "read-only").mkdir()
    (top / "read-only" / "file").write_text("r")
    (top / "read-only" / "file").chmod(0o444)
    (top / "read-only").chmod(0o555)
    (top / "tmp").mkdir()
    (top / "tmp").chmod(0o1777)
    for path in [*below(top), top]:
        os.utime(path, ns=(OLD_NS, OLD_NS), follow_symlinks=False)
    return top


@pytest.fixture(scope="module")
def image(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("image"), tree)


@pytest.mark.parametrize("kind", ["ext2", "ext4"])
@pytest.mark.parametrize("format_", ["raw", "qcow2"])
def test_a_folder_is_the_source_again(tree: Path, tmp_path: Path, kind: str, format_: str) -> None:
    image = made(tmp_path, tree, kind)
    if format_ == "qcow2":
        raw, image = image, tmp_path / "image.qcow2"
        run_tool(("qemu-img", "convert", "-O", "qcow2", raw, image), check=True)
    dest = tmp_path / "dest"

    done = copied(image, dest)

    assert seen(dest) == seen(tree, shown=0o1777, owner=0o600)
    assert (dest / "same").samefile(dest / "etc" / "motd")
    assert (dest / "sparse").lstat().st_blocks * 512 < 200_000
    assert (dest / "hole").lstat().st_blocks == 0
    assert (done.files, done.directories, done.links, done.failed) == (10, 7, 3, 0)
    assert done.notes == ("set-user-id and set-group-id bits taken away: /secret",)
    assert list(tmp_path.glob(".*")) == []


def test_debugfs_reads_the_same(image: Path, tmp_path: Path) -> None:
    dest, other = tmp_path / "dest", tmp_path / "other"
    other.mkdir()
    run_tool(("debugfs", "-R", f"rdump / {other}", image), check=True, capture_output=True)

    copied(image, dest)

    ours = {path.relative_to(dest): path for path in below(dest)}
    theirs = {path.relative_to(other): path for path in below(other)}
    assert sorted(ours) == sorted(theirs)
    for name, path in theirs.items():
        if path.is_symlink():
            assert ours[name].readlink() == path.readlink()
        elif path.is_file():
            assert ours[name].read_bytes() == path.read_bytes()


def test_a_part_of_the_tree_and_a_single_file(tree: Path, image: Path, tmp_path: Path) -> None:
    copied(image, tmp_path / "etc", b"etc")
    one = copied(image, tmp_path / "one", b"sparse")

    assert [path.name for path in sorted((tmp_path / "etc").iterdir())] == ["deep", "link", "motd"]
    assert (tmp_path / "one").read_bytes() == (tree / "sparse").read_bytes()
    assert (one.files, one.directories) == (1, 0)
    assert 25_000 <= one.bytes <= 5 * 3 * 4096


@pytest.mark.parametrize(("bits", "size"), [(12, "2M"), (16, "32M"), (32, "64M")])
def test_a_fat_file_system(tmp_path: Path, bits: int, size: str) -> None:
    tree, image, dest = tmp_path / "tree", tmp_path / "fat.img", tmp_path / "dest"
    (tree / "EFI" / "BOOT").mkdir(parents=True)
    (tree / "EFI" / "BOOT" / "BOOTX64.EFI").write_bytes(os.urandom(300_000))
    (tree / "Ünïcode, a long name.conf").write_bytes(b"u" * 5000)
    (tree / "empty").touch()
    for path in below(tree):
        os.utime(path, ns=(OLD_NS, OLD_NS))
    subprocess.run(("truncate", "-s", size, image), check=True)
    run_tool(("mkfs.fat", "-F", str(bits), image), check=True, capture_output=True)
    run_tool(["mcopy", "-smi", image, *tree.iterdir(), "::/"], check=True)

    copied(image, dest)

    for path in below(tree):
        copy = dest / path.relative_to(tree)
        assert path.is_dir() or copy.read_bytes() == path.read_bytes()
        assert path.is_dir() or copy.lstat().st_mtime_ns == OLD_NS
    assert len(list(below(dest))) == len(list(below(tree)))


# What a rootless copy would lose, as an archive that any user can make.
MEMBERS: tuple[tuple[str, bytes, dict[str, Any], dict[str, str]], ...] = (
    ("etc", tarfile.DIRTYPE, {"mode": 0o2755}, {}),
    ("etc/passwd", tarfile.REGTYPE, {"uid": 3_000_000, "gid": 12, "mtime": 0}, {}),
    ("etc/again", tarfile.LNKTYPE, {"linkname": "etc/passwd"}, {}),
    ("etc/zz-link", tarfile.SYMTYPE, {"linkname": "../" + "t" * 150}, {"mtime": "77.000000001"}),
    ("dev", tarfile.DIRTYPE, {"mode": 0o700}, {}),
    ("dev/null", tarfile.CHRTYPE, {"devmajor": 1, "devminor": 3, "mode": 0o666}, {}),
    ("dev/disk", tarfile.BLKTYPE, {"devmajor": 259, "devminor": 70_000}, {}),
    ("dev/pipe", tarfile.FIFOTYPE, {"mode": 0o620, "gid": 5}, {}),
    ("dev/pipe-again", tarfile.LNKTYPE, {"linkname": "dev/pipe"}, {}),
    ("su", tarfile.REGTYPE, {"mode": 0o4755}, {"mtime": "1234567890.123456789"}),
    ("before", tarfile.REGTYPE, {}, {"mtime": "-1.500000000"}),
    ("capable", tarfile.REGTYPE, {}, {
        "SCHILY.xattr.security.capability": "\x01\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        "SCHILY.xattr.user.note": "a=b\nc", "SCHILY.xattr.trusted.secret": "1",
    }),
    (os.fsdecode(ODD), tarfile.REGTYPE, {}, {}),
    (os.fsdecode(LONG), tarfile.REGTYPE, {}, {}),
    ("d" * 255 + "/" + "x" * 60, tarfile.REGTYPE, {}, {}),
)  # fmt: skip
SPEC = """\
schema = 1
name = "demo"
[size]
additional = "8MiB"
[[contents]]
source = "{}.tar"
target = "/"
extract = true
"""


def write_archive(path: Path) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, fields, headers in MEMBERS:
            member = tarfile.TarInfo(name)
            member.type = kind
            member.mtime = 1_000_000
            member.pax_headers = dict(headers)
            for key, value in fields.items():
                setattr(member, key, value)
            data = name.encode("utf-8", "surrogateescape") if kind == tarfile.REGTYPE else b""
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        sparse = path.with_name("sparse")
        with sparse.open("wb") as file:
            file.seek(3_000_000)
            file.write(b"in the middle")
            file.truncate(9_000_000)
        os.utime(sparse, ns=(OLD_NS, OLD_NS))
    subprocess.run(
        ("tar", "-C", path.parent, "-rSf", path, "--format=posix", "--owner=7", "--group=8",
         "--pax-option=delete=atime,delete=ctime", "sparse"),
        check=True,
    )  # fmt: skip


def test_image_to_archive_to_image_loses_nothing_without_root() -> None:
    with tempfile.TemporaryDirectory(prefix="diskwright-extract-") as at:
        home = Path(at)
        write_archive(home / "first.tar")
        for name in ("first", "second"):
            spec, out = home / f"{name}.toml", home / name
            spec.write_text(SPEC.format(name))
            if name == "second":
                image = home / "first" / "demo.img"
                ran = as_nobody(home, "inspect", image, "--extract", home / "second.tar")
                assert ran.returncode == 0
                assert len(ran.stderr.splitlines()) == 1  # nothing was left out
            ran = as_nobody(home, "build", spec, "-o", out, "--quiet")
            assert ran.returncode == 0, ran.stderr

        assert compare(home / "first" / "demo.img", home / "second" / "demo.img").identical
        copied(home / "second" / "demo.img", home / "third.tar")
        assert (home / "third.tar").read_bytes() == (home / "second.tar").read_bytes()


def test_gnu_tar_unpacks_an_archive_to_the_source(tree: Path, image: Path, tmp_path: Path) -> None:
    archive, dest = tmp_path / "root.tar", tmp_path / "dest"
    dest.mkdir()

    copied(image, archive)

    command = ("tar", "--xattrs", "-xpf", archive, "-C", dest)
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    assert seen(dest) == seen(tree)
    assert (dest / "sparse").lstat().st_blocks * 512 < 200_000
    assert archive.lstat().st_size < 2_000_000
    with tarfile.open(archive) as readable:
        file = readable.extractfile("sparse")
        assert file is not None
        assert file.read() == (tree / "sparse").read_bytes()


class Invented:
    """A file system that holds whatever it is told to, for names that no reader would let by."""

    type, label, uuid, size, room, block_size, free = "invented", "", "", 1 << 20, 1 << 20, 4096, 0
    clean = True

    def __init__(self, entries: dict[int, list[Node]]) -> None:
        self._entries = entries

    def lookup(self, path: bytes) -> Node | None:
        return Node(path=b"", mode=0o040755, inode=2)

    def children(self, node: Node) -> Iterator[Node]:
        yield from self._entries.get(node.inode, ())

    def stored_names(self, node: Node) -> Iterator[bytes]:
        return iter(())

    def blocks_of(self, node: Node) -> Iterator[int]:
        return iter(())

    def data(self, node: Node) -> Iterator[tuple[int, bytes]]:
        yield 0, b"evil"


def taken(filesystem: Filesystem, dest: Path) -> Extracted:
    top = filesystem.lookup(b"")
    assert top is not None
    return extract(filesystem, top, dest)


def file(path: bytes, inode: int = 90, links: int = 1) -> Node:
    return Node(path=path, mode=0o100644, size=4, inode=inode, links=links)


def folder(path: bytes, inode: int) -> Node:
    return Node(path=path, mode=0o040755, inode=inode)


def link(path: bytes, target: bytes) -> Node:
    return Node(path=path, mode=0o120777, target=target, inode=91)


@pytest.mark.parametrize("suffix", ["", ".tar"])
@pytest.mark.parametrize(
    "name", [b"..", b".", b"", b"../escaped", b"/escaped", b"a/b", b"a\0b", b"x" * 5000]
)
def test_a_name_that_leads_elsewhere_is_left_out(tmp_path: Path, name: bytes, suffix: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    filesystem = Invented(
        {2: [file(name), folder(name, 3), file(b"good")], 3: [file(name + b"/x")]}
    )

    done = taken(filesystem, inside / f"dest{suffix}")

    assert (done.files, done.directories, done.failed) == (1, 1, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]
    assert [path.name for path in inside.iterdir()] == [f"dest{suffix}"]


def test_nothing_is_made_through_a_link_of_the_image(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = os.fsencode(outside)
    filesystem = Invented(
        {
            2: [link(b"a", target), folder(b"a", 3), link(b"b", target + b"/file"), file(b"b")],
            3: [file(b"a/file")],
        }
    )

    done = taken(filesystem, tmp_path / "dest")

    assert (done.links, done.files, done.directories, done.failed) == (2, 0, 1, 2)
    assert list(outside.iterdir()) == []


def test_circles_and_bottomless_trees_end(tmp_path: Path) -> None:
    deep: dict[int, list[Node]] = {
        2 + depth: [folder(b"/".join([b"d"] * (depth + 1)), 3 + depth)] for depth in range(3000)
    }
    deep[2] += [folder(b"me", 2), folder(b"twice", 3), file(b"z")]

    try:
        done = taken(Invented(deep), tmp_path / "dest")
    finally:
        remove(tmp_path / "dest")  # Python's own rmtree recurses

    assert (done.files, done.directories) == (1, 2045)
    assert done.failed == 3  # both circles, and what is below the deepest path
    assert taken(Invented(deep), tmp_path / "dest.tar").failed == 3
    assert [path.name for path in tmp_path.iterdir()] == ["dest.tar"]


@pytest.mark.parametrize("target", [b"", b"a\0b", b"t" * 5000])
def test_a_link_without_a_usable_target_is_left_out(tmp_path: Path, target: bytes) -> None:
    done = taken(Invented({2: [link(b"l", target), file(b"z")]}), tmp_path / "dest")

    assert (done.links, done.files, done.failed) == (0, 1, 1)


def renamed(image: Path, old: bytes, new: bytes) -> None:
    """Changes a name where it stands in a directory of an image."""
    data = bytearray(image.read_bytes())
    record = bytes([len(old)])
    at = data.index(old)
    while data[at - 2 : at - 1] != record:
        at = data.index(old, at + 1)
    data[at : at + len(old)] = new
    image.write_bytes(data)


@pytest.mark.parametrize("name", [b"../x", b"a/bc", b"/etc", b"..\0\0"])
def test_a_hostile_name_in_a_real_directory(tmp_path: Path, name: bytes) -> None:
    tree, inside = tmp_path / "tree", tmp_path / "inside"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "EVIL").write_text("evil")
    (tree / "sub" / "AAAA").write_text("before")
    (tree / "zz").write_text("after")
    image = made(tmp_path, tree)
    renamed(image, b"EVIL", name)
    inside.mkdir()

    done = copied(image, inside / "dest")

    assert (inside / "dest" / "zz").read_text() == "after"
    assert done.failed == 1
    assert [path.name for path in inside.iterdir()] == ["dest"]
    assert not (tmp_path / "x").exists()


def test_two_names_alike_in_a_real_directory(tmp_path: Path) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    outside.mkdir()
    (tree / "aaab").mkdir(parents=True)
    (tree / "aaab" / "file").write_text("evil")
    (tree / "aaaa").symlink_to(outside)
    image = made(tmp_path, tree)
    renamed(image, b"aaab", b"aaaa")

    done = copied(image, tmp_path / "dest")

    assert done.failed == 1
    assert list(outside.iterdir()) == []


def test_a_long_fat_name_cannot_climb(tmp_path: Path) -> None:
    image, inside = tmp_path / "fat.img", tmp_path / "inside"
    (tmp_path / "x,").write_text("evil")
    subprocess.run(("truncate", "-s", "2M", image), check=True)
    run_tool(("mkfs.fat", image), check=True, capture_output=True)
    run_tool(("mcopy", "-i", image, tmp_path / "x,", "::/"), check=True)
    data = image.read_bytes()
    long = "x,".encode("utf-16-le")
    assert data.count(long) == 1
    image.write_bytes(data.replace(long, "..".encode("utf-16-le")))
    inside.mkdir()

    done = copied(image, inside / "dest")

    assert (done.files, done.failed) == (0, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fat.img", "inside", "x,"]


def test_what_is_damaged_is_noted_and_the_rest_copied(tree: Path, tmp_path: Path) -> None:
    image = made(tmp_path, tree)
    debugfs(
        image,
        "set_inode_field /sparse block[6] 0",  # the second extent begins where the first does
        "set_inode_field /empty size 9223372036854775807",
        "set_inode_field /tmp block[0] 0",
        "set_inode_field /secret block[5] 4294967295",
    )

    for name in ("dest", "dest.tar"):
        done = copied(image, tmp_path / name)
        assert done.failed == 4
        damaged = done.notes[0]
        assert damaged.startswith("damaged or not to be made here: ")
        for path in ("/sparse (its extents overlap)", "/empty (a size of 9", "/tmp (", "/secret ("):
            assert path in damaged

    assert (tmp_path / "dest" / "etc" / "motd").read_text() == "hello\n"
    assert not (tmp_path / "dest" / "sparse").exists()


def test_a_file_cut_short_by_the_image_has_zeros(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"x" * 10_000)
    image = tmp_path / "fat.img"
    subprocess.run(("truncate", "-s", "2M", image), check=True)
    run_tool(("mkfs.fat", "-s", "4", "-R", "1", image), check=True, capture_output=True)
    run_tool(("mcopy", "-i", image, tmp_path / "tree" / "file", "::/"), check=True)
    data = bytearray(image.read_bytes())
    data[512 + 3 : 512 + 6] = b"\xff\xff\xff"  # the first cluster of the file is its last
    image.write_bytes(data)

    for name in ("dest", "dest.tar"):
        done = copied(image, tmp_path / name)
        assert done.failed == 1
        assert "zeros from byte 2048 on" in done.notes[0]

    expected = b"x" * 2048 + bytes(10_000 - 2048)
    assert (tmp_path / "dest" / "file").read_bytes() == expected
    with tarfile.open(tmp_path / "dest.tar") as archive:
        member = archive.extractfile("file")
        assert member is not None
        assert member.read() == expected


def test_a_single_file_that_is_damaged_is_no_copy(tree: Path, tmp_path: Path) -> None:
    image = made(tmp_path, tree)
    debugfs(image, "set_inode_field /sparse block[6] 0")

    with pytest.raises(BadImage, match="overlap"):
        copied(image, tmp_path / "dest", b"sparse")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["ext4.img"]


@pytest.mark.parametrize("suffix", ["", ".tar"])
@pytest.mark.parametrize("there", ["file", "folder", "dangling"])
def test_nothing_is_overwritten(image: Path, tmp_path: Path, there: str, suffix: str) -> None:
    dest = tmp_path / f"dest{suffix}"
    if there == "file":
        dest.write_text("mine")
    elif there == "folder":
        dest.mkdir()
    else:
        dest.symlink_to("nowhere")
    before = dest.lstat()

    with pytest.raises(Refused, match="exists, and nothing is overwritten"):
        copied(image, dest)

    assert dest.lstat() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_destination_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    dest = tmp_path / "dest.tar"

    def appear(entries: int, size: int) -> None:
        dest.write_text("mine")

    with pytest.raises(Refused, match="exists"):
        extract(Invented({2: [file(b"a")]}), folder(b"", 2), dest, progress=appear)

    assert dest.read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_parent_that_is_missing_is_refused(image: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="make the folder first"):
        copied(image, tmp_path / "none" / "dest")

    assert list(tmp_path.iterdir()) == []


def test_a_device_is_no_file_to_copy(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="neither a file nor a directory"):
        extract(Invented({}), Node(path=b"null", mode=0o020666), tmp_path / "dest")


@pytest.mark.parametrize("suffix", ["", ".tar"])
def test_cancelling_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    class Endless(Invented):
        def data(self, node: Node) -> Iterator[tuple[int, bytes]]:
            while True:
                yield 0, b"x"

    reports: list[tuple[int, int]] = []
    filesystem = Endless({2: [file(b"a"), file(b"b")]})
    top = folder(b"", 2)

    with pytest.raises(ScanCancelled):
        extract(
            filesystem, top, tmp_path / f"dest{suffix}",
            progress=lambda entries, size: reports.append((entries, size)),
            cancelled=lambda: bool(reports),
        )  # fmt: skip

    assert reports[0][0] == 2
    assert reports[0][1] > 0
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_copy_left_is_swept_up(image: Path, tmp_path: Path) -> None:
    left = tmp_path / ".dest.extract-part" / "content" / "deep"
    left.mkdir(parents=True)
    (left / "file").touch()
    left.chmod(0)

    copied(image, tmp_path / "dest", b"etc")

    assert [path.name for path in tmp_path.iterdir()] == ["dest"]


def test_two_copies_to_one_place(image: Path, tmp_path: Path) -> None:
    busy = tmp_path / ".dest.extract-part"
    busy.mkdir()
    handle = os.open(busy, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(Refused, match="being made by another copy"):
            copied(image, tmp_path / "dest")
    finally:
        os.close(handle)

    assert [path.name for path in tmp_path.iterdir()] == [busy.name]


def test_a_file_too_large_for_the_destination(tree: Path, tmp_path: Path) -> None:
    image = made(tmp_path, tree)
    debugfs(image, "set_inode_field /empty size 17592186044416")  # 16 TiB: ext4's own limit

    done = copied(image, tmp_path / "dest")

    there = tmp_path / "dest" / "empty"
    assert done.failed == (0 if there.exists() else 1)
    assert not there.exists() or there.lstat().st_blocks == 0
    copied(image, tmp_path / "dest.tar")
    assert (tmp_path / "dest.tar").lstat().st_size < 2_000_000


def test_a_directory_that_cannot_be_written_to(image: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(Refused, match="Not a directory"):
        copied(image, tmp_path / "file" / "dest")


def test_a_write_that_fails_leaves_nothing(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(os, "pwrite", broken)

    with pytest.raises(ExtractFailed, match=r"Input/output error, after .* entries with .* bytes"):
        copied(image, tmp_path / "dest")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["fchmod", "utime", "setxattr", "link"])
def test_a_destination_that_knows_less_still_gets_the_data(
    tree: Path, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, os.strerror(1))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, refuse)
        done = copied(image, tmp_path / "dest")

    assert done.failed == 0
    assert any("destination" in note for note in done.notes)
    for path in below(tree):
        if stat.S_ISREG(path.lstat().st_mode):
            assert (tmp_path / "dest" / path.relative_to(tree)).read_bytes() == path.read_bytes()


def test_a_fifo_of_two_names_is_left_out_under_both(tmp_path: Path) -> None:
    names = [Node(path=name, mode=0o010644, inode=70, links=2) for name in (b"a", b"b")]

    done = taken(Invented({2: names}), tmp_path / "dest")

    assert len(done.notes) == 1
    assert done.notes[0].endswith(": /a, /b")


def test_an_archive_in_the_image_is_copied_and_no_other_kind_is_made(tmp_path: Path) -> None:
    done = extract(Invented({}), file(b"srv/backup.tar"), tmp_path / "mine.tar")
    extract(Invented({}), file(b"srv/other"), tmp_path / "other.tar")

    assert done.files == 1
    assert (tmp_path / "mine.tar").read_bytes() == b"evil"
    with tarfile.open(tmp_path / "other.tar") as archive:
        assert archive.getnames() == ["other"]
    with pytest.raises(Refused, match="compressed archive"):
        taken(Invented({}), tmp_path / "root.tar.zst")
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("suffix", ["", ".tar"])
def test_room_that_others_take_meanwhile(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(rescue, "least_bytes", lambda *_: 0)
    real = os.statvfs

    def small(path: Path) -> os.statvfs_result:
        status = real(path)
        return os.statvfs_result((*status[:4], 10, *status[5:]))

    monkeypatch.setattr(os, "statvfs", small)
    block = real(tmp_path).f_frsize

    with pytest.raises(
        ExtractFailed, match=rf"no room for /etc/.*\({10 * block:,} bytes\) are free"
    ):
        copied(image, tmp_path / f"dest{suffix}")

    assert list(tmp_path.iterdir()) == []
