"""Owners, times, progress, cancellation and the cache."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from engine.manifest import progress
from engine.manifest.scan import ScanCache, ScanCancelled, scan
from tests.engine.manifest.support import codes, content, make, manifest, scanned, settings

PASSWD = "root:x:0:0::/:/bin/sh\nalice:x:1000:100::/home/alice:/bin/sh\n"
GROUP = "root:x:0:\nusers:x:100:\n"


def _accounts(tree: Path) -> Path:
    make(tree, ["etc/", "usr/"])
    (tree / "etc/passwd").write_text(PASSWD)
    (tree / "etc/group").write_text(GROUP)
    return tree


def test_names_are_looked_up_in_the_image(tmp_path: Path) -> None:
    tree, home = _accounts(tmp_path / "tree"), make(tmp_path / "home", ["a", "b"])
    os.link(home / "a", home / "c")
    entries = manifest(content(home, b"/home/alice", user="alice", group="users"), content(tree))
    owners = {entry.path: (entry.uid, entry.gid) for entry in entries}
    assert owners[b"home/alice"] == owners[b"home/alice/c"] == (1000, 100)
    assert owners[b"home"] == owners[b"etc/passwd"] == (0, 0)
    link = entries.get(b"home/alice/c")
    assert link is not None
    assert link.link_to is entries.get(b"home/alice/a")


def test_a_table_behind_a_link_of_the_image_is_read(tmp_path: Path) -> None:
    tree = _accounts(tmp_path / "tree")
    (tree / "etc").rename(tree / "static")
    (tree / "etc").symlink_to("/static")
    make(tmp_path, ["x"])
    entry = manifest(content(tree), content(tmp_path / "x", b"/x", user="alice", group="0")).get(
        b"x"
    )
    assert entry is not None
    assert (entry.uid, entry.gid) == (1000, 0)


def test_numbers_need_no_table(tmp_path: Path) -> None:
    make(tmp_path, ["x"])
    entry = manifest(content(tmp_path / "x", b"/x", user="5", group="4294967294")).get(b"x")
    assert entry is not None
    assert (entry.uid, entry.gid) == (5, 4294967294)


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    tree = _accounts(tmp_path / "tree")
    make(tmp_path, ["x"])
    found = scanned(content(tree), content(tmp_path / "x", b"/x", user="bob", group="nobody"))
    assert codes(found) == ["unknown-user", "unknown-group"]
    assert [problem.path for problem in found.problems] == ["contents[1].user", "contents[1].group"]
    assert "'bob'" in found.problems[0].message


def test_a_name_without_a_table_is_refused(tmp_path: Path) -> None:
    make(tmp_path, ["x"])
    found = scanned(content(tmp_path / "x", b"/x", user="bob", group="0"))
    assert codes(found) == ["unknown-user"]
    assert "/etc/passwd is not there" in found.problems[0].message


def test_the_reference_gives_the_whole_target_to_the_owner(tmp_path: Path) -> None:
    tree, home = _accounts(tmp_path / "tree"), make(tmp_path / "home", ["a"])
    make(tmp_path, ["later"])
    contents = (
        content(tree),
        content(home, b"/home/alice", user="alice", group="users"),
        content(tmp_path / "later", b"/home/alice/later"),
    )
    later = manifest(*contents, compat="make-disk-image").get(b"home/alice/later")
    assert later is not None
    assert (later.uid, later.gid) == (1000, 100)
    ours = manifest(*contents).get(b"home/alice/later")
    assert ours is not None
    assert (ours.uid, ours.gid) == (0, 0)


@pytest.mark.parametrize(
    ("compat", "mode", "folder", "file"),
    [
        ("none", "644", 0o755, 0o644),
        ("make-disk-image", "644", 0o644, 0o644),
        ("none", "D750,F640", 0o750, 0o640),
        ("none", "u+w,go=", 0o700, 0o600),
    ],
)
def test_modes(tmp_path: Path, compat: str, mode: str, folder: int, file: int) -> None:
    tree = make(tmp_path / "tree", ["sub/x"])
    (tree / "sub/link").symlink_to("x")
    one = content(tree, b"/t", mode=mode)
    entries = manifest(one) if compat == "none" else manifest(one, compat="make-disk-image")
    modes = {entry.path: entry.mode for entry in entries}
    assert modes[b"t/sub"] == stat.S_IFDIR | folder
    assert modes[b"t/sub/x"] == stat.S_IFREG | file
    assert modes[b"t/sub/link"] == stat.S_IFLNK | 0o777


def test_a_bad_mode_is_refused(tmp_path: Path) -> None:
    found = scanned(content(make(tmp_path / "tree", []), mode="9z"))
    assert [(problem.code, problem.path) for problem in found.problems] == [
        ("bad-mode", "contents[0].mode")
    ]


def test_times_are_kept_unless_they_are_clamped(tmp_path: Path) -> None:
    tree = make(tmp_path / "tree", ["old", "new"])
    os.utime(tree / "old", ns=(5, 123_456_789))
    os.utime(tree / "new", ns=(5, 9_000_000_001))
    kept = manifest(content(tree), source_date_epoch=9)
    clamped = manifest(content(tree), source_date_epoch=9, clamp_times=True)
    times = [
        [entry.mtime_ns for entry in each if entry.is_regular] for each in (kept, clamped)
    ]  # fmt: skip
    assert times == [[9_000_000_001, 123_456_789], [9_000_000_000, 123_456_789]]


def test_contents_for_the_esp_go_there(tmp_path: Path) -> None:
    make(tmp_path, ["loader.conf"])
    found = scanned(content(tmp_path / "loader.conf", b"/loader/loader.conf", volume="esp"))
    assert [entry.path for entry in found.volumes["esp"]] == [b"", b"loader", b"loader/loader.conf"]
    assert [entry.path for entry in found.volumes["root"]] == [b""]


def test_counts_tell_what_each_entry_brings(tmp_path: Path) -> None:
    tree = make(tmp_path / "tree", ["12345", "sub/1234567"])
    os.link(tree / "12345", tree / "again")
    found = scanned(content(tree), content(tmp_path / "none", b"/x"))
    assert (found.counts[0].entries, found.counts[0].bytes) == (5, 5 + len("sub/1234567"))
    assert (found.counts[1].entries, found.counts[1].bytes) == (0, 0)


def test_unchanged_contents_give_the_same_manifest(tmp_path: Path) -> None:
    one, two = make(tmp_path / "1", ["a"]), make(tmp_path / "2", ["b"])
    cache = ScanCache()
    before = scan(settings(content(one), content(two, b"/two")), cache=cache)
    again = scan(settings(content(one), content(two, b"/two")), cache=cache)
    moved = scan(settings(content(one), content(two, b"/moved")), cache=cache)
    assert again.volumes["root"] is before.volumes["root"]
    assert again.volumes["esp"] is moved.volumes["esp"] is before.volumes["esp"]
    assert moved.volumes["root"].get(b"moved/b") is not None
    assert moved.volumes["root"].get(b"a") is before.volumes["root"].get(b"a")
    (one / "later").write_text("")
    assert scan(settings(content(one)), cache=cache).volumes["root"].get(b"later") is None
    assert scan(settings(content(one)), cache=ScanCache()).volumes["root"].get(b"later") is not None


def test_a_later_merge_leaves_an_earlier_manifest_alone(tmp_path: Path) -> None:
    tree = _accounts(tmp_path / "tree")
    make(tmp_path, ["x"])
    os.link(tmp_path / "x", tmp_path / "aa")
    cache = ScanCache()
    plain = scan(settings(content(tmp_path / "x", b"/x")), cache=cache).volumes["root"]
    scan(
        settings(content(tmp_path / "x", b"/x"), content(tmp_path / "aa", b"/aa"), content(tree)),
        cache=cache,
    )
    x = plain.get(b"x")
    assert x is not None
    assert x.link_to is None


def test_progress_is_told_and_the_last_is_the_total(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_INTERVAL", 0)
    tree = make(tmp_path / "tree", [f"{n}/file" for n in range(20)])
    seen: list[tuple[int, int]] = []
    found = scan(settings(content(tree)), progress=lambda *at: seen.append(at))
    assert len(seen) > 20
    assert seen == sorted(seen)
    assert seen[-1] == (len(found.volumes["root"]), found.counts[0].bytes)


def test_a_scan_can_be_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_INTERVAL", 0)
    tree = make(tmp_path / "tree", ["a/b"])
    with pytest.raises(ScanCancelled):
        scan(settings(content(tree)), cancelled=lambda: True)


def test_many_problems_of_a_kind_are_summed_up(tmp_path: Path) -> None:
    one, two = make(tmp_path / "1", [f"{n}" for n in range(50)]), tmp_path / "2"
    make(two, [f"{n}" for n in range(50)])
    found = scanned(content(one), content(two))
    assert set(codes(found)) == {"duplicate-target"}
    assert len(found.problems) == 21
    assert found.problems[-1].message == "and 30 more like these"


def test_what_the_reference_loses_is_kept_and_said(tmp_path: Path) -> None:
    tree = make(tmp_path / "tree", [".profile", "etc/.pwd.lock"])
    found = scanned(content(tree), compat="make-disk-image")
    (problem,) = found.problems
    assert (problem.code, problem.severity) == ("dotfiles-kept", "warning")
    assert "/.profile" in problem.message
    assert found.volumes["root"].get(b".profile") is not None
    assert codes(scanned(content(tree))) == []
