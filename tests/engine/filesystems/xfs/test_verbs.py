"""XFS through the verbs that people use: inspect, diff, import."""

from __future__ import annotations

import json
import os
import stat
import tarfile
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.compare.diff import compare
from tests.engine.filesystems.xfs.record import RECORDINGS
from tests.support.tools import run_tool


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return RECORDINGS.unpacked("plain", tmp_path_factory.mktemp("plain"))


@pytest.fixture
def dirty(tmp_path: Path) -> Path:
    return RECORDINGS.unpacked("dirty", tmp_path)


def test_inspect_lists_and_shows(plain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(plain), "/empty"]) == 0
    assert capsys.readouterr().out.split()[-1] == "name"  # "second name"
    assert main(["inspect", str(plain), "/2400", "--cat"]) == 0
    assert capsys.readouterr().out == "2400"
    assert main(["inspect", str(plain), "/attributes inside", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert set(shown["xattrs"]) == {"user.a", "trusted.b", "security.capability"}
    assert main(["inspect", "--json", str(plain)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["findings"] == []
    assert report["filesystem"]["unchecked"] == []
    assert report["foreign"] is None


def test_a_copy_has_what_the_kernel_saw(plain: Path, tmp_path: Path) -> None:
    archive = tmp_path / "copy.tar"
    assert main(["inspect", str(plain), "--extract", str(archive)]) == 0
    said = RECORDINGS.said("plain")
    with tarfile.open(archive, errors="surrogateescape") as copy:
        members = {os.fsencode(each.name).removeprefix(b"./").removesuffix(b"/"): each
                   for each in copy}  # fmt: skip
        sockets = {path for path, row in said.items() if stat.S_ISSOCK(row["mode"])}
        assert {path if path != b"." else b"" for path in members} == said.keys() - sockets
        for path, member in members.items():
            row = said[b"" if path == b"." else path]
            assert (member.mode, member.uid, member.gid) == (
                stat.S_IMODE(row["mode"]), row["uid"], row["gid"]
            ), path  # fmt: skip
        held = copy.extractfile(members[b"exactly"])
        assert held is not None
        assert held.read() == b"b" * 4096
    assert members[b"empty/second name"].islnk() or members[b"file"].islnk()


def test_a_log_that_was_not_replayed_is_told_by_each(
    dirty: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = "its log holds changes that are not in their places, and is not replayed here"
    assert main(["inspect", "--json", str(dirty)]) == 0
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert findings == [
        "disk: the xfs file system was not unmounted cleanly",
        f"disk: {older}; what is shown may be older than what a mount shows",
    ]
    assert main(["inspect", str(dirty), "--extract", str(tmp_path / "copy")]) == 1
    assert older in capsys.readouterr().err
    other = tmp_path / "other"
    other.write_bytes(dirty.read_bytes())
    with other.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    assert main(["diff", str(dirty), str(other)]) == 3
    assert f"warning: dirty.img, disk: {older}; files may be older" in capsys.readouterr().err
    main(["import", str(dirty), "--files", "-o", str(tmp_path / "spec.toml")])
    assert f"root may be older than what a mount shows: {older}" in capsys.readouterr().err


def test_import_takes_the_files_along(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "spec.toml"
    assert main(["import", str(plain), "-o", str(spec), "--files"]) == 0
    capsys.readouterr()
    assert 'format = "xfs"' in spec.read_text()
    with tarfile.open(tmp_path / "plain-root.tar", errors="surrogateescape") as archive:
        assert len(archive.getnames()) > len(RECORDINGS.said("plain")) - 10


def test_files_that_share_blocks_are_compared(tmp_path: Path) -> None:
    """They have 90 MiB in a file system of 64."""
    image = RECORDINGS.unpacked("modern", tmp_path)
    other = tmp_path / "other"
    run_tool(("cp", "--sparse=always", image, other), check=True)
    run_tool(("xfs_db", "-x", "-cpath /shared/9", "-cwrite -d core.gen 77", other),
             check=True, capture_output=True)  # fmt: skip
    (found,) = compare(image, other).fields
    assert found.where == "disk, /shared/9, generation"


def test_diff_names_fields(plain: Path, tmp_path: Path) -> None:
    """xfs_db changes what a diff names; a checksum follows from the rest and is not named."""
    other = tmp_path / "other"
    run_tool(("cp", "--sparse=always", plain, other), check=True)
    run_tool(
        ("xfs_db", "-x", "-cpath /file", "-cwrite -d core.gen 77", "-cagf 1",
         "-cwrite -d longest 5", "-clabel changed", other),
        check=True, capture_output=True,
    )  # fmt: skip
    found = {each.where: (each.a, each.b) for each in compare(plain, other).fields}
    assert found.pop("disk, superblock, label") == ("plain", "changed")
    assert found.pop("disk, /file, generation")[1] == "0x4d"
    assert found.pop("disk, /empty/second name, generation")[1] == "0x4d"
    assert found.pop("disk, header of free space of group 1, longest run")[1] == "5"
    assert not found
