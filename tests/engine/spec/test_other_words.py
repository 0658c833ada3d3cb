"""What people write who know another tool: the words here, the line, and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.problem import Problem, Refused
from engine.spec.load import load
from engine.spec.resolve import resolve


def problems(folder: Path, text: str) -> list[Problem]:
    path = folder / "s.toml"
    path.write_text(text)
    try:
        loaded = load(path)
        return list(loaded.locate(resolve(loaded.spec, loaded.base, {})[1]))
    except Refused as refused:
        return list(refused.problems)


HINTS = {
    'output.format = "vhd"': 'did you mean "vpc"?',
    'output.format = "img"': 'did you mean "raw"?',
    'output.compress = "gzip"': 'did you mean "gz"?',
    'layout.table = "bios"': 'did you mean "legacy"?',
    'layout.table = "MSDOS"': 'did you mean "mbr"?',
    '[[volume]]\nid = "d"\nformat = "fat32"': 'did you mean "vfat"?',
    '[[volume]]\nid = "d"\nrole = "bios_grub"': 'did you mean "bios-boot"?',
    '[[volume]]\nid = "d"\nmountpoint = "/d"': 'did you mean "mount"?',
    '[[volume]]\nid = "d"\nfs = "ext4"': 'did you mean "format"?',
    '[[contents]]\nsource = "."\ntarget = "/"\ndest = "/"': 'did you mean "target"?',
    '[[contents]]\nsource = "."\ntarget = "/"\nowner = "root"': 'did you mean "user"?',
    'boot.append = "quiet"': 'did you mean "cmdline"?',
    'tabel = "efi"': 'did you mean "layout.table"?',
    "size.disk = true": "",
    "size.disk = 2.5": 'write it with its unit: "2.5GiB"',
    "layout.label = 1.5": 'write "1.5"',
    "layout.label = true": "",
    'identity.source_date_epoch = "17"': "write 17 without quotes",
    "identity.source_date_epoch = 2024-01-01": "in seconds since 1970, that is 1704067200",
    'identity.source_date_epoch = "2024-01-01T01:00:00+01:00"':
        "in seconds since 1970, that is 1704067200",
    "identity.source_date_epoch = 00:00:01": "",
    'identity.source_date_epoch = "yesterday"': "",
    '[[volume]]\nid = "d"\nmount = "/a/../b"': 'write it as in "/home", or "" for nowhere',
}  # fmt: skip


@pytest.mark.parametrize("text", HINTS)
def test_the_hint_is_what_was_meant(text: str, tmp_path: Path) -> None:
    (found,) = problems(tmp_path, f"schema = 1\n{text}\n")
    assert found.hint == HINTS[text]


@pytest.mark.parametrize(
    ("text", "line"),
    [("\n\nschema = 9", 3), ("schema = 1\n\n[[partition]]\nid = 1\n[[partition]]\nid = 2", 3)],
)
def test_the_line_is_told_of_a_list_of_tables_and_of_the_schema(
    text: str, line: int, tmp_path: Path
) -> None:
    (found,) = problems(tmp_path, text)
    assert (found.file or "").endswith(f"s.toml:{line}")


def volumes(**after: str) -> str:
    entries = (f'[[volume]]\nid = "{name}"\nafter = "{other}"' for name, other in after.items())
    return "\n".join(("schema = 1", *entries))


@pytest.mark.parametrize(
    ("after", "messages"),
    [
        ({"a": "a"}, ['is "a", which puts a behind itself']),
        ({"a": "b", "b": "c", "c": "a", "z": "a"},
         ['is "b", which puts a behind itself, by way of b, c']),
        ({"a": "esp", "b": "a"}, []),
        ({"a": "b", "b": "a", "c": "d", "d": "c"},
         ['is "b", which puts a behind itself, by way of b',
          'is "d", which puts c behind itself, by way of d']),
    ],
)  # fmt: skip
def test_a_circle_is_told_once(after: dict[str, str], messages: list[str], tmp_path: Path) -> None:
    found = problems(tmp_path, volumes(**after))
    assert [one.message for one in found if one.code == "after-itself"] == messages


def test_what_nothing_can_mount_or_boot_is_warned_of(tmp_path: Path) -> None:
    text = (
        'schema = 1\n[[volume]]\nid = "swap"\nsize = "1MiB"\nmount = "/swap"\n'
        '[[volume]]\nid = "esp"\nformat = "ext4"\n'
    )
    found = {one.code: one for one in problems(tmp_path, text)}
    assert found["mount-without-files"].severity == "warning"
    assert found["mount-without-files"].fix is not None
    assert found["firmware-cannot-read"].severity == "warning"
