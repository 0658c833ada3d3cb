"""Archives made by GNU tar read back as their source; hostile ones are refused by name."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as quickly
from hypothesis import strategies as st

from engine.manifest.entry import Entry, SourceChanged
from engine.manifest.manifest import Manifest
from engine.manifest.tar import BadArchive, members
from tests.engine.manifest.support import codes, content, data, make, manifest, scanned
from tests.support.tools import hide_tools

FORMS = {
    "gnu": ["--format=gnu", "--sparse"],
    "oldgnu": ["--format=oldgnu", "--sparse"],
    "posix": ["--format=posix", "--sparse", "--xattrs", "--xattrs-include=*"],
    "sparse-0.1": ["--format=posix", "--sparse", "--sparse-version=0.1"],
    "sparse-0.0": ["--format=posix", "--sparse", "--sparse-version=0.0"],
    "gzip": ["--gzip", "--format=posix", "--sparse"],
    "bzip2": ["--bzip2", "--format=posix", "--sparse"],
    "xz": ["--xz", "--format=posix", "--sparse"],
    "zstd": ["--zstd", "--format=posix", "--sparse"],
}


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> Path:
    tree = make(
        tmp_path / "tree", ["z", "etc/conf", ".hidden", "empty/", f"{'n' * 200}/{'m' * 200}"]
    )
    os.link(tree / "z", tree / "etc/a-second-name")
    (tree / "etc/link").symlink_to("x" * 150)
    (tree / "z").chmod(0o4750)
    with (tree / "sparse").open("wb") as file:
        for at in range(30):  # more ranges than one header of the old form holds
            file.seek(at << 20)
            file.write(b"%d" % at * 2048)
        file.truncate(40 << 20)
    (tree / "large").write_bytes(os.urandom(2_500_000))
    os.mkfifo(tree / "fifo")
    Path(os.fsdecode(os.fsencode(tree) + b"/\xff\xfe \n[")).write_text("any byte")
    os.setxattr(tree / "z", "user.note", b"a=b\n\0\xff")
    for path in [tree, *tree.rglob("*")]:
        os.utime(path, (1_600_000_000, 1_600_000_000), follow_symlinks=False)
    return tree


def _facts(entry: Entry) -> tuple[object, ...]:
    link = entry.link_to.path if entry.link_to is not None else None
    return entry.path, entry.mode, entry.mtime_ns, entry.size, entry.target, entry.rdev, link


def _pack(tree: Path, *options: str) -> Path:
    path = tree.with_name("packed.tar")
    subprocess.run(["tar", *options, "-cf", path, "-C", tree, "."], check=True)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_an_archive_reads_as_the_tree_it_was_made_of(tree: Path, form: str) -> None:
    archive = _pack(tree, "--owner=:7", "--group=:3000000", *FORMS[form])
    unpacked = manifest(content(archive, extract=True))
    walked = manifest(content(tree))
    assert [_facts(entry) for entry in unpacked] == [_facts(entry) for entry in walked]
    assert {(entry.uid, entry.gid) for entry in unpacked} == {(7, 3_000_000)}
    assert data(unpacked) == data(walked)
    sparse = unpacked.get(b"sparse")
    assert sparse is not None
    assert sum(length for _, length in sparse.extents or ()) < 4 << 20
    if "--xattrs" in FORMS[form]:
        assert [e.xattrs for e in unpacked] == [e.xattrs for e in walked]


def test_a_target_mode_and_owner_apply_to_members_too(tree: Path) -> None:
    archive = _pack(tree, "--owner=:7")
    entries = manifest(content(archive, b"/opt/x", extract=True, mode="640", user="5", group="6"))
    conf, folder = entries.get(b"opt/x/etc/conf"), entries.get(b"opt/x/etc")
    assert conf is not None
    assert folder is not None
    assert (conf.mode, folder.mode) == (stat.S_IFREG | 0o640, stat.S_IFDIR | 0o750)
    assert (conf.uid, conf.gid) == (5, 6)


def test_excluded_members_are_left_out(tree: Path) -> None:
    archive = _pack(tree)
    entries = manifest(content(archive, extract=True, exclude=("etc/", "*.none", "fifo")))
    assert entries.get(b"etc") is None
    assert entries.get(b"etc/conf") is None
    assert entries.get(b"fifo") is None
    assert entries.get(b"z") is not None


def test_an_access_list_in_text_form_is_kept(tmp_path: Path) -> None:
    headers = {"SCHILY.acl.access": "user::rw-,user:joe:rwx:1000,group::r--,mask::rwx,other::r--"}
    entries = _entries(tmp_path, _info("a", pax_headers=headers))
    entry = entries.get(b"a")
    assert entry is not None
    assert dict(entry.xattrs)[b"system.posix_acl_access"] == bytes.fromhex(
        "02000000 01000600ffffffff 02000700e8030000 04000400ffffffff"
        "10000700ffffffff 20000400ffffffff"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="device nodes need privileges")
def test_device_nodes_come_from_headers(tmp_path: Path) -> None:
    tree = make(tmp_path / "tree", [])
    os.mknod(tree / "sda", stat.S_IFBLK | 0o660, os.makedev(8, 0))
    (tree / "sda").chmod(0o660)
    entry = manifest(content(_pack(tree), extract=True)).get(b"sda")
    assert entry is not None
    assert (entry.mode, entry.rdev) == (stat.S_IFBLK | 0o660, os.makedev(8, 0))


def _info(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", **fields: object
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def _archive(tmp_path: Path, *infos: tarfile.TarInfo) -> Path:
    path = tmp_path / "made.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for info in infos:
            tar.addfile(info, io.BytesIO(bytes(info.size)))
    return path


def _entries(tmp_path: Path, *infos: tarfile.TarInfo) -> Manifest:
    return manifest(content(_archive(tmp_path, *infos), extract=True))


@pytest.mark.parametrize(
    ("infos", "word"),
    [
        ([_info("../escape")], "climbs out"),
        ([_info("a/../../escape")], "climbs out"),
        ([_info("a", tarfile.LNKTYPE, "../../etc/passwd")], "leads out"),
        ([_info("a", tarfile.LNKTYPE, "never-there")], "not a file before it"),
        ([_info("d", tarfile.DIRTYPE), _info("a", tarfile.LNKTYPE, "d")], "not a file before it"),
        ([_info("a"), _info("a/b")], "below a file"),
        ([_info("l", tarfile.SYMTYPE, "/nowhere"), _info("l/x")], "below a file"),
        ([_info("a", b"Z")], "unknown type"),
        ([_info(".")], "root directory"),
    ],
)
def test_hostile_members_are_refused_by_name(
    tmp_path: Path, infos: list[tarfile.TarInfo], word: str
) -> None:
    found = scanned(content(_archive(tmp_path, *infos), extract=True))
    assert codes(found) == ["archive-member-refused"]
    assert word in found.problems[0].message
    assert all(b".." not in entry.path for entry in found.volumes["root"])


def test_an_absolute_name_starts_at_the_archives_root(tmp_path: Path) -> None:
    assert _entries(tmp_path, _info("/etc/passwd")).get(b"etc/passwd") is not None


def test_members_below_a_link_of_the_archive_go_where_it_leads(tmp_path: Path) -> None:
    link = _info("lib", tarfile.SYMTYPE, "usr/lib")
    entries = _entries(tmp_path, link, _info("lib/libc.so", size=3), _info("usr/lib/x"))
    assert [e.path for e in entries] == [
        b"", b"lib", b"usr", b"usr/lib", b"usr/lib/libc.so", b"usr/lib/x",
    ]  # fmt: skip
    assert data(entries)[b"usr/lib/libc.so"] == bytes(3)


def test_the_last_member_of_a_name_counts_and_links_keep_the_first(tmp_path: Path) -> None:
    entries = _entries(
        tmp_path, _info("a", size=1), _info("b", tarfile.LNKTYPE, "a"), _info("a", size=2)
    )
    assert [(e.path, e.size, e.link_to) for e in entries][1:] == [(b"a", 2, None), (b"b", 1, None)]


def test_a_truncated_archive_is_refused_whatever_its_form(tree: Path) -> None:
    for form in ("posix", "gzip", "xz", "zstd"):
        archive = _pack(tree, *FORMS[form])
        whole = archive.read_bytes()
        archive.write_bytes(whole[: len(whole) // 2])
        assert "archive-damaged" in codes(scanned(content(archive, extract=True))), form


def test_a_damaged_header_is_refused_and_not_taken_for_the_end(tree: Path) -> None:
    archive = _pack(tree, "--format=gnu", "--exclude=large", "--exclude=sparse")
    body = bytearray(archive.read_bytes())
    body[512] ^= 1  # the second header's name
    archive.write_bytes(body)
    found = scanned(content(archive, extract=True))
    assert codes(found) == ["archive-damaged"]
    assert "checksum" in found.problems[0].message


def test_no_archive_at_all_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.tar"
    path.write_text("no archive\n" * 100)
    assert codes(scanned(content(path, extract=True))) == ["archive-damaged"]
    assert codes(scanned(content(tmp_path, extract=True))) == ["archive-no-file"]
    assert codes(scanned(content(tmp_path / "none.tar", extract=True))) == ["source-missing"]


def test_no_program_is_needed_to_unpack(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = _pack(tree, "--zstd")
    hide_tools(monkeypatch)
    assert shutil.which("zstd") is None
    assert manifest(content(archive, extract=True)).get(b"z") is not None


def test_an_archive_that_changes_after_the_scan_is_refused(tree: Path) -> None:
    archive = _pack(tree)
    entries = manifest(content(archive, extract=True))
    os.utime(archive, (1, 1))
    with pytest.raises(SourceChanged, match=r"packed\.tar changed"):
        data(entries)


class _Bytes:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self.position = 0

    def read(self, length: int) -> bytes:
        piece = self._body[self.position : self.position + length]
        self.position += len(piece)
        return piece

    def skip(self, length: int) -> None:
        if self.position + length > len(self._body):
            raise BadArchive("it ends")
        self.position += length


@given(st.binary(max_size=1500), st.integers(0, 7))
@quickly(max_examples=300, deadline=None)
def test_any_bytes_are_members_or_refused(noise: bytes, where: int) -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(
            _info("a" * 120, size=600, pax_headers={"GNU.sparse.major": "1"}),
            io.BytesIO(bytes(600)),
        )
    body = bytearray(whole.getvalue())
    start = where * 256
    body[start : start + len(noise)] = noise
    try:
        found = list(members(_Bytes(bytes(body))))
    except BadArchive:
        return
    assert all(member.size >= 0 for member in found)


def test_an_owner_out_of_range_does_not_matter_where_it_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "odd.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, uid in (("bad", 2**32 - 1), ("good", 5)):
            member = tarfile.TarInfo(name)
            member.uid = uid
            archive.addfile(member)
    assert codes(scanned(content(path, extract=True))) == ["archive-member-refused"]
    assert codes(scanned(content(path, extract=True, exclude=("bad",)))) == []
    assert codes(scanned(content(path, extract=True, user="0", group="0"))) == []
