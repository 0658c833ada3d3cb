"""What a manifest takes from FAT, against the clusters that are free after mtools wrote it."""

from __future__ import annotations

import random
import re
import stat
from pathlib import Path

import pytest

from engine.filesystems.fat.geometry import MAX_FILE_BYTES, geometry, mkfs_argv
from engine.filesystems.fat.measure import measure, name_slots
from engine.manifest.entry import Entry, order
from engine.manifest.manifest import Manifest
from tests.support.tools import run_tool

MIB = 1 << 20
SIZE = 40 * MIB


def entry(
    path: bytes, mode: int = stat.S_IFREG | 0o644, *, size: int = 0, uid: int = 0, rdev: int = 0
) -> Entry:
    return Entry(path, mode, size=size, uid=uid, rdev=rdev)


def manifest(*entries: Entry) -> Manifest:
    root = entry(b"", stat.S_IFDIR | 0o755)
    return Manifest(sorted((root, *entries), key=lambda one: order(one.path)))


def random_tree(draw: random.Random) -> list[Entry]:
    words = ["LOADER", "loader", "Loader", "a long name with blanks", "x" * 40, "BOOTX64.EFI",
             "vmlinuz-6.1.0", "README.TXT", "readme.txt", "a.b.c", "entry-0001.conf"]  # fmt: skip
    folders = [b""]
    found: dict[bytes, Entry] = {}
    for index in range(draw.randint(1, 120)):
        name = f"{draw.choice(words)}"
        name = name if draw.random() < 0.3 else f"{index:03d}{name}"
        parent = draw.choice(folders)
        path = (parent + b"/" if parent else b"") + name.encode()
        if any(known.upper() == path.upper() for known in found):
            continue
        if draw.random() < 0.15:
            found[path] = entry(path, stat.S_IFDIR | 0o755)
            folders.append(path)
        else:
            size = draw.choice([0, 1, 511, 512, 513, draw.randint(0, 60_000)])
            found[path] = entry(path, size=size)
    return list(found.values())


def write(image: Path, entries: list[Entry], scratch: Path) -> int:
    """Writes entries with mtools and returns the bytes that mdir then calls free."""
    drive = ("-i", f"{image}@@{MIB}")
    for one in sorted(entries, key=lambda each: order(each.path)):
        target = "::/" + one.path.decode()
        if one.is_directory:
            run_tool(("mmd", *drive, target), check=True)
        else:
            scratch.write_bytes(b"x" * one.size)
            run_tool(("mcopy", *drive, scratch, target), check=True)
    listing = run_tool(("mdir", *drive, "::/"), check=True, capture_output=True, text=True)
    match = re.search(r"([\d ]+) bytes free", listing.stdout)
    assert match is not None
    return int(match[1].replace(" ", ""))


@pytest.mark.parametrize("seed", range(5))
def test_takes_what_mtools_takes(seed: int, tmp_path: Path) -> None:
    entries = random_tree(random.Random(seed))
    image = tmp_path / "image"
    with image.open("wb") as made:
        made.truncate(SIZE + 2 * MIB)
    layout = geometry(SIZE)
    run_tool(mkfs_argv(layout, str(image), MIB, "ESP"), check=True, capture_output=True)
    free = write(image, entries, tmp_path / "scratch")
    taken = measure(manifest(*entries)).clusters(layout)
    assert (layout.clusters - taken) * layout.cluster_size == free


def test_every_other_name_can_be_written(tmp_path: Path) -> None:
    names = ("CONx", "nul.txt", "linux-6.1~rc1.efi", "-dash", "~x", "a+b", " lead", "a;b", "$HOME",
             ".hidden", "it's", "%41", "{x}", "a,b", "x@@y", "longname1.txt", "longname2.txt",
             "é.txt", "日本", "Ω", "ß", "Àb", "ÀBCDEFGHI", "a]",
             "@@1", "!", "#", "grub.cfg~", "..x")  # fmt: skip
    folder = entry(b"-a folder;~", stat.S_IFDIR | 0o755)
    inside = [entry(b"-a folder;~/" + name.encode(), size=9) for name in names]
    entries = [folder, *inside, *(entry(name.encode(), size=9) for name in names)]
    assert measure(manifest(*entries)).unholdable == ()
    image, whole = tmp_path / "image", tmp_path / "whole"
    for path, before in ((image, MIB), (whole, 0)):
        with path.open("wb") as made:
            made.truncate(before + SIZE)
    layout = geometry(SIZE)
    run_tool(mkfs_argv(layout, str(image), MIB, "ESP"), check=True, capture_output=True)
    write(image, entries, tmp_path / "scratch")
    whole.write_bytes(image.read_bytes()[MIB:])
    run_tool(("fsck.fat", "-n", whole), check=True, capture_output=True)


@pytest.mark.parametrize(
    ("name", "slots"),
    [
        ("EFI", 1),
        ("BOOTX64.EFI", 1),
        ("readme.txt", 1),
        ("Readme.txt", 2),
        ("loader.conf", 2),
        ("a.b.c", 2),
        ("thirteenchars", 2),
        ("fourteen chars", 3),
        ("\U0001f4be.txt", 2),
    ],
)
def test_name_slots(name: str, slots: int) -> None:
    assert name_slots(name) == slots


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Entry(b"l", stat.S_IFLNK | 0o777, target=b"x", size=1), "symbolic links"),
        (entry(b"d", stat.S_IFCHR | 0o600, rdev=1), "devices"),
        (entry(b"big", size=MAX_FILE_BYTES + 1), str(MAX_FILE_BYTES)),
        (entry(b"\xff"), "UTF-8"),
        (entry(b"a:b"), "control characters"),
        (entry(b"dot."), "dot or a blank"),
        (entry(b"x" * 256), "255"),
        (entry(b"Nul"), "DOS device"),
        (entry(b"COM7"), "DOS device"),
        (entry(b"[a]"), "pattern"),
        (entry(b"longna~1.txt"), "gives to long names"),
        (entry(b"linux-6~rc1.efi"), "8th character"),
        (entry(b"a.bc defg~1.x"), "8th character"),
        (entry("ÀB".encode()), "code page"),
        (entry("ÿ.txt".encode()), "code page"),
        (entry("\U0001f4be".encode()), "U+FFFF"),
    ],
)
def test_what_fat_cannot_hold(bad: Entry, reason: str) -> None:
    (found,) = measure(manifest(bad)).unholdable
    assert found.entry is bad
    assert reason in found.reason


def test_names_that_differ_in_case_only() -> None:
    (found,) = measure(manifest(entry(b"EFI"), entry(b"efi"))).unholdable
    assert "only the case differs" in found.reason


def test_counts_what_fat_leaves_out() -> None:
    owned, plain = entry(b"a", uid=5), entry(b"b")
    assert measure(manifest(owned, plain)).stripped == 1
