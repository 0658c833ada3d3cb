from __future__ import annotations

from pathlib import Path

import pytest

from engine.tools.known import KNOWN, known_range, newer_than_known
from engine.tools.table import TOOLS


def test_each_range_is_one_of_a_tool_and_not_below_its_minimum() -> None:
    assert set(KNOWN) <= set(TOOLS)
    for name, (oldest, newest) in KNOWN.items():
        assert TOOLS[name].minimum <= oldest <= newest


@pytest.mark.parametrize(
    ("tool", "version", "newer"),
    [
        ("mke2fs", (1, 47, 4), False),
        ("mke2fs", (1, 47, 5), True),
        ("mke2fs", (1, 48), True),
        ("mke2fs", (1, 46, 9), False),
        ("sfdisk", (2, 42, 4), False),
        ("sfdisk", (2, 43), True),
        ("qemu-img", (11,), False),
        ("qemu-img", (12,), True),
        ("zstd", (9, 9), False),
        ("nix", (), False),
    ],
)
def test_what_is_newer(tool: str, version: tuple[int, ...], newer: bool) -> None:
    assert newer_than_known(tool, version) == newer


def test_a_range_in_words() -> None:
    assert known_range("mke2fs") == "1.47.0 to 1.47.4"
    assert known_range("fsck.fat") == "4.2"
    assert known_range("zstd") == ""


def test_the_documentation_has_every_range() -> None:
    page = (Path(__file__).parents[3] / "docs/trust.md").read_text()
    table = page.partition("| tool | versions |\n|---|---|\n")[2].partition("\n\n")[0]

    assert table == "\n".join(f"| {tool} | {known_range(tool)} |" for tool in KNOWN)
