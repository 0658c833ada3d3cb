"""The disk as a picture: every byte in order, and what an edit changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.disk.view import ALIGNMENT_BYTES, regions
from engine.plan.regions import changes, view
from tests.engine.plan.support import MIB, TABLES, Contents, file, manifest, plan, settings


@pytest.mark.parametrize("table", TABLES)
@given(mib=st.integers(600, 40_000))
def test_regions_follow_each_other_to_the_end(table: str, mib: int) -> None:
    made = plan(settings(table, disk=mib))
    found = regions(view(made))
    at = 0
    for region in found:
        assert 0 <= region.start - at <= ALIGNMENT_BYTES
        assert region.bytes > 0
        at = region.start + region.bytes
        if region.used is not None:
            assert 0 < region.used <= region.bytes
    assert 0 <= made.disk.bytes - at <= ALIGNMENT_BYTES
    assert [r.number for r in found if r.number] == sorted(p.number for p in made.partitions)


def test_a_gap_that_is_more_than_alignment_is_drawn() -> None:
    made = plan(settings("efi", disk=1024))
    esp, root = sorted(made.partitions, key=lambda partition: partition.start)
    sectors = 50 * MIB // made.disk.sector_size
    moved = replace(
        root, start=root.start + sectors, sectors=root.sectors - 2 * sectors,
        bytes=root.bytes - 100 * MIB,
    )  # fmt: skip
    found = regions(view(replace(made, volumes=(moved, esp))))
    assert [region.role for region in found] == ["esp", "gap", "root", "gap"]
    assert found[1].bytes == 50 * MIB
    assert found[1].start == found[0].start + found[0].bytes
    assert found[3].start + found[3].bytes == made.disk.bytes


def test_a_bare_file_system_is_one_region() -> None:
    made = plan(settings("none", disk=100))
    (only,) = regions(view(made))
    assert (only.number, only.role, only.start, only.bytes) == (0, "root", 0, 100 * MIB)
    assert only.filesystem == view(made).filesystem


def test_a_larger_disk_goes_to_root() -> None:
    before, after = plan(settings(disk=1024)), plan(settings(disk=2048))
    found = {change.what: change.delta for change in changes(before, after)}
    assert found == {"disk": 1024 * MIB, "root": 1024 * MIB}
    assert changes(before, before) == ()


def test_a_partition_that_goes_is_told_as_less() -> None:
    before, after = plan(settings("hybrid", disk=1024)), plan(settings("efi", disk=1024))
    found = {change.what: change for change in changes(before, after)}
    assert found["bios-boot"].delta < 0
    assert found["bios-boot"].bytes == 0
    assert "disk" not in found


def test_more_contents_are_told() -> None:
    before = plan(settings(disk=1024))
    after = plan(settings(disk=1024), Contents(root=manifest([file(b"a", 5000)])))
    assert [(c.what, c.delta, c.bytes) for c in changes(before, after)] == [
        ("contents", 5000, 5000)
    ]
