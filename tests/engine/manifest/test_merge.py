"""Several sources become one tree, or say where they are in each other's way."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.engine.manifest.support import codes, content, data, make, manifest, paths, scanned


def test_parents_are_made_for_a_file(tmp_path: Path) -> None:
    make(tmp_path, ["motd"])
    entries = manifest(content(tmp_path / "motd", b"/etc/deep/motd"), source_date_epoch=7)
    assert paths(entries) == ["etc", "etc/deep", "etc/deep/motd"]
    for made in (b"", b"etc", b"etc/deep"):
        entry = entries.get(made)
        assert entry is not None
        assert (entry.mode, entry.uid, entry.gid) == (stat.S_IFDIR | 0o755, 0, 0)
        assert entry.mtime_ns == 7_000_000_000


def test_nothing_at_all_is_an_empty_root() -> None:
    found = scanned()
    assert [entry.path for entry in found.volumes["root"]] == [b""]
    assert [entry.path for entry in found.volumes["esp"]] == [b""]


def test_directories_merge_and_the_first_keeps_its_metadata(tmp_path: Path) -> None:
    one, two = make(tmp_path / "1", ["etc/a"]), make(tmp_path / "2", ["etc/b"])
    (one / "etc").chmod(0o700)
    entries = manifest(content(one), content(two))
    etc = entries.get(b"etc")
    assert paths(entries) == ["etc", "etc/a", "etc/b"]
    assert etc is not None
    assert etc.mode == stat.S_IFDIR | 0o700


def test_a_stated_mode_takes_precedence_where_directories_merge(tmp_path: Path) -> None:
    one, two = make(tmp_path / "1", ["etc/a"]), make(tmp_path / "2", ["b"])
    etc = manifest(content(one), content(two, b"/etc", mode="D711,F600")).get(b"etc")
    assert etc is not None
    assert etc.mode == stat.S_IFDIR | 0o711


@pytest.mark.parametrize("compat", ["none", "make-disk-image"])
def test_a_duplicate_is_refused_with_both_origins(tmp_path: Path, compat: str) -> None:
    make(tmp_path, ["one", "two"])
    contents = content(tmp_path / "one", b"/etc/x"), content(tmp_path / "two", b"/etc/x")
    found = scanned(*contents) if compat == "none" else scanned(*contents, compat="make-disk-image")
    (problem,) = found.problems
    assert (problem.code, problem.path) == ("duplicate-target", "contents[1].target")
    assert str(tmp_path / "two") in problem.message
    assert data(found.volumes["root"]) == {b"etc/x": b"one"}


@pytest.mark.parametrize(
    ("first", "second"), [("x", "x/inside"), ("x/inside", "x")], ids=["file-first", "folder-first"]
)
def test_a_file_where_a_directory_must_be_is_refused(
    tmp_path: Path, first: str, second: str
) -> None:
    one, two = make(tmp_path / "1", [first]), make(tmp_path / "2", [second, "other"])
    found = scanned(content(one), content(two))
    assert codes(found) == ["file-and-directory"]
    assert found.volumes["root"].get(b"other") is not None
    assert len(paths(found.volumes["root"])) == len(first.split("/")) + 1


def test_a_target_below_a_file_is_refused(tmp_path: Path) -> None:
    tree = make(tmp_path / "tree", ["etc"])
    make(tmp_path, ["motd"])
    found = scanned(content(tree), content(tmp_path / "motd", b"/etc/motd"))
    assert codes(found) == ["target-not-a-directory"]


@pytest.mark.parametrize("turned", [False, True])
def test_a_target_below_a_link_of_the_image_goes_where_it_leads(
    tmp_path: Path, turned: bool
) -> None:
    tree = make(tmp_path / "tree", ["usr/lib/old"])
    (tree / "lib").symlink_to("usr/lib")
    make(tmp_path, ["new"])
    contents = [content(tree), content(tmp_path / "new", b"/lib/modules/new")]
    entries = manifest(*(reversed(contents) if turned else contents))
    assert paths(entries) == [
        "lib", "usr", "usr/lib", "usr/lib/modules", "usr/lib/modules/new", "usr/lib/old",
    ]  # fmt: skip
    assert data(entries)[b"usr/lib/modules/new"] == b"new"


def test_a_folder_over_a_link_of_the_image_goes_where_it_leads(tmp_path: Path) -> None:
    tree = make(tmp_path / "tree", ["usr/lib/old"])
    (tree / "lib").symlink_to("/usr/lib")
    over = make(tmp_path / "over", ["lib/sub/new", "lib/twice", "lib64/x"])
    os.link(over / "lib/twice", over / "lib64/twice")
    entries = manifest(content(tree), content(over))
    lib = entries.get(b"lib")
    assert lib is not None
    assert lib.is_symlink
    assert data(entries)[b"usr/lib/sub/new"] == b"lib/sub/new"
    first, second = entries.get(b"lib64/twice"), entries.get(b"usr/lib/twice")
    assert first is not None
    assert second is not None
    assert (first.link_to, second.link_to) == (None, first)


@pytest.mark.parametrize("to", ["/nowhere", "loop", "../../../outside"])
def test_a_link_that_leads_nowhere_in_the_image_is_refused(tmp_path: Path, to: str) -> None:
    tree = make(tmp_path / "tree", [])
    (tree / "loop").symlink_to(to)
    make(tmp_path, ["x", "outside/"])
    found = scanned(content(tree), content(tmp_path / "x", b"/loop/x"))
    assert codes(found) == ["target-leads-nowhere"]


def test_names_of_one_inode_share_it_across_contents(tmp_path: Path) -> None:
    make(tmp_path, ["a"])
    os.link(tmp_path / "a", tmp_path / "b")
    contents = content(tmp_path / "a", b"/z/a"), content(tmp_path / "b", b"/c/b")
    entries = manifest(*contents)
    first, second = entries.get(b"c/b"), entries.get(b"z/a")
    assert first is not None
    assert second is not None
    assert (first.link_to, second.link_to) == (None, first)
    assert entries.counts.hard_links == 1
    assert data(entries) == {b"c/b": b"a", b"z/a": b"a"}


def test_names_with_different_modes_do_not_share_an_inode(tmp_path: Path) -> None:
    make(tmp_path, ["a"])
    os.link(tmp_path / "a", tmp_path / "b")
    entries = manifest(
        content(tmp_path / "a", b"/a", mode="600"), content(tmp_path / "b", b"/b")
    )  # fmt: skip
    assert entries.counts.hard_links == 0


def test_a_glob_takes_each_match_under_its_own_name(tmp_path: Path) -> None:
    make(tmp_path, ["in/a.conf", "in/b.conf", "in/c.txt", "in/d.conf/inside", "in/.e.conf"])
    entries = manifest(content(tmp_path / "in/*.conf", b"/etc"))
    assert paths(entries) == [
        "etc", "etc/a.conf", "etc/b.conf", "etc/d.conf", "etc/d.conf/inside",
    ]  # fmt: skip
    assert data(entries)[b"etc/d.conf/inside"] == b"in/d.conf/inside"


def test_only_a_star_makes_a_glob(tmp_path: Path) -> None:
    make(tmp_path, ["a?[b]"])
    assert paths(manifest(content(tmp_path / "a?[b]", b"/x"))) == ["x"]


@pytest.mark.parametrize(
    ("source", "target", "code"),
    [
        ("none", b"/x", "source-missing"),
        ("*.none", b"/x", "glob-without-match"),
        ("file", b"/", "file-as-root"),
        ("file", b"/../x", "target-climbs-out"),
        ("*/same", b"/x", "duplicate-target"),
    ],
)
def test_sources_and_targets_that_cannot_be(
    tmp_path: Path, source: str, target: bytes, code: str
) -> None:
    make(tmp_path, ["file", "1/same", "2/same"])
    found = scanned(content(tmp_path / source, target))
    assert codes(found) == [code]
    assert found.problems[0].hint


def test_exclude_patterns(tmp_path: Path) -> None:
    tree = make(
        tmp_path / "tree", ["a.o", "sub/b.o", "sub/c", "var/cache/x", "cache/y", "deep/a/b/z"]
    )
    kept = paths(manifest(content(tree, exclude=("*.o", "/cache", "var/cache/*", "deep/**/z"))))
    assert kept == ["deep", "deep/a", "deep/a/b", "sub", "sub/c", "var", "var/cache"]


def test_the_reference_refuses_a_target_that_exists(tmp_path: Path) -> None:
    tree, more = make(tmp_path / "tree", ["etc/a"]), make(tmp_path / "more", ["b"])
    contents = content(tree), content(more, b"/etc")
    assert codes(scanned(*contents)) == []
    found = scanned(*contents, compat="make-disk-image")
    assert codes(found) == ["duplicate-target"]
    assert "duplicate entry" in found.problems[0].message


def test_in_the_reference_a_glob_replaces_what_is_there(tmp_path: Path) -> None:
    make(tmp_path, ["1/x", "2/x"])
    contents = content(tmp_path / "1/*", b"/d"), content(tmp_path / "2/*", b"/d")
    found = scanned(*contents, compat="make-disk-image")
    assert codes(found) == ["replaced"]
    assert data(found.volumes["root"]) == {b"d/x": b"2/x"}
    assert codes(scanned(*contents)) == ["duplicate-target"]


def test_a_root_that_only_root_can_enter_is_warned_of(tmp_path: Path) -> None:
    tree = make(tmp_path / "tree", [])
    tree.chmod(0o700)
    assert codes(scanned(content(tree))) == ["root-directory-closed"]
