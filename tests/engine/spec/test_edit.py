"""Edits: pure, checked, on values and on entries."""

from __future__ import annotations

import pytest

from engine.problem import Fix, Refused
from engine.spec import edit
from engine.spec.model import Boot, Content, ImageSpec, Layout, Size

A, B, C = (Content(source=name, target=f"/{name}") for name in "abc")
SPEC = ImageSpec(size=Size(disk=64), contents=(A, B, C))


def test_a_value_is_changed_and_the_rest_stays() -> None:
    changed = edit.apply(SPEC, "layout.table", "hybrid")
    assert changed == ImageSpec(
        layout=Layout(table="hybrid"), size=Size(disk=64), contents=(A, B, C)
    )
    assert SPEC.layout == Layout()


def test_none_leaves_a_key_out() -> None:
    assert edit.apply(SPEC, "size.disk", None).size == Size()
    assert edit.apply(SPEC, "contents", None).contents == ()
    assert edit.apply(SPEC, "contents[1]", None).contents == (A, C)


def test_entries_are_reached() -> None:
    changed = edit.apply(SPEC, "contents[1].target", "/srv")
    assert changed.contents == (A, Content(source="b", target="/srv"), C)
    assert edit.apply(SPEC, "contents[2]", A).contents == (A, B, A)
    new = {"source": "n", "target": "/n", "exclude": ["x"]}
    assert edit.apply(SPEC, "contents[0]", new).contents[0].exclude == ("x",)


def test_lists_and_sections() -> None:
    assert edit.apply(SPEC, "nix.additional_paths", ["/a"]).nix.additional_paths == ("/a",)
    assert edit.apply(SPEC, "boot", {"loader": "grub"}).boot == Boot(loader="grub")


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("size.bot", 1, "unknown-key"),
        ("", 1, "unknown-key"),
        ("contents[x]", 1, "unknown-key"),
        ("contents[0].targe", "/", "unknown-key"),
        ("layout.table", 3, "wrong-type"),
        ("boot.prove", "true", "wrong-type"),
        ("contents[0]", {"source": "x"}, "missing-key"),
        ("contents[0].target", None, "missing-key"),
        ("contents[7].target", "/", "no-such-entry"),
        ("layout.table", "EFI", "bad-choice"),
        ("size.disk", "4 foo", "bad-size"),
        ("contents[1].mode", "xyz", "bad-mode"),
        ("contents[1].target", "/../x", "target-climbs-out"),
        ("identity.seed", "x", "bad-uuid"),
    ],
)
def test_wrong_edits_are_refused(path: str, value: object, code: str) -> None:
    with pytest.raises(Refused) as caught:
        edit.apply(SPEC, path, value)
    assert [problem.code for problem in caught.value.problems] == [code]


def test_an_edit_is_not_refused_for_what_is_wrong_elsewhere() -> None:
    broken = ImageSpec(size=Size(disk="foo"))
    assert edit.apply(broken, "name", "x").name == "x"


def test_a_fix_makes_all_its_edits() -> None:
    fix = Fix("Both", (("size.disk", "auto"), ("contents[0].user", 0)))
    fixed = edit.apply_fix(SPEC, fix)
    assert (fixed.size.disk, fixed.contents[0].user) == ("auto", 0)


def test_entries_are_added_and_removed() -> None:
    assert edit.append_content(SPEC, A).contents == (A, B, C, A)
    assert edit.remove_content(SPEC, 1).contents == (A, C)


@pytest.mark.parametrize("index", [3, -1])
def test_entries_that_are_not_there_are_refused(index: int) -> None:
    with pytest.raises(Refused, match="there is none"):
        edit.remove_content(SPEC, index)
