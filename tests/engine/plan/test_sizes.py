"""Automatic and fixed sizes of `compat = "none"`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from engine.problem import errors
from tests.engine.plan.support import MIB, TABLES, Contents, file, manifest, plan, settings


@profile(max_examples=100, deadline=None)
@given(
    table=st.sampled_from(TABLES),
    additional=st.integers(min_value=0, max_value=2 << 30),
    sizes=st.lists(st.integers(min_value=0, max_value=5 * MIB), max_size=80),
)
def test_leaves_free_what_was_asked_for_and_little_more(
    table: str, additional: int, sizes: list[int]
) -> None:
    contents = Contents(manifest([file(b"%d" % at, size) for at, size in enumerate(sizes)]))
    made = plan(settings(table, additional=f"{additional}B"), contents)
    assert errors(made.problems) == ()
    free = made.root.free_bytes
    assert additional <= free <= additional + max(made.disk.bytes // 100, 8 * MIB)
    assert made.root.free_inodes >= additional // 16384


@pytest.mark.parametrize("table", TABLES)
def test_root_file_system_fills_its_partition(table: str) -> None:
    made = plan(settings(table, disk="1GiB"))
    place = made.disk.bytes if table == "none" else made.volume("root").bytes
    assert 0 <= place - made.root.size < 64 * 4096
    assert made.disk.bytes == 1024 * MIB


def test_modes_are_reported() -> None:
    assert plan(settings(disk="1GiB")).settings.disk_bytes == 1024 * MIB
    assert plan(settings()).settings.disk_bytes is None
