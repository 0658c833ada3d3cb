"""From a fleet's file to specs, and what is said of one that is wrong."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.fleet.placeholders import filled, names
from engine.fleet.read import is_fleet, read_fleet
from engine.problem import Refused
from engine.spec.load import load
from tests.engine.fleet.conftest import Yard


def wrong(yard: Yard) -> list[str]:
    return [f"{one.problem.code}: {one.line()}" for one in read_fleet(yard.fleet).wrong]


def test_rows_stand_inline_in_csv_and_in_json_lines(yard: Yard) -> None:
    row = {"serial": "b", "size.additional": "3MiB", "layout.label": "x, y"}
    yard.write("a.csv", 'serial,size.additional,layout.label\nb,3MiB,"x, y"\n')
    yard.write("a.jsonl", json.dumps(row) + "\n\n")
    specs = []
    for text in (
        'rows = "a.csv"\n',
        'rows = "a.jsonl"\n',
        '[[row]]\nserial = "b"\nsize.additional = "3MiB"\nlayout.label = "x, y"\n',
        '[[row]]\nserial = "b"\n"size.additional" = "3MiB"\n"layout.label" = "x, y"\n',
    ):
        yard.write("fleet.toml", f'base = "base.toml"\nname = "node-{{serial}}"\n{text}')
        (row_,) = read_fleet(yard.fleet).rows
        specs.append(row_.spec)

    assert all(spec == specs[0] for spec in specs)
    assert specs[0].name == "node-b"
    assert specs[0].size.additional == "3MiB"
    assert specs[0].layout.label == "x, y"
    assert specs[0].boot.cmdline == "serial=b"


def test_a_row_is_the_base_with_its_overrides(yard: Yard) -> None:
    yard.rows("1", more='"size.additional" = "2MiB"\n')
    (row,) = read_fleet(yard.fleet).rows

    overrides = ['name="node-1"', "size.additional=2MiB", "boot.cmdline=serial=1"]
    assert row.spec == load(yard.folder / "base.toml", overrides).spec
    assert row.base == yard.folder


def test_cells_of_csv_are_read_as_set_reads_them_and_empty_ones_say_nothing(yard: Yard) -> None:
    yard.write("a.csv", "serial,size.disk,layout.sector_size,layout.label\n007,64,4096,8\n8,,,\n")
    yard.write("fleet.toml", 'base = "base.toml"\nname = "{serial}"\nrows = "a.csv"\n')
    first, second = read_fleet(yard.fleet).rows

    assert (first.spec.size.disk, first.spec.layout.sector_size) == (64, 4096)
    assert (first.name, first.spec.layout.label) == ("007", "8")
    assert (second.spec.size.disk, second.spec.layout.label) == (None, None)


def test_contents_of_a_row_come_last_and_are_relative_to_the_fleet(yard: Yard) -> None:
    yard.write("specs/base.toml", (yard.folder / "base.toml").read_text())
    yard.write(
        "fleet.toml",
        'base = "specs/base.toml"\nname = "{serial}"\n[[row]]\nserial = "1"\n'
        '[[row.contents]]\nsource = "own/{serial}/"\ntarget = "/etc/{name}"\nreplace = true\n',
    )
    (row,) = read_fleet(yard.fleet).rows

    first, last = row.spec.contents
    assert first.source == "tree/"
    assert (last.source, last.target) == (f"{yard.folder}/own/1/", "/etc/1")
    assert row.base == yard.folder / "specs"


def test_a_volume_of_a_row_changes_that_of_its_id_or_is_one_more(yard: Yard) -> None:
    listed = '[[volume]]\nid = "root"\nfree = "1MiB"\nlabel = "here"\n'
    yard.write("base.toml", (yard.folder / "base.toml").read_text() + listed)
    yard.rows("1", more='[[row.volume]]\nid = "root"\nfree = "2MiB"\n[[row.volume]]\nid = "more"\n')
    (row,) = read_fleet(yard.fleet).rows

    root, more = row.spec.volume
    assert (root.id, root.free, root.label) == ("root", "2MiB", "here")
    assert more.id == "more"


def test_a_list_of_specs_is_a_fleet(yard: Yard) -> None:
    yard.write("a.toml", 'schema = 1\nname = "alpha"\n')
    yard.write("b.toml", "schema = 1\n")
    yard.write("fleet.toml", 'specs = ["a.toml", "b.toml"]\n')

    assert [row.name for row in read_fleet(yard.fleet).rows] == ["alpha", "b"]
    assert is_fleet(yard.fleet)
    assert not is_fleet(yard.folder / "a.toml")


def test_what_set_says_holds_for_every_row(yard: Yard) -> None:
    yard.rows("1", "2")
    fleet = read_fleet(yard.fleet, ["size.additional=9MiB"])

    assert {row.spec.size.additional for row in fleet.rows} == {"9MiB"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('base = "base.toml"\n', "no-rows"),
        ('bse = "base.toml"\n', 'did you mean "base"?'),
        ("size.disk = 1\n", "keys of images belong in the base spec"),
        ("rows = 1\n", "wrong-type"),
        ("row = 1\n", "wrong-type"),
        ("specs = [1]\n", "wrong-type"),
        ('name = "a"\n[[row]]\nx = 1\n', "no-base"),
        ('base = "none.toml"\n[[row]]\n', "there is no such file"),
        ('base = "base.toml"\n[[row]]\nserial = "1"\n', 'add name = "image-{serial}"'),
        ('base = "base.toml"\nrows = "none.csv"\n', "there is no such file"),
        ('base = "base.toml"\nrows = "rows.txt"\n', "rows-format"),
        ('base = "base.toml"\nname = "{serail}"\n[[row]]\nserial = 1\n', "did you mean {serial}?"),
        ('base = "base.toml"\nname = "a/{serial}"\n[[row]]\nserial = 1\n', "contain a slash"),
        ('base = "base.toml"\nname = "{serial}"\n[[row]]\nserial = ""\n', "is empty"),
        ('base = "base.toml"\nname = ".{serial}"\n[[row]]\nserial = 1\n', "hidden"),
        ('base = "base.toml"\nname = "fleet.json"\n[[row]]\nserial = 1\n', "own record"),
        ('base = "base.toml"\nname = "{serial}"\n[[row]]\nserial = 1\n"size.dsk" = 1\n',
         'did you mean "size.disk"?'),
        ('base = "base.toml"\nname = "{serial}"\n[[row]]\nserial = 1\nsize.disk = []\n',
         "wrong-type"),
        ('base = "base.toml"\nname = "{serial}"\n[[row]]\nserial = 1\nfoo = 1\n',
         "unknown-column"),
        ('base = "base.toml"\nname = "{serial}"\n[[row]]\nserial = 1\ncontents = 1\n',
         "must be tables"),
        ('base = "base.toml"\nname = "{serial}"\n[[row]]\nserial = 1\nspec = 1\n', "a path"),
        ('base = "base.toml"\nname = "{serial}"\n[[row]]\nserial = [1]\n', "text or a number"),
        ('base = "base.toml"\nname = "n"\n[[row]]\nx = 1\n', "no column fills {serial}"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_what_to_do(yard: Yard, text: str, said: str) -> None:
    yard.write("fleet.toml", text)

    assert any(said in line for line in wrong(yard)), wrong(yard)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no line"),
        ("serial,,x\n1,2,3\n", "column 2 has no name"),
        ("serial,serial\n1,2\n", '"serial" 2 times'),
        ("serial;x\n1;2\n", "separate cells by commas"),
        ("serial,x\n1\n", "a.csv:2: has 1 cell, and the header names 2 columns"),
        ('serial\n"1\n', "a cell that begins with a quote ends with one"),
    ],
)
def test_what_is_wrong_with_csv_is_said_by_line(yard: Yard, text: str, said: str) -> None:
    yard.write("a.csv", text)
    yard.write("fleet.toml", 'base = "base.toml"\nname = "{serial}"\nrows = "a.csv"\n')

    assert any(said in line for line in wrong(yard)), wrong(yard)


@pytest.mark.parametrize("text", ["{\n", "[1]\n", '{"a": 1\n', "[" * 100_000])
def test_what_is_wrong_with_json_lines_is_said_by_line(yard: Yard, text: str) -> None:
    yard.write("a.jsonl", '{"serial": "1"}\n' + text)
    yard.write("fleet.toml", 'base = "base.toml"\nname = "{serial}"\nrows = "a.jsonl"\n')

    assert any(line.startswith("json-syntax") and "a.jsonl:2" in line for line in wrong(yard))


def test_one_problem_of_many_rows_is_one_problem(yard: Yard) -> None:
    yard.write("base.toml", (yard.folder / "base.toml").read_text().replace("8MiB", "much"))
    yard.rows("1", "2", "3", more="size.disk = []\n")
    fleet = read_fleet(yard.fleet)

    (bad,) = [one for one in fleet.wrong if one.problem.path == "size.additional"]
    assert bad.rows == ("node-1", "node-2", "node-3")
    assert bad.line().endswith("[3 rows, node-1 to node-3]")
    assert "base.toml:5" in bad.line()


def test_two_rows_of_one_name_are_told_by_their_places(yard: Yard) -> None:
    yard.write("a.csv", "serial\n1\n2\n1\n")
    yard.write("fleet.toml", 'base = "base.toml"\nname = "n{serial}"\nrows = "a.csv"\n')

    (line,) = wrong(yard)
    assert "a.csv:2" in line
    assert "a.csv:4" in line


def test_the_spec_of_one_image_is_not_a_fleet(yard: Yard) -> None:
    yard.write("fleet.toml", 'schema = 1\nname = "one"\nlayout.table = "gpt"\n')
    with pytest.raises(Refused) as refused:
        read_fleet(yard.fleet)
    (problem,) = refused.value.problems
    assert problem.message == "this is the spec of one image, not a fleet"
    assert "diskwright build" in problem.hint


def test_what_is_not_toml_is_refused(yard: Yard) -> None:
    yard.write("fleet.toml", "base = \n")

    with pytest.raises(Refused):
        read_fleet(yard.fleet)


@pytest.mark.parametrize(
    ("text", "result", "used"),
    [
        ("a{x}b{y}", "a1b2", ["x", "y"]),
        ("{{x}}", "{x}", []),
        ("${x} {x}", "${x} 1", ["x"]),
        ("{no} {x", "{no} {x", ["no"]),
        ("{1} {} {a b}", "{1} {} {a b}", []),
        ("{a.b}", "3", ["a.b"]),
    ],
)
def test_placeholders(text: str, result: str, used: list[str]) -> None:
    assert filled(text, {"x": "1", "y": "2", "a.b": "3"}) == result
    assert list(names(text)) == used


@given(st.text(string.printable.replace("{", "").replace("}", "")), st.text())
def test_what_a_column_holds_is_not_filled_again(text: str, value: str) -> None:
    assert filled(f"{text.rstrip('$')}{{x}}", {"x": value}) == f"{text.rstrip('$')}{value}"
    assert filled(text, {"x": value}) == text
