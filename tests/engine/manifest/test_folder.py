"""A folder's entries are what is on disk, and what has changed since is noticed."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as quickly
from hypothesis import strategies as st

from engine.manifest.entry import SourceChanged, order
from engine.manifest.lookup import stream
from tests.engine.manifest.support import codes, content, data, make, manifest, on_disk, scanned

NAMES = st.binary(min_size=1, max_size=24).filter(
    lambda name: (
        b"/" not in name and b"\0" not in name and name not in {b".", b".."} and name[-1:] != b"!"
    )
)
FILES = st.tuples(
    st.just("file"), st.binary(max_size=5000), st.sampled_from([0o600, 0o4755, 0o644])
)
LINKS = st.tuples(
    st.just("link"), st.binary(min_size=1, max_size=80).filter(lambda b: b"\0" not in b)
)
TREES = st.recursive(
    st.one_of(FILES, LINKS), lambda below: st.dictionaries(NAMES, below, max_size=6), max_leaves=25
).filter(lambda tree: isinstance(tree, dict))


def _write(folder: bytes, tree: dict[bytes, object], top: bytes) -> None:
    os.mkdir(folder, 0o755)  # noqa: PTH102 - bytes
    for name, node in tree.items():
        path = folder + b"/" + name
        match node:
            case dict():
                _write(path, node, top)
            case ("file", bytes(body), int(mode)):
                with open(path, "wb") as file:  # noqa: PTH123 - bytes
                    file.write(body)
                os.chmod(path, mode)  # noqa: PTH101 - bytes
                os.link(path, path + b"!")
                os.link(path, b"%s/%d!" % (top, os.lstat(path).st_ino))
            case ("link", bytes(target)):
                os.symlink(target, path)  # noqa: PTH211 - bytes


@given(tree=TREES)
@quickly(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_walk_agrees_with_os_walk(tree: dict[bytes, object]) -> None:
    with tempfile.TemporaryDirectory() as made:
        root = os.fsencode(made) + b"/tree"
        _write(root, tree, root)
        entries = manifest(content(Path(os.fsdecode(root))))
        expected = on_disk(root)
        files = data(entries)
        assert [e.path for e in entries] == sorted(expected, key=order)
        first: dict[int, bytes] = {}
        for entry in entries:
            mode, mtime, inode, body = expected[entry.path]
            assert (entry.mode, entry.mtime_ns, entry.uid, entry.gid) == (mode, mtime, 0, 0)
            assert (files[entry.path] if entry.is_regular else entry.target) == body
            if not entry.is_directory:
                leader = first.setdefault(inode, entry.path)
                assert (entry.link_to.path if entry.link_to else entry.path) == leader


def test_holes_are_kept(tmp_path: Path) -> None:
    path = make(tmp_path / "tree", []) / "sparse"
    with path.open("wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"x" * 4096)
    entry = manifest(content(tmp_path / "tree")).get(b"sparse")
    assert entry is not None
    assert entry.extents == ((32 << 20, 4096),)
    pieces = [(offset, bytes(piece)) for _, offset, piece in stream([entry])]
    assert pieces == [(32 << 20, b"x" * 4096)]


def test_a_file_that_is_one_hole_has_no_data(tmp_path: Path) -> None:
    with (make(tmp_path / "tree", []) / "hole").open("wb") as file:
        file.truncate(1 << 20)
    entry = manifest(content(tmp_path / "tree")).get(b"hole")
    assert entry is not None
    assert (entry.size, entry.extents, list(stream([entry]))) == (1 << 20, (), [])


def test_attributes_and_access_lists_are_kept(tmp_path: Path) -> None:
    file = make(tmp_path / "tree", ["a"]) / "a"
    os.setxattr(file, "user.note", b"\0\xff")
    acl = bytes.fromhex("02000000 01000600ffffffff 02000700e8030000 04000400ffffffff"
                        "10000700ffffffff 20000400ffffffff")  # fmt: skip
    os.setxattr(file, "system.posix_acl_access", acl)
    entry = manifest(content(tmp_path / "tree")).get(b"a")
    assert entry is not None
    assert dict(entry.xattrs) == {b"user.note": b"\0\xff", b"system.posix_acl_access": acl}


def test_a_mode_changes_the_mask_of_an_access_list_as_chmod_does(tmp_path: Path) -> None:
    file = make(tmp_path / "tree", ["a"]) / "a"
    os.setxattr(
        file, "system.posix_acl_access",
        bytes.fromhex("02000000 01000600ffffffff 02000700e8030000 04000400ffffffff"
                      "10000700ffffffff 20000400ffffffff"),
    )  # fmt: skip
    entry = manifest(content(tmp_path / "tree", b"/x", mode="640")).get(b"x/a")
    file.chmod(0o640)
    assert entry is not None
    assert dict(entry.xattrs)[b"system.posix_acl_access"] == os.getxattr(
        file, "system.posix_acl_access"
    )


def test_special_files_are_kept_and_a_fifo_is_never_opened(tmp_path: Path) -> None:
    tree = make(tmp_path / "tree", [])
    os.mkfifo(tree / "fifo")
    entries = manifest(content(tree))
    fifo = entries.get(b"fifo")
    assert fifo is not None
    assert stat.S_ISFIFO(fifo.mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="device nodes need privileges")
def test_a_device_keeps_its_number(tmp_path: Path) -> None:
    tree = make(tmp_path / "tree", [])
    os.mknod(tree / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    null = manifest(content(tree)).get(b"null")
    assert null is not None
    assert (stat.S_ISCHR(null.mode), null.rdev) == (True, os.makedev(1, 3))


def test_a_socket_is_left_out_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = make(tmp_path / "tree", ["file"])
    monkeypatch.chdir(tree)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("here")
        found = scanned(content(tree))
    assert [entry.path for entry in found.volumes["root"]] == [b"", b"file"]
    (problem,) = found.problems
    assert (problem.code, problem.severity) == ("socket-left-out", "warning")
    assert "here" in problem.message


def test_dotfiles_and_deep_trees_are_kept(tmp_path: Path) -> None:
    depth = 150
    tree = make(tmp_path / "tree", [".hidden/.deeper"])
    deep = tree
    for _ in range(depth):
        deep /= "d"
        deep.mkdir()
        (deep / "a").write_text("a")
        (deep / "z").write_text("z")
    entries = manifest(content(tree))
    assert entries.get(b".hidden/.deeper") is not None
    assert entries.get(b"d/" * depth + b"z") is not None
    assert len(data(entries)) == 2 * depth + 1


def _grow(path: Path) -> None:
    with path.open("a") as file:
        file.write("more")


def _same_size(path: Path) -> None:
    path.write_text(path.read_text()[::-1])


def _vanish(path: Path) -> None:
    path.unlink()


def _replace(path: Path) -> None:
    body = path.read_bytes()
    path.unlink()
    path.write_bytes(body)


def _link_away(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _parent_swapped(path: Path) -> None:
    elsewhere = path.parent.with_name("elsewhere")
    path.parent.rename(elsewhere)
    path.parent.symlink_to(elsewhere)


CHANGES = [_grow, _same_size, _vanish, _replace, _link_away, _fifo, _folder, _parent_swapped]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
@pytest.mark.parametrize("size", [10, 3 << 20], ids=["small", "large"])
def test_a_change_after_the_scan_is_refused_by_name(
    tmp_path: Path, change: Callable[[Path], None], size: int
) -> None:
    path = make(tmp_path / "tree", ["sub/"]) / "sub/file"
    path.write_text("a" + "b" * (size - 1))
    os.utime(path, (1, 1))
    entries = manifest(content(tmp_path / "tree"))
    change(path)
    with pytest.raises(SourceChanged, match="sub/file"):
        data(entries)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "tree", []) / "large"
    path.write_bytes(bytes(3 << 20))
    os.utime(path, (1, 1))
    entry = manifest(content(tmp_path / "tree")).get(b"large")
    assert entry is not None
    pieces = stream([entry])
    next(pieces)
    _grow(path)
    seen = 1 << 20
    with pytest.raises(SourceChanged):  # noqa: PT012 - what comes before it matters too
        for _, offset, piece in pieces:
            seen = offset + len(piece)
    assert seen == entry.size


def test_a_link_to_a_folder_as_source_stands_for_the_folder(tmp_path: Path) -> None:
    make(tmp_path / "tree", ["file"])
    (tmp_path / "link").symlink_to("tree")
    assert manifest(content(tmp_path / "link")).get(b"file") is not None


@pytest.mark.parametrize("to", ["file", "nowhere"])
def test_any_other_link_as_source_is_kept_as_a_link(tmp_path: Path, to: str) -> None:
    make(tmp_path, ["file"])
    (tmp_path / "link").symlink_to(to)
    entry = manifest(content(tmp_path / "link", b"/etc/link")).get(b"etc/link")
    assert entry is not None
    assert (entry.is_symlink, entry.target) == (True, to.encode())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not read")
def test_what_cannot_be_read_is_reported_by_name() -> None:
    # pytest's own folders are closed to others, and another run closes them again.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        tree = make(Path(folder) / "tree", ["open", "shut", "closed/x"])
        (tree / "shut").chmod(0)
        (tree / "closed").chmod(0)
        os.seteuid(65534)
        try:
            found = scanned(content(tree))
        finally:
            os.seteuid(0)
    assert codes(found) == ["source-unreadable"] * 2
    assert sorted(problem.message.split("/")[-1].split(" ")[0] for problem in found.problems) == [
        "closed", "shut",
    ]  # fmt: skip
