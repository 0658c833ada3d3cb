from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.machines.outcome import Outcome, compare

A, B = "a" * 64, "b" * 64


def outcome(name: str, *, moves: bool = False, **sums: str) -> Outcome:
    return Outcome(name, moves, sums=sums)


@pytest.mark.parametrize(
    ("outcomes", "told"),
    [
        ([], []),
        ([outcome("12", hello=A)], []),
        ([outcome("12", hello=A), outcome("13", hello=A)], []),
        # A machine that could not be made built nothing, and says nothing of the others.
        ([outcome("12", hello=A), outcome("13")], []),
        ([outcome("12", hello=A), outcome("13", hello=B)], [("hello", True)]),
        ([outcome("12", hello=A, tiny=A), outcome("13", hello=A)], [("tiny", True)]),
        ([outcome("12", hello=A), outcome("t", moves=True, hello=B)], [("hello", False)]),
        ([outcome("12", hello=A), outcome("t", moves=True, tiny=A)],
         [("hello", False), ("tiny", False)]),
        ([outcome("12", b=A, a=A), outcome("13", b=B, a=B), outcome("t", moves=True, b=B, a=A)],
         [("a", True), ("b", True)]),
    ],
)  # fmt: skip
def test_images_are_compared(outcomes: list[Outcome], told: list[tuple[str, bool]]) -> None:
    assert [(found.image, found.failed) for found in compare(outcomes)] == told


def test_a_difference_is_told_with_who_has_what() -> None:
    failed, note = (
        str(*compare([outcome("Debian 12", hello=A), outcome("Debian 13", moves=moves, hello=B)]))
        for moves in (False, True)
    )

    seen = "hello is not the same everywhere (Debian 12: aaaaaaaaaaaa, Debian 13: bbbbbbbbbbbb)"
    assert failed == f"FAILED: {seen}"
    assert note == f"NOTE: {seen}"


@pytest.mark.parametrize("moves", [False, True])
def test_a_failure_is_told_and_counts_where_the_suite_stands_still(*, moves: bool) -> None:
    ended = outcome("13", moves=moves)

    ended.fail("tests ended with status 1")

    assert ended.failed is not moves
    assert ended.end.startswith("FAILED: tests ended with status 1")
    assert ("does not count" in ended.end) is moves


def test_the_table_names_tests_that_exist() -> None:
    table = tomllib.loads(Path(__file__).with_name("machines.toml").read_text())
    root = Path(__file__).parents[2]

    assert [test for test in table["tests"] if not (root / test).exists()] == []
    assert len({row["suite"] for row in table["machine"]}) == len(table["machine"]) >= 3
