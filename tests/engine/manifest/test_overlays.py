"""What a later entry replaces, where a file goes, and what is expanded in a path."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from engine.manifest.findings import Finding
from engine.manifest.memory import directory
from engine.manifest.part import Part
from engine.manifest.volumes import split
from engine.problem import errors
from engine.spec.edit import apply
from engine.spec.model import Content, ImageSpec
from engine.spec.resolve import resolve
from engine.spec.rules import Compat
from tests.engine.manifest.support import codes, content, data, make, manifest, paths, scanned
from tests.support.containers import layer, member

BOTH: list[Compat] = ["none", "make-disk-image"]


def _content(source: str, target: str) -> Content:
    return Content(source=source, target=target)


def _two(tmp_path: Path) -> tuple[Path, Path]:
    one = make(tmp_path / "1", ["etc/motd", "etc/kept", "etc/folder/x"])
    two = make(tmp_path / "2", ["etc/motd", "etc/new"])
    (two / "etc/motd").write_text("later")
    return one, two


def test_a_later_entry_replaces_file_for_file(tmp_path: Path) -> None:
    one, two = _two(tmp_path)
    (two / "etc").chmod(0o700)
    entries = manifest(content(one), content(two, replace=True))
    assert data(entries) == {
        b"etc/motd": b"later", b"etc/new": b"etc/new", b"etc/kept": b"etc/kept",
        b"etc/folder/x": b"etc/folder/x",
    }  # fmt: skip
    etc = entries.get(b"etc")
    assert etc is not None
    assert etc.mode == stat.S_IFDIR | 0o700


@pytest.mark.parametrize("compat", BOTH)
def test_the_order_of_the_spec_decides_whatever_the_depth(tmp_path: Path, compat: Compat) -> None:
    one, two = _two(tmp_path)
    deep, top = content(one / "etc/motd", b"/etc/motd"), content(two, replace=True)
    assert data(manifest(deep, top, compat=compat))[b"etc/motd"] == b"later"
    if compat == "none":
        found = scanned(content(two, replace=True), content(one / "etc/motd", b"/etc/motd"))
        assert codes(found) == ["duplicate-target"]


def test_a_clash_names_the_key_that_solves_it(tmp_path: Path) -> None:
    one, two = _two(tmp_path)
    found = scanned(content(one), content(two))
    (problem,) = found.problems
    assert problem.fix is not None
    assert problem.fix.edits == (("contents[1].replace", True),)
    spec = ImageSpec(contents=(_content(str(one), "/"), _content(str(two), "/")))
    for path, value in problem.fix.edits:
        spec = apply(spec, path, value)
    settings, _ = resolve(spec, tmp_path, {})
    assert [each.replace for each in settings.contents] == [False, True]


def test_links_and_files_take_each_others_place_and_folders_do_not(tmp_path: Path) -> None:
    one = make(tmp_path / "1", ["a", "target"])
    (one / "link").symlink_to("target")
    two = make(tmp_path / "2", ["link"])
    (two / "a").symlink_to("target")
    found = manifest(content(one), content(two, replace=True))
    assert data(found) == {b"link": b"link", b"target": b"target"}
    three = make(tmp_path / "3", ["a/x"])
    assert codes(scanned(content(one), content(three, replace=True))) == ["file-and-directory"]


def test_twins_of_what_is_replaced_stay(tmp_path: Path) -> None:
    one, two = _two(tmp_path)
    os.link(one / "etc/motd", one / "etc/zz")
    (one / "etc/motd").write_text("shared")
    entries = manifest(content(one), content(two, replace=True))
    assert data(entries)[b"etc/zz"] == b"shared"
    assert all(entry.link_to is None for entry in entries)


def test_an_archive_replaces_as_a_folder_does(tmp_path: Path) -> None:
    one, _ = _two(tmp_path)
    archive = tmp_path / "overlay.tar"
    archive.write_bytes(layer(member("etc/motd", data=b"packed")))
    entries = manifest(content(one), content(archive, extract=True, replace=True))
    assert data(entries)[b"etc/motd"] == b"packed"


@pytest.mark.parametrize("compat", BOTH)
@pytest.mark.parametrize("target", ["/etc/", "/etc/.", "/etc//"])
def test_a_file_goes_into_a_target_that_ends_in_a_slash(
    tmp_path: Path, target: str, compat: Compat
) -> None:
    make(tmp_path, ["my.conf", "tree/x"])
    spec = ImageSpec(
        compat=compat,
        contents=(_content("my.conf", target), _content("tree", "/srv/"), _content("my.conf", "/")),
    )
    settings, problems = resolve(spec, tmp_path, {})
    assert not errors(problems)
    found = scanned(*settings.contents, compat=compat)
    assert found.problems == ()
    assert paths(found.volumes["root"]) == ["etc", "etc/my.conf", "my.conf", "srv", "srv/x"]


def test_a_link_goes_into_a_folder_that_is_a_link(tmp_path: Path) -> None:
    tree = make(tmp_path / "tree", ["usr/lib/x"])
    (tree / "lib").symlink_to("usr/lib")
    (tmp_path / "y").symlink_to("x")
    entries = manifest(content(tree), content(tmp_path / "y", b"/lib", into=True))
    there = entries.get(b"usr/lib/y")
    assert there is not None
    assert there.target == b"x"


def test_a_file_over_a_folder_is_told_of_the_slash(tmp_path: Path) -> None:
    tree = make(tmp_path / "tree", ["etc/x"])
    (problem,) = scanned(content(tree), content(tree / "etc/x", b"/etc")).problems
    assert "ends in /" in problem.hint


def test_the_reference_refuses_a_folder_that_is_there_already(tmp_path: Path) -> None:
    tree = make(tmp_path / "tree", ["etc/x", "y"])
    both = content(tree), content(tree / "y", b"/etc", into=True)
    assert codes(scanned(*both, compat="make-disk-image")) == ["duplicate-target"]
    assert paths(manifest(*both)) == ["etc", "etc/x", "etc/y", "y"]


def test_an_archive_as_a_file_at_the_top_is_asked_about(tmp_path: Path) -> None:
    archive = tmp_path / "root.tar"
    archive.write_bytes(layer(member("etc/motd")))
    (problem,) = scanned(content(archive, into=True)).problems
    assert (problem.code, problem.severity) == ("archive-as-file", "warning")
    assert problem.fix is not None
    assert problem.fix.edits == (("contents[0].extract", True),)


def test_root_is_0_without_a_table(tmp_path: Path) -> None:
    tree = make(tmp_path / "tree", ["x"])
    (entry,) = manifest(content(tree / "x", b"/x", user="root", group="root")).under(b"")
    assert (entry.uid, entry.gid) == (0, 0)
    assert codes(scanned(content(tree, user="root", group="users"))) == ["unknown-group"]


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    spec = ImageSpec(
        contents=tuple(_content(source, "/") for source in ("~/site", "~", "./~", "~nobody-here/x"))
    )
    settings, _ = resolve(spec, Path("/base"), {})
    assert [str(each.source) for each in settings.contents] == [
        f"{tmp_path}/site", str(tmp_path), "/base/~", "/base/~nobody-here/x",
    ]  # fmt: skip


def test_what_is_wrong_is_told_once_whatever_the_volumes() -> None:
    finding = Finding("a", "error", "source", "wrong", "mend it")
    at = {b"": "root", b"data": "data"}
    for entries in ([], [directory(b"data/x", mtime_ns=0), directory(b"x", mtime_ns=0)]):
        shares = split(Part(entries=entries, findings=(finding,)), at)
        assert [share.findings for share in shares.values() if share.findings] == [(finding,)]
