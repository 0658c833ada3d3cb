"""Problems name the line of the file that they are in."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomlkit
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from engine.planning import plan_spec
from engine.problem import Refused
from engine.spec.lines import key_lines, line_of
from engine.spec.load import load

TEXT = '''\
schema = 1  # [boot]
name = "x = 1"

[boot] # a comment
cmdline = """
timeout = 5
[size]
"""
timeout = 0
"expect" = 'a'
layout.table = "efi"

[[contents]]
source = "a"
target = "/"
exclude = [
  "x", # ]
  "timeout = 3",
]
[[contents]]
source = "b"
[contents.more]
key = { a = 1, b = [2] }
[[contents]]
mode = "9"
'''


def test_where_keys_stand() -> None:
    assert key_lines(TEXT) == {
        "schema": 1, "name": 2, "boot": 4, "boot.cmdline": 5, "boot.timeout": 9,
        "boot.expect": 10, "boot.layout.table": 11, "contents[0]": 13, "contents[0].source": 14,
        "contents[0].target": 15, "contents[0].exclude": 16, "contents[1]": 20,
        "contents[1].source": 21, "contents[1].more": 22, "contents[1].more.key": 23,
        "contents[2]": 24, "contents[2].mode": 25,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("contents[2].source", 24),
        ("contents[0].exclude[1]", 16),
        ("boot.prove", 4),
        ("size.disk", None),
        ("", None),
    ],
)
def test_a_key_that_is_not_there_counts_as_what_it_is_part_of(path: str, line: int | None) -> None:
    assert line_of(key_lines(TEXT), path) == line


@profile(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=6))
def test_no_value_is_taken_for_a_key(values: list[str]) -> None:
    document = tomlkit.document()
    for number, value in enumerate(values):
        multiline = number % 2 == 1 and "\r" not in value
        document[f"k{number}"] = tomlkit.string(value, multiline=multiline)
    text = tomlkit.dumps(document)
    found = key_lines(text)
    assert list(found) == [f"k{number}" for number in range(len(values))]
    lines = text.split("\n")
    assert all(lines[line - 1].startswith(f"{key} = ") for key, line in found.items())


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        ("[boot]\n\ntimeout = 0\n", ":3: boot.timeout: ", ""),
        ("[boot]\ntimeuot = 0\n", ":2: boot.timeuot: ", ""),
        ("\n[lay]\n", ":2: lay: ", ""),
        ('[[contents]]\nsource = "a"\ntarget = "b"\n', ":3: contents[0].target: ", ""),
        ('[layout]\nlabel = "a\n', ":2: ", ""),
        (
            '[[contents]]\nsource = "a"\ntarget = "/"\nmode = 0644 # all\n',
            ":4: ", '(octal needs quotes: mode = "0644")',
        ),
    ],
)  # fmt: skip
def test_problems_begin_with_file_and_line(
    tmp_path: Path, text: str, begins: str, ends: str
) -> None:
    spec = tmp_path / "bad.toml"
    spec.write_text(text)
    try:
        loaded = load(spec)
    except Refused as refused:
        found = refused.problems
    else:
        found = loaded.locate(plan_spec(loaded.spec, base=loaded.base).problems)
    (line,) = [one.line() for one in found if begins in one.line()]
    assert line.startswith(f"{spec}{begins}")
    assert line.endswith(ends)
