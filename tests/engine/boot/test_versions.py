"""The order of versions, by the examples of the UAPI Group's Version Format Specification."""

from __future__ import annotations

import pytest

from engine.boot.versions import compare


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("bar-123", "foo-123"), ("123", "123a"), ("123", "123.a"), ("123.a", "123.b"),
        ("123.a", "123a"), ("A", "a"), ("", "0"), ("0", "0."), ("0", "0.0"), ("1_", "1.2"),
        ("1.3.3", "1_2_3"), ("1+", "1.2"), ("6.9", "6.10"), ("6.1~rc1", "6.1"),
        ("6.1", "6.1^20260101"), ("6.1-1", "6.1.1"), ("6.1", "6.1-1"), ("009", "10"),
        ("122.1", "123~rc1"),
    ],
)  # fmt: skip
def test_the_newer_is_newer_from_both_sides(older: str, newer: str) -> None:
    assert compare(older, newer) < 0
    assert compare(newer, older) > 0


@pytest.mark.parametrize(
    ("left", "right"),
    [("11", "11"), ("systemd-123", "systemd-123"), ("11é", "11ü"), ("1_", "1"), ("_1", "1"),
     ("1+", "1"), ("+1", "1"), ("007", "7"), ("~", "~"), ("1²", "1")],
)  # fmt: skip
def test_what_does_not_count_makes_no_difference(left: str, right: str) -> None:
    assert compare(left, right) == 0
    assert compare(right, left) == 0


def test_hostile_versions_end() -> None:
    assert compare("9" * 100_000, "8" * 100_000) > 0
    assert compare("~." * 50_000 + "a", "~." * 50_000 + "b") == 0
