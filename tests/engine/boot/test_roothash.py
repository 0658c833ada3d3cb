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

from engine.boot import judged, roothash
from engine.boot.cmdline import completed, finding
from engine.boot.cpio import newc
from engine.boot.initrdfiles import Unreadable, files, held
from engine.boot.menu import MenuEntry
from engine.boot.sources import composed
from engine.manifest.entry import Entry
from engine.manifest.lookup import read
from engine.manifest.manifest import Manifest
from engine.manifest.memory import directory, file_of
from engine.problem import Problem
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
    assert [name.decode() for name, _ in files(initrd)] == [*early, *late]


@pytest.mark.parametrize("bad", [b"\x02\x21\x4c\x18abcd", b"070701zz" + b"z" * 200, b"ELF?"])
def test_what_is_no_initrd_is_not_guessed_at(bad: bytes) -> None:
    with pytest.raises(Unreadable):
        list(files(bad))
    assert held([file_of(b"initrd", bad, mtime_ns=0)]) is None


def test_a_cut_archive_is_unreadable() -> None:
    whole = archive("a", "b" * 300)
    for end in (50, 111, len(whole) - 130):
        with pytest.raises(Unreadable):
            list(files(whole[:end]))
    packed = gzip.compress(whole)
    for end in (12, len(packed) // 2, len(packed) - 20):
        with pytest.raises(Unreadable):
            list(files(packed[:end]))


def initrd_of(*names: str, builtin: str = "") -> Entry:
    entries = [(name, 0o100644, name.encode() * 40) for name in names]
    if builtin:
        entries.append(("usr/lib/modules/6.1/modules.builtin", 0o100644, builtin.encode()))
    return file_of(b"initrd", gzip.compress(newc(entries)), mtime_ns=0)


@pytest.mark.parametrize(
    ("names", "able"),
    [
        (("usr/lib/systemd/systemd", GENERATOR), True),
        (("nix/store/x-systemd/lib/systemd/systemd", f"nix/store/x-{GENERATOR}"), True),
        (("usr/lib/systemd/systemd", "usr/sbin/dmsetup"), False),
        (("init", "sbin/veritysetup"), True),
        (("init", "sbin/dmsetup"), True),
        (("init", "etc/veritysetup.conf"), False),
        # initramfs-tools has folders of this name, for udev, and no systemd.
        (("init", "etc/systemd", "usr/lib/systemd/systemd-udevd", "sbin/veritysetup"), True),
        (("init", "etc/systemd", "usr/lib/systemd/systemd-udevd"), False),
    ],
)
def test_what_opens_a_hash_tree(names: tuple[str, ...], *, able: bool) -> None:
    for initrds in ([initrd_of(*names)], [initrd_of("early"), initrd_of(*names)]):
        found = held(initrds)
        assert found is not None
        assert found.opens_hash_trees() is able


@pytest.mark.parametrize("name", ["squash-root.img", "squashfs-root.img", "erofs-root.img"])
def test_what_is_packed_once_more_is_not_judged(name: str) -> None:
    assert held([initrd_of("init", "squash/setup-squash.sh", name)]) is None


@pytest.mark.parametrize(
    ("names", "builtin", "lacking"),
    [
        ((), "kernel/fs/ext4/ext4.ko", ("dm_verity", "erofs")),
        (("lib/modules/6.1/kernel/drivers/md/dm-verity.ko.zst",), "x.ko", ("erofs",)),
        (("lib/modules/6.1/kernel/fs/erofs/erofs.ko",), "kernel/drivers/md/dm-verity.ko", ()),
        (("etc/modules-load.d/erofs",), "kernel/drivers/md/dm-verity.ko", ("erofs",)),
        # Nothing says what is part of the kernel.
        (("lib/modules/6.1/kernel/drivers/md/dm-verity.ko",), "", ()),
    ],
)
def test_modules_that_are_lacking(
    names: tuple[str, ...], builtin: str, lacking: tuple[str, ...]
) -> None:
    found = held([initrd_of(*names, builtin=builtin)])
    assert found is not None
    assert found.lacks(("dm_verity", "erofs")) == lacking


def test_an_initrd_made_for_another_machine_is_told_while_planning(tmp_path: Path) -> None:
    """systemd and its generator alone do not read a root: the kernel needs its modules."""
    names = ("usr/lib/systemd/systemd", GENERATOR)
    found = sealed_with(tmp_path, initrd_of(*names, builtin="kernel/fs/ext4/ext4.ko"))
    assert [one.code for one in found] == ["initrd-without-module"]
    assert found[0].message == (
        "/boot/initrd.img has no module dm_verity and no module erofs, which the kernel needs to "
        "read what has a hash tree and does not have built in; the image does not boot"
    )
    whole = (*names, "lib/modules/6.1/dm-verity.ko", "lib/modules/6.1/erofs.ko.xz")
    assert not sealed_with(tmp_path, initrd_of(*whole, builtin="kernel/fs/ext4/ext4.ko"))
    assert [one.code for one in sealed_with(tmp_path, initrd_of("init"))] == [
        "initrd-without-verity"
    ]


def sealed_with(base: Path, initrd: Entry) -> list[Problem]:
    settings, _ = resolve(loads(SPEC.format(format="erofs") + TREE), base, {})
    options = " ".join(completed([], finding(settings)))
    kernel = file_of(b"boot/vmlinuz", b"kernel", mtime_ns=0)
    initrd.path = b"boot/initrd.img"
    entry = MenuEntry(
        title="Some", version="", kernel=kernel, initrds=(initrd,), options=options, origin="given"
    )
    return list(judged.sealed(settings, entry))
