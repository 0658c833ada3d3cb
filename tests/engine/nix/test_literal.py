"""Nix source read without Nix, against what nix itself makes of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.importers.nix_source import NotNix, calls
from engine.nix.values import Buildable, Import, Opaque, Path, Value, show
from tests.support.nixos import Lab

TEXTS = [
    r'"plain"',
    r'"a \"quoted\" \\ back\nslash \t \r \q"',
    r'"a $ sign, $${not}, \${no}, $"',
    "''\n    two\n      lines\n\n    end\n  ''",
    "''one''",
    "''\n''",
    "''  x\n y\n''",
    "'' '''quoted''' ''${no} $${x} $ ''",
    "''\n  a\n     \n  b''",
    '"line\nbreak"',
]


def read(text: str, folder: str) -> Mapping[str, Value]:
    """Returns the arguments of the one call or set in a text."""
    (call,) = calls(text, folder)
    return call.arguments


def evaluated(lab: Lab, text: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Returns what nix makes of an expression."""
    return json.loads(
        lab.nix("nix", "eval", "--store", "dummy://", "--impure", "--json", "--expr", text)
    )


def test_texts_are_what_nix_makes_of_them(lab: Lab) -> None:
    theirs = evaluated(lab, "[" + " ".join(TEXTS) + "]")

    ours = [read(f"{{ x = {text}; }}", "/")["x"] for text in TEXTS]

    assert ours == theirs


def test_every_literal_is_what_nix_makes_of_it(lab: Lab) -> None:
    text = """
      # a comment; { }
      { a.b.c = 1; a."with space" = -2; "quo\\"ted" = [ 1.5 true false null [ ] { } ];
        /* another } */ list = [ "x" (3) [ 4 ] { y = null; } ]; rec-like' = "n"; }
    """

    assert read(text, "/") == evaluated(lab, text)


def test_a_call_is_read_as_its_arguments() -> None:
    text = """
      { pkgs ? import <nixpkgs> { }, config, ... }@args:
      with pkgs; import (pkgs.path + "/nixos/lib/make-disk-image.nix") {
        inherit (pkgs) lib; inherit pkgs config;
        diskSize = "auto"; name = "x" + toString 3; memSize = f 1;
      }
    """

    assert read(text, "/") == {
        "lib": Opaque("(pkgs).lib"), "pkgs": Opaque("import <nixpkgs> { }"),
        "config": Opaque("config"), "diskSize": "auto", "name": "x3", "memSize": Opaque("f 1"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "head", ["", "x: ", "{ a, b ? { c = 1; } }: ", "args@{ ... }: ", "{ ... }@args: ", "rec ",
             "assert true; with { }; ", "import <x> ", "(import ./x { }) ", "# { a = 2; }\n"]
)  # fmt: skip
def test_what_stands_before_the_arguments_is_passed_over(head: str) -> None:
    assert read(head + "{ a = 1; }", "/") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("./a/../b", Path("/base/b")),
        ("/etc/motd", Path("/etc/motd")),
        ('/. + "/with blank"', Path("/with blank")),
        ('"${/etc/conf.d}/*.conf"', Path("/etc/conf.d/*.conf")),
        ('builtins.storePath "/nix/store/x-y"', Buildable("/nix/store/x-y")),
        ('(builtins.getFlake "github:a/b").c."d-e".f', Buildable('github:a/b#c."d-e".f')),
        ("(import /x/y.nix { }).system.toplevel", Buildable("-f /x/y.nix -A system.toplevel")),
        ("import ./nixpkgs { }", Import("/base/nixpkgs")),
        ("~/x", Opaque("~/x")),
        ("<nixpkgs>", Opaque("<nixpkgs>")),
        ("if a then 1 else { b = 2; }", Opaque("if a then 1 else { b = 2; }")),
        ("f ''}'' \"}\" # }\n", Opaque("f ''}'' \"}\"")),
        ('"${x}"', Opaque('"${x}"')),
    ],
)
def test_paths_and_what_nix_alone_can_say(text: str, value: Value) -> None:
    assert read(f"{{ x = {text}; y = 1; }}", "/base") == {"x": value, "y": 1}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("{ a = 1 }", "line 1, column 8"),
        ("{\n  a = 1;\n  a = 2; }", "line 3: a is set twice"),
        ("{ a = 1; } }", "line 1, column 12"),
        ('{ a = "open; }', "line 1"),
        ("{ a = [ 1 ; }", "line 1"),
        ("{ 1 = 2; }", "line 1, column 3"),
    ],
)
def test_what_is_no_such_expression_is_told_with_its_place(text: str, where: str) -> None:
    with pytest.raises(NotNix, match=where):
        read(text, "/")


@given(st.text(alphabet="{}[]()\"'$;=. \n\\#/*ax1-+", max_size=60))
@settings(max_examples=400)
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(NotNix):
        calls(text, "/")


@pytest.mark.parametrize("text", ["", "[ 1 ]", "{ a = 1; } more", "1", "# nothing\n"])
def test_what_is_not_a_set_has_no_arguments(text: str) -> None:
    assert calls(text, "/") == []


def test_a_name_that_only_nix_can_tell_is_listed() -> None:
    (call,) = calls('{ a = 1;\n "${x}" = 2; }', "/")

    assert call.arguments == {"a": 1}
    assert call.unread == ((2, '"${x}" = 2;'),)


names = st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
segments = st.text(alphabet="aZ9._-+ $\"'{}é", min_size=1, max_size=8).filter(
    lambda name: name not in {".", ".."}
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | names
    | st.lists(segments, min_size=1, max_size=3).map(lambda parts: Path("/" + "/".join(parts)))
    | st.just(Buildable("/nix/store/abc-x")) | st.just(Buildable("github:a/b#c.d"))
    | st.just(Buildable("-f /x.nix -A a.b")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(names, values, max_size=4))
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_shown_reads_back(value: dict[str, Value]) -> None:
    assert read(show(value), "/") == value
