"""A tree's place in a store, against the real nix."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.manifest.folder import FolderSource
from engine.nix.channel import channel
from engine.nix.closure import parse
from engine.nix.files import entries_of
from engine.nix.nar import add, base32
from tests.support.nixos import Lab


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "lib" / "deep").mkdir(parents=True)
    (tree / "a b").write_bytes(b"")
    (tree / "lib.nix").write_bytes(b"12345678")
    (tree / "lib" / "run").write_bytes(bytes(range(256)) * 9000)
    (tree / "lib" / "run").chmod(0o700)
    (tree / "lib" / "deep" / "link").symlink_to("../run")
    os.link(tree / "lib.nix", tree / "lib" / "same")
    with (tree / "hole").open("wb") as hole:
        hole.truncate(1 << 21)
    return tree


def test_a_tree_gets_the_path_and_hash_that_nix_gives_it(tree: Path, lab: Lab) -> None:
    said = lab.nix("nix-store", "--store", str(lab.folder), "--add", str(tree))
    info = lab.nix("nix", "path-info", "--store", str(lab.folder), "--json", said)
    (theirs,) = parse(info.encode())
    folder = os.fsencode(tree)

    ours = add(entries_of(FolderSource(folder), folder, b""), "tree")

    assert ours == theirs


def test_base_32_is_that_of_nix(lab: Lab) -> None:
    data = bytes(range(1, 33))

    assert base32(data) == lab.nix("nix", "hash", "to-base32", "--type", "sha256", data.hex())


def test_a_channel_is_the_tree_without_what_is_no_source(tree: Path, lab: Lab) -> None:
    (tree / ".version").write_text("25.05\n")
    (tree / ".git").mkdir()
    (tree / ".git" / "HEAD").write_text("ref\n")
    (tree / "result").symlink_to("/nix/store/x")
    (tree / "notes~").write_text("old\n")

    path, entries = channel(str(tree), b"nix/store")

    assert path.name == "nixos-25.05"
    names = {entry.path.removeprefix(path.path[1:].encode()) for entry in entries}
    assert {b"", b"/nixos/lib/run", b"/nixos/nixpkgs"} <= names
    assert not {name for name in names if b".git" in name or b"result" in name or b"~" in name}
    assert {entry.mode & 0o7777 for entry in entries} == {0o444, 0o555, 0o777}
