"""What a manifest takes from FAT, and what of it FAT cannot hold.

That no more and no less is taken is tested with the writer.
"""

from __future__ import annotations

import stat

import pytest

from engine.filesystems.fat.geometry import MAX_FILE_BYTES
from engine.filesystems.fat.measure import measure
from engine.filesystems.fat.names import parse
from engine.manifest.entry import Entry, order
from engine.manifest.manifest import Manifest


def entry(
    path: bytes, mode: int = stat.S_IFREG | 0o644, *, size: int = 0, uid: int = 0, rdev: int = 0
) -> Entry:
    return Entry(path, mode, size=size, uid=uid, rdev=rdev)


def manifest(*entries: Entry) -> Manifest:
    root = entry(b"", stat.S_IFDIR | 0o755)
    return Manifest(sorted((root, *entries), key=lambda one: order(one.path)))


@pytest.mark.parametrize(
    ("name", "entries"),
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
def test_entries_of_a_name(name: str, entries: int) -> None:
    assert parse(name).entries == entries


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Entry(b"l", stat.S_IFLNK | 0o777, target=b"x", size=1), "symbolic links"),
        (entry(b"d", stat.S_IFCHR | 0o600, rdev=1), "devices"),
        (entry(b"big", size=MAX_FILE_BYTES + 1), f"{MAX_FILE_BYTES:,}"),
        (entry(b"\xff"), "UTF-8"),
        (entry(b"a:b"), "control characters"),
        (entry(b"dot."), "dot or a blank"),
        (entry(b"x" * 256), "255"),
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


def test_counts_what_the_fixed_root_holds() -> None:
    need = measure(manifest(entry(b"A"), entry(b"a long name")))
    assert need.root_slots == 1 + 1 + 2


def test_a_hard_link_takes_its_first_names_size() -> None:
    first = entry(b"A", size=1000)
    second = Entry(b"B", first.mode, link_to=first)
    need = measure(manifest(first, second))
    assert (need.sizes, need.data_bytes) == (((1000, 2),), 2000)
