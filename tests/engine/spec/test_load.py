"""Loading: everything wrong with a file is refused at once, each with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.problem import Problem, Refused
from engine.spec.load import load, loads
from engine.spec.model import Content, ImageSpec


def refused(text: str, *overrides: str) -> tuple[Problem, ...]:
    with pytest.raises(Refused) as caught:
        loads(text, file="x.toml", overrides=overrides)
    return caught.value.problems


def outcome(text: str, *overrides: str) -> ImageSpec | tuple[Problem, ...]:
    try:
        return loads(text, overrides=overrides)
    except Refused as refusal:
        return refusal.problems


SHAPES = [
    ("tabel = 'efi'", "unknown-key", "tabel", '"efi"', "layout.table"),
    ("table = 'efi'", "unknown-key", "table", '"efi"', "layout.table"),
    ("nmae = 'x'", "unknown-key", "nmae", '"x"', '"name"'),
    ("[layuot]\nx = 1", "unknown-key", "layuot", "a table", '"layout"'),
    ("[layout]\ntabel = 'efi'", "unknown-key", "layout.tabel", '"efi"', '"table"'),
    ("[size]\nlabel = 'x'", "unknown-key", "size.label", '"x"', "layout.label"),
    ("[size]\nqqq = 1", "unknown-key", "size.qqq", "1", "additional, boot, disk"),
    ("[layout]\nTable = 'efi'", "unknown-key", "layout.Table", '"efi"', '"table"'),
    ("[[partitions]]\nsize = '1G'", "unknown-key", "partitions", "a list of 1", "[[volume]]"),
    ("[swap]\nsize = '1G'", "unknown-key", "swap", "a table", 'id = "swap"'),
    ("[layout]\nhome = '1G'", "unknown-key", "layout.home", '"1G"', 'id = "home"'),
    ("'a.b' = 1", "unknown-key", "a.b", "1", "valid here"),
    ("'' = 1", "unknown-key", "", "1", "valid here"),
    ("name = 3", "wrong-type", "name", "3", 'write "3"'),
    ("name = ['x']", "wrong-type", "name", "a list of 1", "text"),
    ("layout = 'efi'", "wrong-type", "layout", '"efi"', "[layout]"),
    ("[layout]\ntable = 1979-05-27", "wrong-type", "layout.table", "1979-05-27", "text"),
    ("[layout]\nsector_size = '512'", "wrong-type", "layout.sector_size", '"512"', "an integer"),
    ("[size]\ndisk = 1.5", "wrong-type", "size.disk", "1.5", "an integer or text"),
    ("[size]\ndisk = true", "wrong-type", "size.disk", "true", "an integer or text"),
    ("[size]\ndisk = {}", "wrong-type", "size.disk", "a table", "an integer or text"),
    ("[boot]\nprove = 'true'", "wrong-type", "boot.prove", '"true"', "write true without quotes"),
    ("[boot]\ninitrd = 1", "wrong-type", "boot.initrd", "1", "text or a list of text"),
    ("[boot]\ninitrd = ['a', 2]", "wrong-type", "boot.initrd[1]", "2", 'write "2"'),
    ("[boot]\nefi_variables = 1", "wrong-type", "boot.efi_variables", "1", "true or false"),
    ("[boot]\ntimeout = inf", "wrong-type", "boot.timeout", "inf", "an integer"),
    ("[nix]\nadditional_paths = 'x'", "wrong-type", "nix.additional_paths", '"x"', '["x"]'),
    ("[nix]\nadditional_paths = ['x', 2]", "wrong-type", "nix.additional_paths[1]", "2", "text"),
    ("contents = 3", "wrong-type", "contents", "3", "[[contents]]"),
    ("contents = ['x']", "wrong-type", "contents[0]", '"x"', "[contents[0]]"),
    ("[contents]\nsource = 'x'", "wrong-type", "contents", "a table", "[[contents]]"),
    ("[[contents]]\nsource = 'x'", "missing-key", "contents[0].target", "missing", "target = ..."),
    ("[[contents]]\ntarget = '/'", "missing-key", "contents[0].source", "missing", "source = ..."),
    (
        "[[contents]]\nsource = 'x'\ntarget = '/'\nmode = 755",
        "wrong-type",
        "contents[0].mode",
        "755",
        'write "755"',
    ),
    (
        "[[contents]]\nsource = 'x'\ntarget = '/'\nowner = 'root'",
        "unknown-key",
        "contents[0].owner",
        '"root"',
        'did you mean "user"',
    ),
    ("schema = 2\nnew = 1", "unknown-schema", "schema", "2", "version that wrote"),
    ("schema = 0", "unknown-schema", "schema", "0", "write 1"),
    ("schema = '1'", "wrong-type", "schema", '"1"', "an integer"),
]


@pytest.mark.parametrize(("text", "code", "path", "seen", "help_"), SHAPES)
def test_wrong_shapes(text: str, code: str, path: str, seen: str, help_: str) -> None:
    (problem,) = refused(text)
    assert (problem.code, problem.path) == (code, path)
    assert (problem.file or "").partition(":")[0] == "x.toml"
    assert problem.severity == "error"
    assert seen in problem.message
    assert help_ in f"{problem.message} {problem.hint}"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a = [\n", "end of document"),
        ("name = 'x'\nname = 'y'\n", "line 2"),
        ("[size]\ndisk = 4 GiB\n", "line 2, column 10"),
        ("name = unquoted\n", "line 1, column 8"),
        ("[layout\n", "line 1"),
        ("name = 'x'\n[layout]\n[layout]\n", "line 3"),
        ("x = " + "[" * 5000, "nested too deeply"),
        ("name = " + "9" * 5000, "integer"),
        ("name = 'a\0b'", "line 1"),
    ],
)
def test_syntax_errors_have_their_place(text: str, where: str) -> None:
    (problem,) = refused(text)
    assert problem.code == "toml-syntax"
    assert where in problem.message


def test_everything_is_reported_at_once() -> None:
    problems = refused(
        "nmae = 1\n[layout]\ntable = 'EFI'\nsector_size = 'x'\n[size]\nboot = '12 foo'\n"
        "[[contents]]\nsource = 'a'\n[[contents]]\nsource = 'b'\ntarget = '../x'\n"
        "[identity]\nseed = 'x'\n"
    )
    assert {(problem.code, problem.path) for problem in problems} == {
        ("unknown-key", "nmae"),
        ("wrong-type", "layout.sector_size"),
        ("bad-choice", "layout.table"),
        ("bad-size", "size.boot"),
        ("missing-key", "contents[0].target"),
        ("target-climbs-out", "contents[1].target"),
        ("bad-uuid", "identity.seed"),
    }


def test_a_message_never_carries_control_characters() -> None:
    (problem,) = refused('[layout]\nx = "\\u001b"')
    assert "\x1b" not in problem.message
    assert "\\x1b" in problem.message


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"name = '\xff'\n", "spec-not-utf8"), (b"#" * ((16 << 20) + 1), "spec-too-large")],
)
def test_files_that_are_no_spec(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(Refused) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert (problem.code, problem.file) == (code, str(path))


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path, tmp_path / "a\0b"):
        with pytest.raises(Refused) as caught:
            load(path)
        assert caught.value.problems[0].code == "spec-not-found"


def test_load_knows_where_the_spec_lies(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("name = 'x' # kept\n")
    loaded = load(path, ["size.disk=0"], [Path("tree")])
    assert loaded.base == tmp_path
    assert loaded.text == "name = 'x' # kept\n"
    assert loaded.spec.contents == (Content(source=str(Path.cwd() / "tree"), target="/"),)
    found = loaded.locate(
        [Problem("a", "error", "size.disk", ""), Problem("b", "error", "name", "")]
    )
    assert [problem.file for problem in found] == ["--set", f"{path}:1"]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("size.disk=4GiB", "[size]\ndisk = '4GiB'"),
        ("size.disk=4096", "[size]\ndisk = 4096"),
        ("size.disk='4096'", "[size]\ndisk = '4096'"),
        ("size.disk = auto", "[size]\ndisk = 'auto'"),
        ("name=123", "name = '123'"),
        ("name=a=b", "name = 'a=b'"),
        ("name=", "name = ''"),
        ('name="a b"', "name = 'a b'"),
        ("boot.initrd=a b", "[boot]\ninitrd = 'a b'"),
        ("boot.initrd=['a', 'b']", "[boot]\ninitrd = ['a', 'b']"),
        ("layout.label=2024", "[layout]\nlabel = '2024'"),
        ("boot.prove=true", "[boot]\nprove = true"),
        ("hooks.after_build=x = 1", "[hooks]\nafter_build = 'x = 1'"),
        ("nix.additional_paths=['/a', '/b']", "[nix]\nadditional_paths = ['/a', '/b']"),
        ("name=1\nb=2", 'name = "1\\nb=2"'),
    ],
)
def test_overrides(override: str, expected: str) -> None:
    assert loads("", overrides=[override]) == loads(expected)


def test_overrides_reach_entries_and_add_them() -> None:
    spec = loads(
        "[[contents]]\nsource = 'a'\ntarget = '/a'\n",
        overrides=[
            "contents[0].target=/x",
            "contents[0].mode=644",
            "contents[0].user=0",
            "contents[1].source=b",
            "contents[1].target=/b",
        ],
    )
    assert spec.contents == (
        Content(source="a", target="/x", mode="644", user=0),
        Content(source="b", target="/b"),
    )


def test_the_last_override_wins() -> None:
    assert loads("name = 'a'", overrides=["name=b", "name=c"]).name == "c"


@pytest.mark.parametrize(
    ("override", "code"),
    [
        ("size.disk", "bad-override"),
        ("", "bad-override"),
        ("=3", "bad-override"),
        ("a..b=3", "bad-override"),
        ("contents[]=3", "bad-override"),
        ("contents[x].target=/", "bad-override"),
        ("contents[3].target=/", "bad-override"),
        ("name.x=3", "bad-override"),
        ("size.disk.x=3", "wrong-type"),
        ("layout.tabel=efi", "unknown-key"),
        ("contents[0].mod=1", "missing-key"),
        ("nix.additional_paths=/x", "wrong-type"),
        ("boot.prove=yes", "wrong-type"),
        ("schema=7", "unknown-schema"),
    ],
)
def test_nonsense_overrides(override: str, code: str) -> None:
    problems = refused("name = 'x'", override)
    assert code in {problem.code for problem in problems}


def test_problems_of_overrides_say_so() -> None:
    assert {p.file for p in refused("", "layout.tabel=efi", "size.disk.x=3")} == {"--set"}


@given(st.text(max_size=60))
def test_any_text_loads_or_is_refused(text: str) -> None:
    assert outcome(text)


@given(st.text(max_size=40))
def test_any_override_loads_or_is_refused(text: str) -> None:
    assert outcome("[[contents]]\nsource = 'a'\ntarget = '/a'\n", text)
