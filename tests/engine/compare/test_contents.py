"""Contents of files, where reading all of them would have no end."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.compare.diff import Comparison, compare
from tests.support.tools import run_tool

HUGE = 2 << 40


def made(folder: Path, name: str, files: Mapping[str, Mapping[int, bytes]], size: int) -> Path:
    """Makes an ext4 with sparse files: bytes by their places."""
    tree = folder / name
    tree.mkdir()
    for path, pieces in files.items():
        with (tree / path).open("wb") as file:
            file.truncate(size)
            for at, data in pieces.items():
                file.seek(at)
                file.write(data)
        os.utime(tree / path, (1, 1))
    image = folder / f"{name}.img"
    run_tool(
        ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-d", tree, image, "16M"],
        check=True, capture_output=True,
    )  # fmt: skip
    return image


def contents(found: Comparison) -> list[str]:
    return [str(each.a) for each in found.fields if each.where.endswith(", content")]


@pytest.mark.parametrize(
    ("left", "right", "at"),
    [
        ({0: b"same"}, {0: b"same"}, None),
        ({HUGE - 4: b"left"}, {HUGE - 4: b"lift"}, HUGE - 3),
        ({0: b"data", 1 << 40: b"more"}, {0: b"data"}, 1 << 40),
        ({}, {1 << 30: bytes(8192) + b"x"}, (1 << 30) + 8192),
        ({1 << 30: bytes(9000)}, {}, None),
        ({4096: b"a" * 4096}, {0: bytes(4096) + b"a" * 4095 + b"b"}, 8191),
    ],
)
def test_holes_are_passed_over(
    tmp_path: Path, left: Mapping[int, bytes], right: Mapping[int, bytes], at: int | None
) -> None:
    one = made(tmp_path, "left", {"file": left}, HUGE)
    other = made(tmp_path, "right", {"file": right}, HUGE)

    found = compare(one, other)

    assert contents(found) == ([] if at is None else [f"differs from byte {at}"])


def test_files_that_share_their_blocks_are_not_all_read(tmp_path: Path) -> None:
    files = {f"{number:03}": {0: b"x"} for number in range(300)}
    left, right = (made(tmp_path, name, files, 4096) for name in ("left", "right"))
    for image in (left, right):
        # Words 4 and 5 of a map of extents: how many blocks the first one has, and where.
        fields = ("block[4] 4096", "block[5] 0", "size 16777216")
        changes = [f"sif /{number:03} {field}" for number in range(300) for field in fields]
        run_tool(
            ["debugfs", "-w", "-f", "-", image], input="\n".join(changes), text=True, check=True,
            capture_output=True,
        )  # fmt: skip

    found = compare(left, right)

    assert any("share" in each.where for each in found.fields)
