"""Archives and compressed streams as other programs make them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import subprocess
import tarfile
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import settings as quickly
from hypothesis import strategies as st

from engine.manifest.compressed import CORRUPT, unpacked
from engine.manifest.manifest import Manifest
from engine.problem import Problem
from tests.engine.manifest.support import codes, content, data, manifest, paths, scanned
from tests.support.containers import hard_link, layer, member

SKIPPED = struct.pack("<II", 0x184D2A5F, 4) + b"abcd"
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda body: gzip.compress(body, 1),
    "xz": lzma.compress,
    "lzma": lambda body: lzma.compress(body, lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
    "zstd": lambda body: zstandard.ZstdCompressor(write_checksum=True).compress(body),
}
FILES = layer(member("a", data=b"first"), member("b", data=os.urandom(200_000)))


class _Stream:
    """Gives a few bytes at a time, as a pipe may."""

    def __init__(self, body: bytes, step: int = 1 << 16) -> None:
        self._body = io.BytesIO(body)
        self._step = step

    def readinto(self, buffer: memoryview) -> int:
        return self._body.readinto(buffer[: self._step])

    def close(self) -> None:
        self._body.close()


def _read(body: bytes, step: int = 1 << 16) -> bytes:
    stream = unpacked(_Stream(body, step))
    whole, buffer = bytearray(), memoryview(bytearray(3000))
    while got := stream.readinto(buffer):
        whole += buffer[:got]
    return bytes(whole)


def _unpack(tmp_path: Path, body: bytes) -> Manifest:
    path = tmp_path / "made.tar"
    path.write_bytes(body)
    return manifest(content(path, extract=True))


def _refused(tmp_path: Path, body: bytes) -> str:
    path = tmp_path / "made.tar"
    path.write_bytes(body)
    found = scanned(content(path, extract=True))
    assert codes(found) == ["archive-damaged"]
    return found.problems[0].message


def _problems(tmp_path: Path, body: bytes) -> Sequence[Problem]:
    path = tmp_path / "made.tar"
    path.write_bytes(body)
    return scanned(content(path, extract=True)).problems


@pytest.mark.parametrize("form", PACKERS)
@given(
    parts=st.lists(st.binary(max_size=400), min_size=1, max_size=4),
    behind=st.sampled_from([b"", bytes(700), b"\nsome other bytes", b"\0\0x"]),
    step=st.integers(1, 50),
)
@quickly(max_examples=40, deadline=None)
def test_streams_of_several_members_and_what_lies_behind(
    form: str, parts: list[bytes], behind: bytes, step: int
) -> None:
    packed = b"".join(PACKERS[form](part) for part in parts)
    if form == "xz":
        behind = bytes(len(behind) // 4 * 4) or behind  # padding of xz is in fours
    assert _read(packed + behind, step) == b"".join(parts)
    if form == "zstd":
        assert _read(SKIPPED + packed + SKIPPED + behind, step) == b"".join(parts)


@pytest.mark.parametrize("form", PACKERS)
def test_a_stream_that_is_cut_or_harmed_is_refused(form: str) -> None:
    packed = PACKERS[form](FILES)
    for end in (len(packed) - 1, len(packed) // 2, 12):
        with pytest.raises(CORRUPT):
            _read(packed[:end])
    if form != "lzma":  # which has no checksum
        harmed = bytearray(packed)
        harmed[len(harmed) // 2] ^= 0x10
        with pytest.raises(CORRUPT):
            _read(bytes(harmed))


@pytest.mark.parametrize("form", PACKERS)
def test_memory_is_bounded_whatever_the_ratio(form: str) -> None:
    # One piece of zstd's is 128 MiB at most, and is put together once; xz has a dictionary.
    size, most = (400_000_000, 270_000_000) if form == "zstd" else (40_000_000, 10_000_000)
    packed = PACKERS[form](bytes(size))
    stream = unpacked(_Stream(packed))
    buffer, whole = memoryview(bytearray(1 << 16)), 0
    tracemalloc.start()
    while got := stream.readinto(buffer):
        whole += got
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert whole == size
    assert peak < most


def test_pzstd_and_a_long_window(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(FILES)
    for tool in (["pzstd", "-q", "-p", "3"], ["zstd", "-q", "--long=31", "--ultra"]):
        packed = tmp_path / "packed"
        subprocess.run([*tool, "-f", plain, "-o", packed], check=True)
        assert paths(manifest(content(packed, extract=True))) == ["a", "b"]


@pytest.mark.parametrize("form", PACKERS)
def test_an_archive_is_known_by_content_in_every_form(tmp_path: Path, form: str) -> None:
    assert data(_unpack(tmp_path, PACKERS[form](FILES)))[b"a"] == b"first"


def test_a_wrong_checksum_behind_the_archives_end_is_found(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(FILES, 1))
    packed[-6] ^= 1  # of gzip's own sum
    assert "check" in _refused(tmp_path, bytes(packed))


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"PK\3\4" + bytes(600), "a zip archive"),
        (b"070701" + bytes(600), "a cpio archive"),
        (b"!<arch>\n" + bytes(600), "ar x"),
        (b"\xed\xab\xee\xdb" + bytes(600), "rpm2archive"),
        (b"\x04\x22\x4d\x18" + bytes(600), "lz4 -d"),
        (b"LZIP\1" + bytes(600), "lzip -d"),
        (gzip.compress(lzma.compress(FILES)), "compressed twice (xz inside)"),
    ],
)
def test_what_is_not_a_tar_archive_is_named(tmp_path: Path, body: bytes, word: str) -> None:
    (problem,) = _problems(tmp_path, body)
    assert (problem.code, problem.severity) == ("archive-foreign", "error")
    assert word in f"{problem.message} {problem.hint}"


def test_what_is_not_packed_in_the_form_it_claims_is_damaged(tmp_path: Path) -> None:
    assert "no zstd data" in _refused(tmp_path, SKIPPED + b"\x04\x22\x4d\x18" + bytes(600))


@pytest.mark.parametrize(
    "body", [b"", bytes(10240), bytes(1024) + FILES, gzip.compress(b"", mtime=0)]
)
def test_an_archive_without_members_is_warned_of(tmp_path: Path, body: bytes) -> None:
    problems = _problems(tmp_path, body)
    assert ("archive-empty", "warning") in [(found.code, found.severity) for found in problems]


def test_archives_one_behind_the_other_are_warned_of(tmp_path: Path) -> None:
    second = layer(member("c"))
    for form in (bytes, PACKERS["gzip"], PACKERS["zstd"]):
        path = tmp_path / "two.tar"
        path.write_bytes(form(FILES) + form(second))
        found = scanned(content(path, extract=True))
        assert codes(found) == ["archive-goes-on"]
        assert found.problems[0].severity == "warning"
        assert paths(found.volumes["root"]) == ["a", "b"]


def test_members_without_an_end_between_them_are_one_archive(tmp_path: Path) -> None:
    """As Alpine's packages are made."""
    first = layer(member("a", data=b"1"))[:1024]
    assert paths(_unpack(tmp_path, gzip.compress(first) + gzip.compress(layer(member("b"))))) == [
        "a",
        "b",
    ]


def test_a_label_of_selinux_in_gnu_tar_s_words(tmp_path: Path) -> None:
    label = "system_u:object_r:shadow_t:s0"
    entries = _unpack(
        tmp_path,
        layer(
            member("f", pax_headers={"RHT.security.selinux": label}),
            member("g", pax_headers={
                "RHT.security.selinux": "other", "SCHILY.xattr.security.selinux": "raw",
            }),
        ),
    )  # fmt: skip
    assert entries.entries[1].xattrs == ((b"security.selinux", label.encode() + b"\0"),)
    assert entries.entries[2].xattrs == ((b"security.selinux", b"raw"),)


def test_a_list_of_nfs_4_is_left_out_with_a_word(tmp_path: Path) -> None:
    path = tmp_path / "made.tar"
    path.write_bytes(layer(member("f", pax_headers={"SCHILY.acl.ace": "owner@:rw::allow"})))
    found = scanned(content(path, extract=True))
    assert codes(found) == ["acl-left-out"]
    assert found.volumes["root"].entries[1].xattrs == ()


def test_empty_records_take_back_what_was_said(tmp_path: Path) -> None:
    empty = {"path": "", "uid": "", "mtime": "", "size": ""}
    (_, entry) = _unpack(tmp_path, layer(member("f", uid=3, pax_headers=empty)))
    assert (entry.path, entry.uid) == (b"f", 3)


def test_directories_from_before_posix(tmp_path: Path) -> None:
    """Regular members whose names end in a slash; what is in device fields means nothing."""
    info, _ = member("d/")
    header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    header[156:157] = b"\0"
    header[257:345] = b"\xff" * 88
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    entries = _unpack(tmp_path, bytes(header) + layer(member("d/x", data=b"x")))
    assert [(entry.path, entry.is_directory) for entry in entries][1:] == [
        (b"d", True), (b"d/x", False),
    ]  # fmt: skip


@pytest.mark.parametrize("bodies", [True, False])
def test_hard_links_with_and_without_the_file_again(tmp_path: Path, bodies: bool) -> None:
    body = os.urandom(1300)
    link, _ = hard_link("b", "a")
    header = bytearray(link.tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = b"%011o\0" % len(body)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    first = layer(member("a", data=body))[: 512 + 1536]
    again = body.ljust(1536, b"\0") if bodies else b""
    entries = _unpack(tmp_path, first + header + again + layer(member("c", data=b"c")))
    assert data(entries) == {b"a": body, b"b": body, b"c": b"c"}


def test_a_lone_sparse_name_counts_over_the_path(tmp_path: Path) -> None:
    headers = {"GNU.sparse.name": "real", "path": "GNUSparseFile.0/real", "GNU.sparse.size": "9",
               "GNU.sparse.map": "0,3"}  # fmt: skip
    entries = _unpack(tmp_path, layer(member("x", data=b"abc", pax_headers=headers)))
    assert data(entries) == {b"real": b"abc" + bytes(6)}
