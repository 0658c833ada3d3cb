"""A tree is split where volumes are mounted in it."""

from __future__ import annotations

import os
from pathlib import Path

from engine.manifest.lookup import stream
from engine.manifest.manifest import Manifest
from engine.planning import Planner
from engine.spec.load import loads

SPEC = """\
schema = 1
layout.table = "efi"
[[volume]]
id = "home"
[[volume]]
id = "music"
mount = "/home/media/music"
[[contents]]
source = "tree"
target = "/"
"""


def volumes(folder: Path, spec: str = SPEC) -> dict[str, Manifest]:
    planner = Planner(folder, {})
    resolved = planner.resolve(loads(spec))
    assert not resolved.problems
    read = planner.read(resolved.settings)
    assert not read.contents.problems
    return dict(read.contents.volumes)


def names(manifest: Manifest) -> list[str]:
    return [os.fsdecode(entry.path) for entry in manifest]


def tree(folder: Path) -> Path:
    top = folder / "tree"
    (top / "home" / "alice").mkdir(parents=True)
    (top / "home" / "media" / "music" / "old").mkdir(parents=True)
    (top / "etc").mkdir()
    (top / "etc" / "motd").write_text("hello")
    (top / "home" / "alice" / "notes").write_text("hers")
    (top / "home" / "media" / "music" / "old" / "song").write_text("la la")
    return top


def test_each_volume_has_what_lies_below_its_mount_point(tmp_path: Path) -> None:
    tree(tmp_path)
    found = volumes(tmp_path)
    assert names(found["root"]) == ["", "etc", "etc/motd", "home"]
    assert names(found["home"]) == ["", "alice", "alice/notes", "media", "media/music"]
    assert names(found["music"]) == ["", "old", "old/song"]


def test_the_data_comes_along(tmp_path: Path) -> None:
    tree(tmp_path)
    found = volumes(tmp_path)
    data = {
        os.fsdecode(entry.path): bytes(piece)
        for name in ("root", "home", "music")
        for entry, _, piece in stream(found[name])
    }
    assert data == {"etc/motd": b"hello", "alice/notes": b"hers", "old/song": b"la la"}


def test_a_mount_point_keeps_its_mode_on_both_sides(tmp_path: Path) -> None:
    (tree(tmp_path) / "home").chmod(0o711)
    found = volumes(tmp_path)
    outside, inside = found["root"].get(b"home"), found["home"].get(b"")
    assert outside is not None
    assert inside is not None
    assert outside.mode & 0o7777 == inside.mode & 0o7777 == 0o711


def test_mount_points_that_no_source_brings_are_made(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    found = volumes(tmp_path)
    assert names(found["root"]) == ["", "home"]
    assert names(found["home"]) == ["", "media", "media/music"]


def test_links_stay_links_within_a_volume_and_become_files_across(tmp_path: Path) -> None:
    top = tree(tmp_path)
    notes = top / "home" / "alice" / "notes"
    (top / "home" / "alice" / "again").hardlink_to(notes)
    (top / "etc" / "notes").hardlink_to(notes)
    found = volumes(tmp_path)
    again, first = found["home"].get(b"alice/again"), found["home"].get(b"alice/notes")
    other = found["root"].get(b"etc/notes")
    assert again is not None
    assert first is not None
    assert other is not None
    assert first.link_to is again
    assert other.link_to is None
    assert [bytes(piece) for _, _, piece in stream([other])] == [b"hers"]


def test_contents_that_name_a_volume_begin_there(tmp_path: Path) -> None:
    tree(tmp_path)
    spec = SPEC.replace('target = "/"', 'target = "/x"\nvolume = "music"')
    found = volumes(tmp_path, spec)
    assert "x/home/alice/notes" in names(found["music"])
    assert names(found["root"]) == ["", "home"]


def test_users_are_those_of_the_root(tmp_path: Path) -> None:
    top = tree(tmp_path)
    (top / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\nalice:x:1001:1002::/:/bin/sh\n")
    (top / "etc" / "group").write_text("root:x:0:\nstaff:x:1002:\n")
    (tmp_path / "letter").write_text("dear alice")
    spec = SPEC + (
        '[[contents]]\nsource = "letter"\ntarget = "/home/alice/letter"\n'
        'user = "alice"\ngroup = "staff"\n'
    )
    letter = volumes(tmp_path, spec)["home"].get(b"alice/letter")
    assert letter is not None
    assert (letter.uid, letter.gid) == (1001, 1002)
