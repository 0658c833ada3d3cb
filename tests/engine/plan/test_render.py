"""A plan as JSON, as interface.md has it, and as text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.plan.as_json import to_json
from engine.plan.as_text import disk_map, to_text
from engine.plan.tables import apportion
from tests.engine.plan.support import (
    MIB,
    TABLES,
    Contents,
    directory,
    file,
    manifest,
    plan,
    settings,
    symlink,
)

FIRST = file(b"a", 5000)
CONTENTS = Contents(
    manifest([FIRST, file(b"b", 5000, link_to=FIRST), directory(b"d"), symlink(b"s", b"a")])
)


@given(
    weights=st.lists(st.integers(min_value=0, max_value=1 << 50), min_size=1, max_size=12),
    width=st.integers(min_value=0, max_value=300),
)
def test_apportion(weights: list[int], width: int) -> None:
    cells = apportion(weights, width)
    assert len(cells) == len(weights)
    assert min(cells) >= 1
    if sum(weights):
        assert sum(cells) == max(width, len(weights))
        spare = max(0, width - len(weights))
        for weight, cell in zip(weights, cells, strict=True):
            exact = weight * spare / sum(weights)
            assert exact - 1 < cell - 1 < exact + 1 or abs(cell - 1 - exact) < 1e-6


@pytest.mark.parametrize("width", [20, 40, 72, 200])
@pytest.mark.parametrize("table", TABLES)
def test_map_is_as_wide_as_asked_and_shows_every_partition(table: str, width: int) -> None:
    made = plan(settings(table, disk="1TiB"))
    top, inside, bottom = disk_map(made, width)
    assert len(top) == len(inside) == len(bottom) == width
    shown = max(1, len(made.partitions))
    assert top.count("+") == shown + 1
    assert all(len(run) >= 1 for run in top.strip("+").split("+"))


@pytest.mark.parametrize("compat", ["none", "make-disk-image"])
@pytest.mark.parametrize("table", TABLES)
def test_json_has_every_key_of_the_interface(table: str, compat: str) -> None:
    made = plan(settings(table, compat=compat), CONTENTS)
    answer = json.loads(json.dumps(to_json(made)))
    assert answer["schema"] == 1
    assert answer["compat"] == compat
    named = {"bytes", "sector_size", "table", "guid", "signature", "pmbr_boot"}
    assert answer["disk"].keys() == named
    assert answer["size"]["mode"] == "auto"
    assert sum(share["bytes"] for share in answer["size"]["breakdown"]) == answer["disk"]["bytes"]
    assert answer["size"]["contents"] == {
        "files": 1, "directories": 2, "symlinks": 1, "others": 0, "hard_links": 1, "bytes": 5000,
    }  # fmt: skip
    assert ("reference" in answer["size"]) == (compat != "none")
    assert answer["problems"] == []
    assert answer["outputs"] == ["nixos.img" if compat != "none" else "disk.img"]
    assert {"id", "title", "bytes"} <= answer["steps"][0].keys()
    filesystem = {"type", "label", "uuid", "block_size", "blocks", "inodes"}
    if table == "none":
        assert answer["partitions"] == []
        assert filesystem <= answer["filesystem"].keys()
    for number, partition in enumerate(answer["partitions"], start=1):
        assert partition["number"] == number
        assert {"role", "start", "sectors", "bytes", "type", "guid", "name", "flags"} <= (
            partition.keys()
        )
        assert partition["bytes"] == partition["sectors"] * answer["disk"]["sector_size"]
        if partition["role"] != "bios-boot":
            assert filesystem <= partition["filesystem"].keys()


def test_reference_figures_are_those_of_an_empty_tree() -> None:
    made = plan(settings("none", compat="make-disk-image", additional="0"))
    assert to_json(made)["size"]["reference"] == {
        "diskUsage": 16384,
        "fudge": 851,
        "requiredFilesystemSpace": 17235,
        "additionalSpace": 0,
        "diskSize": MIB,
    }


def test_text_says_what_json_says() -> None:
    made = plan(settings("hybrid", compat="make-disk-image", disk=1024), CONTENTS)
    text = to_text(made)
    assert "1,073,741,824 bytes" in text
    assert "97FD5997-F390-0B4A-A3F8-D106C1723AEA" in text
    for partition in made.partitions:
        assert f"{partition.start}" in text
        assert f"{partition.guid}" in text
    for share in made.breakdown:
        assert share.label in text
        assert f"{share.bytes:,}" in text
    assert "  Closure space use: " in text


@pytest.mark.parametrize("width", [60, 80, 132])
@pytest.mark.parametrize("table", TABLES)
def test_on_a_terminal_only_identifiers_may_be_wider_than_it(table: str, width: int) -> None:
    made = plan(settings(table), CONTENTS)
    lines = to_text(made, width, within=True).splitlines()
    assert all(len(line) <= width for line in lines if len(line.split()) > 2), lines
    for partition in made.partitions:
        assert any(line.split()[-1:] == [partition.guid] for line in lines) == bool(partition.guid)


def test_a_plan_without_partitions_can_be_shown() -> None:
    made = plan(settings("efi", disk="10MiB"))
    assert made.partitions == ()
    assert made.steps == ()
    assert to_json(made)["partitions"] == []
    assert "10.0 MiB" in to_text(made)
