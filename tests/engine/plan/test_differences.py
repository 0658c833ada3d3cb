"""Our rules beside the reference's, in sentences."""

from __future__ import annotations

import pytest

from engine.plan.differences import differences
from tests.engine.plan.support import MIB, TABLES, plan, settings


@pytest.mark.parametrize("table", TABLES)
def test_the_same_plan_differs_in_nothing(table: str) -> None:
    made = plan(settings(table, disk=1024))
    assert differences(made, made) == ()


def test_sizes_and_lengths_are_told_with_both_figures() -> None:
    lines = differences(plan(settings(disk=1024)), plan(settings(disk=2048)))
    assert lines[0] == f"disk: 1.0 GiB here, 2.0 GiB there ({2048 * MIB:,} bytes)"
    assert any(line.startswith("root length, in sectors: ") for line in lines)
    assert not any(line.startswith("ESP") for line in lines)


def test_partitions_of_one_side_are_named() -> None:
    ours, theirs = plan(settings("efi", disk=1024)), plan(settings("legacy", disk=1024))
    assert "ESP: only here" in differences(ours, theirs)
    assert "ESP: only there" in differences(theirs, ours)
    assert "partition table: gpt here, mbr there" in differences(ours, theirs)
    assert any(line.startswith("disk GUID: ") and "none there" in line
               for line in differences(ours, theirs))  # fmt: skip


def test_a_bare_file_system_is_compared_as_one() -> None:
    ours, theirs = settings("none", disk=100), settings("none", disk=100, compat="make-disk-image")
    lines = differences(plan(ours), plan(theirs))
    assert any(line.startswith("file system label: ") for line in lines)
    assert "outputs: disk.img here, nixos.img there" in lines
