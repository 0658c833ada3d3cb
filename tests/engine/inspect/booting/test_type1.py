"""Type 1 entries and the order in which systemd-boot shows them."""

from __future__ import annotations

import pytest

from engine.inspect.booting.entry import BootEntry
from engine.inspect.booting.systemd import chosen, in_order
from engine.inspect.booting.type1 import Listed, counted, parse

TEXT = (
    "# title wrong\n"
    "title    Some System \t\n"
    "\tversion\t6.1-9\n"
    "linux /a/linux\r\n"
    "initrd /a/microcode\n"
    "initrd\t/a/initrd\n"
    'options "root=LABEL=a b"\n'
    "options quiet\n"
    "sort-key\n"
    "title Some Other\n"
)


def test_keys_and_values_are_split_at_blanks_and_tabs() -> None:
    assert parse(TEXT) == {
        "title": ("Some System", "Some Other"),
        "version": ("6.1-9",),
        "linux": ("/a/linux",),
        "initrd": ("/a/microcode", "/a/initrd"),
        "options": ("root=LABEL=a b", "quiet"),
    }


@pytest.mark.parametrize(
    ("name", "identifier", "tries"),
    [
        ("Fedora-6.1.conf", "fedora-6.1.conf", -1), ("a+3.conf", "a.conf", 3),
        ("a+3-1.conf", "a.conf", 3), ("a+0-3.efi", "a.efi", 0), ("a+b.conf", "a+b.conf", -1),
        ("a+1+2.conf", "a+1.conf", 2), ("+3.conf", "+3.conf", -1), ("a+3-.conf", "a+3-.conf", -1),
    ],
)  # fmt: skip
def test_counters_are_no_part_of_an_entrys_name(name: str, identifier: str, tries: int) -> None:
    assert counted(name) == (identifier, tries)


def listed(name: str, sort_key: str = "", version: str = "", machine: str = "") -> Listed:
    identifier, tries = counted(name)
    entry = BootEntry(kind="type1", where=name, title=name)
    return Listed(
        entry=entry, identifier=identifier, sort_key=sort_key, version=version,
        machine_id=machine, tries_left=tries,
    )  # fmt: skip


def names(found: list[Listed]) -> list[str]:
    return [each.entry.where for each in found]


def test_the_order_is_that_of_the_specification() -> None:
    ordered = [
        listed("x-10.conf", "a", "6.10", "m1"),
        listed("x-9.conf", "a", "6.9", "m1"),
        listed("y.conf", "a", "6.99", "m2"),
        listed("b-2.conf", "b", "1"),
        listed("b-1.conf", "b", "1"),
        listed("z-6.10.conf", version="1"),
        listed("z-6.9.conf", version="2"),
        listed("tried+2-1.conf"),
        listed("bad+0-3.conf", "a", "7"),
    ]
    # By name alone, "z" is above "tried": names sort downwards.
    assert names(in_order(ordered[::-1])) == names(ordered)


def test_more_tries_left_come_first() -> None:
    found = in_order([listed("a+1.conf", "k"), listed("a+3.conf", "k"), listed("a+2.conf", "k")])
    assert names(found) == ["a+3.conf", "a+2.conf", "a+1.conf"]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("debian-*", "Debian-6.1+3.conf"), ("debian-6.1.conf", "Debian-6.1+3.conf"),
        ("*.efi", "b.efi"), ("?.EFI", "b.efi"), ("[ab].efi", "b.efi"), ("none", None), ("", None),
    ],
)  # fmt: skip
def test_a_default_is_a_glob_over_names(pattern: str, name: str | None) -> None:
    found = chosen([listed("Debian-6.1+3.conf"), listed("b.efi")], pattern)
    assert (found and found.entry.where) == name
