"""Automatic and fixed sizes of `compat = "none"`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from engine.problem import errors
from engine.units import GIB
from tests.engine.plan.support import MIB, TABLES, Contents, file, manifest, plan, resized, settings


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
    assert plan(settings(disk="1GiB")).settings.size.disk == 1024 * MIB
    assert plan(settings()).settings.size.disk is None


@profile(max_examples=100, deadline=None)
@given(
    table=st.sampled_from(TABLES),
    additional=st.integers(min_value=0, max_value=3 << 30),
    inodes=st.none() | st.integers(min_value=0, max_value=200_000),
    sizes=st.lists(st.integers(min_value=0, max_value=5 * MIB), max_size=20),
)
def test_an_automatic_size_is_rounded_up_for_its_reader_and_the_root_takes_the_rest(
    table: str, additional: int, inodes: int | None, sizes: list[int]
) -> None:
    contents = Contents(manifest([file(b"%d" % at, size) for at, size in enumerate(sizes)]))
    wanted = resized(settings(table, additional=f"{additional}B"), inodes=inodes)
    exact = plan(wanted, contents)
    made = plan(replace(wanted, output=replace(wanted.output, format="gce")), contents)

    assert errors(made.problems) == ()
    assert made.disk.bytes % GIB == 0
    assert 0 <= made.disk.bytes - exact.disk.bytes < 2 * GIB
    assert sum(share.bytes for share in made.breakdown) == made.disk.bytes
    assert made.root.free_bytes >= additional
    assert made.root.free_inodes >= exact.root.free_inodes
    place = made.disk.bytes if table == "none" else made.volume("root").bytes
    assert 0 <= place - made.root.size < 64 * 4096


def test_a_size_that_the_reader_takes_is_left_alone() -> None:
    for format_ in ("vdi", "vpc-fixed", "vhdx", "ova"):
        made = plan(settings(output=format_))
        assert made.disk == plan(settings()).disk
        assert made.root.layout == plan(settings()).root.layout


def test_the_reference_s_size_stays_and_its_reader_s_rule_is_told_with_the_next_one() -> None:
    made = plan(settings("legacy", compat="make-disk-image", output="gce"))

    (problem,) = errors(made.problems)
    assert (problem.code, problem.path) == ("format-size", "size.disk")
    assert problem.fix is not None
    assert problem.fix.edits == (("size.disk", "1GiB"),)


def test_a_disk_that_is_too_small_grows_to_what_the_reader_takes() -> None:
    contents = Contents(manifest([file(b"large", 1500 * MIB)]))

    made = plan(settings(output="gce", disk="1GiB"), contents)

    (problem,) = errors(made.problems)
    assert problem.fix is not None
    assert problem.fix.edits == (("size.disk", "2GiB"),)
