"""Names on FAT: which there are, and the short ones, as Linux' vfat driver gave them.

The short names were measured with Linux 6.1 (`mount -t vfat -o shortname=winnt,utf8=1`), which
made the same files.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.filesystems.fat.names import long_entries, parse, reason_against, shorten


def short_of(*names: str) -> list[tuple[bytes, int | None]]:
    return [(short, name.flags) for name, short in shorten(parse(name) for name in names)]


@pytest.mark.parametrize(
    ("name", "short", "flags"),
    [
        ("EFI", b"EFI        ", 0x00),
        ("BOOTX64.EFI", b"BOOTX64 EFI", 0x00),
        ("readme.txt", b"README  TXT", 0x18),
        ("README.txt", b"README  TXT", 0x10),
        ("readme.TXT", b"README  TXT", 0x08),
        ("123.4", b"123     4  ", 0x00),
        ("Readme.txt", b"README  TXT", None),
        ("loader.conf", b"LOADER~1CON", None),
        ("a.b.c", b"AB~1    C  ", None),
        (".profile", b"PROFIL~1   ", None),
        ("..x", b"X~1        ", None),
        ("[a]", b"_A_~1      ", None),
        ("a+b,c;d=e", b"A_B_C_~1   ", None),
        (" lead", b"LEAD~1     ", None),
        ("a b", b"AB~1       ", None),
        ("CON", b"CON        ", 0x00),
        ("é.txt", b"\x90       TXT", None),
        ("ÿ", b"\x98          ", None),
        ("ß", b"\xe1          ", None),
        ("\u03c3", b"\xe4          ", None),
        ("日本", b"__~1       ", None),
        ("\U0001f4be.txt", b"__~1    TXT", None),
        ("1234567\U0001f4be.txt", b"123456~1TXT", None),
        ("linux-6~rc1.efi", b"LINUX-~1EFI", None),
        ("a\x7f", b"A_~1       ", None),
    ],
)
def test_short_names(name: str, short: bytes, flags: int | None) -> None:
    assert short_of(name) == [(short, flags)]


def test_tails_count_to_nine_and_then_take_digits_of_the_name() -> None:
    names = [f"a long name {at}.conf" for at in range(12)]
    found = [short for short, _ in short_of(*names)]
    assert found[:9] == [b"ALONGN~%dCON" % at for at in range(1, 10)]
    assert all(short[:2] == b"AL" and short[6:7] == b"~" for short in found[9:])
    assert len(set(found)) == 12
    assert found == [short for short, _ in short_of(*names)]


def test_a_name_that_is_short_keeps_it_whatever_comes_before() -> None:
    assert short_of("longname1.txt", "longname2.txt", "longna~1.txt") == [
        (b"LONGNA~2TXT", None), (b"LONGNA~3TXT", None), (b"LONGNA~1TXT", 0x18),
    ]  # fmt: skip


@given(st.lists(st.text("aAbB1~. é日", min_size=1, max_size=12), max_size=60))
def test_short_names_are_unique(names: list[str]) -> None:
    held = {name.upper(): name for name in names if not reason_against(name.encode())}
    shorts = [short for short, _ in short_of(*held.values())]
    assert len(set(shorts)) == len(shorts)
    assert all(len(short) == 11 and short == short.upper() for short in shorts)


@given(st.text(min_size=1, max_size=255).filter(lambda name: "\0" not in name))
def test_a_long_name_comes_back_from_its_entries(text: str) -> None:
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        return
    if reason_against(raw):
        return
    name = parse(text)
    ((_, short),) = shorten([name])
    entries = list(long_entries(name, short))
    assert len(entries) + 1 == name.entries
    if entries:
        units = b"".join(one[1:11] + one[14:26] + one[28:32] for one in reversed(entries))
        assert units.decode("utf-16-le").partition("\0")[0] == text
        assert [one[0] & 0x3F for one in entries] == list(range(len(entries), 0, -1))
        assert entries[0][0] & 0x40
    else:
        stem, extension = short[:8].decode("cp437").rstrip(), short[8:].decode("cp437").rstrip()
        assert text.upper() == stem + ("." + extension if extension else "")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\xff", "UTF-8"), (b"a:b", "control characters"), (b"a\x1f", "control characters"),
        (b"dot.", "dot or a blank"), (b"blank ", "dot or a blank"), (b"...", "dot or a blank"),
        (b"x" * 256, "255"), ("\U0001f4be".encode() * 128, "255"),
        (b"x" * 255, ""), ("\U0001f4be".encode() * 127, ""), (b"[a]", ""), (b"CON", ""),
        (b"a\x7f", ""), (b" a", ""),
    ],
)  # fmt: skip
def test_what_may_be_a_name(raw: bytes, reason: str) -> None:
    found = reason_against(raw)
    assert (reason in found) if reason else not found
