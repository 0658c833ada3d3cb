"""Root hashes on command lines, and initrds that do something with them."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from engine.boot import roothash
from engine.boot.cmdline import completed, finding
from engine.boot.cpio import newc
from engine.boot.initrdfiles import Unreadable, opens_hash_trees, paths
from engine.boot.sources import composed
from engine.manifest.entry import Entry
from engine.manifest.lookup import read
from engine.manifest.manifest import Manifest
from engine.manifest.memory import directory, file_of
from engine.spec.load import loads
from engine.spec.resolve import resolve

HASH = "4d" * 32
SPEC = """
schema = 1
layout.table = "gpt"
[[volume]]
id = "esp"
[[volume]]
id = "root"
format = "{format}"
"""
TREE = '[[volume]]\nid = "root-verity"\nverity = "root"\n'
GENERATOR = "usr/lib/systemd/system-generators/systemd-veritysetup-generator"


def words(format_: str, more: str = "") -> list[str]:
    settings, _ = resolve(loads(SPEC.format(format=format_) + more), Path("/x"), {})
    return completed([], finding(settings))


def test_the_command_line_follows_from_the_volumes() -> None:
    uuid, *modes = words("ext4")
    assert uuid.startswith("root=UUID=")
    assert modes == ["rw"]
    assert words("erofs")[1:] == ["ro"]
    hashed = f"roothash={roothash.placeholder('root')}"
    assert words("erofs", TREE) == ["root=/dev/mapper/root", "ro", hashed]
    usr = (
        '[[volume]]\nid = "usr"\nformat = "erofs"\n[[volume]]\nid = "usr-verity"\nverity = "usr"\n'
    )
    assert words("ext4", usr)[1:] == [
        "rw", "mount.usr=/dev/mapper/usr", "mount.usrfstype=erofs", "mount.usrflags=ro",
        f"usrhash={roothash.placeholder('usr')}",
    ]  # fmt: skip


def test_a_hash_takes_the_place_that_was_kept_for_it() -> None:
    line = f"root=/dev/mapper/root roothash={roothash.placeholder('root')} quiet".encode()
    foreign = file_of(b"data", line, mtime_ns=0)
    foreign.source = None  # as if from elsewhere
    manifest = Manifest(
        [
            directory(b"", mtime_ns=0),
            file_of(b"entry.conf", line, mtime_ns=7),
            composed(b"uki.efi", [(3, line), (500, foreign)], 800, mtime_ns=9),
            file_of(b"other", b"nothing", mtime_ns=0),
        ]
    )
    found = roothash.filled(manifest, {"root": HASH})
    wanted = line.replace(roothash.placeholder("root").encode(), HASH.encode())
    assert [(one.path, one.size, one.mtime_ns) for one in found] == [
        (one.path, one.size, one.mtime_ns) for one in manifest
    ]
    assert read(found.entries[1], 999) == wanted
    assert read(found.entries[2], 999)[3 : 3 + len(wanted)] == wanted
    assert found.entries[3] is manifest.entries[3]
    assert read(manifest.entries[1], 999) == line, "the plan stays as it was"
    assert roothash.filled(manifest, {"usr": HASH}) is manifest


def archive(*names: str) -> bytes:
    return newc((name, 0o100644, name.encode() * 40) for name in names)


PACKERS = [
    bytes,
    gzip.compress,
    bz2.compress,
    lzma.compress,
    lambda data: zstandard.ZstdCompressor().compress(data),
]


@given(
    early=st.lists(st.sampled_from(["kernel/x86/microcode/A.bin", "kernel"]), unique=True),
    late=st.lists(st.text("ab/", min_size=1, max_size=200), unique=True, max_size=9),
    padding=st.integers(0, 700),
    pack=st.sampled_from(PACKERS),
)
def test_paths_are_found_through_every_form(
    early: list[str], late: list[str], padding: int, pack: object
) -> None:
    assert callable(pack)
    initrd = (archive(*early) if early else b"") + bytes(padding) + pack(archive(*late))
    assert [name.decode() for name in paths(initrd)] == [*early, *late]


@pytest.mark.parametrize("bad", [b"\x02\x21\x4c\x18abcd", b"070701zz" + b"z" * 200, b"ELF?"])
def test_what_is_no_initrd_is_not_guessed_at(bad: bytes) -> None:
    with pytest.raises(Unreadable):
        list(paths(bad))
    assert opens_hash_trees([file_of(b"initrd", bad, mtime_ns=0)]) is None


def test_a_cut_archive_is_unreadable() -> None:
    whole = archive("a", "b" * 300)
    for end in (50, 111, len(whole) - 130):
        with pytest.raises(Unreadable):
            list(paths(whole[:end]))
    packed = gzip.compress(whole)
    for end in (12, len(packed) // 2, len(packed) - 20):
        with pytest.raises(Unreadable):
            list(paths(packed[:end]))


@pytest.mark.parametrize(
    ("names", "able"),
    [
        (("usr/lib/systemd/systemd", GENERATOR), True),
        (("usr/lib/systemd/systemd", "usr/sbin/dmsetup"), False),
        (("init", "sbin/veritysetup"), True),
        (("init", "sbin/dmsetup"), True),
        (("init", "etc/veritysetup.conf"), False),
    ],
)
def test_what_opens_a_hash_tree(names: tuple[str, ...], *, able: bool) -> None:
    def initrd(*held: str) -> Entry:
        return file_of(b"initrd", gzip.compress(archive(*held)), mtime_ns=0)

    assert opens_hash_trees([initrd(*names)]) is able
    assert opens_hash_trees([initrd("early"), initrd(*names)]) is able
