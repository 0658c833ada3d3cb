"""Layouts that are right by construction: places, types, names, identifiers."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.disk import placement
from engine.disk.gpt import BACKUP_SECTORS, FIRST_USABLE
from engine.disk.presets import PRESETS
from engine.disk.roles import ROOT_TYPES
from engine.disk.volume import Scheme
from engine.plan.model import VolumePlan
from engine.spec.settings import Settings
from tests.engine.plan.support import MIB, TABLES, Contents, file, manifest, plan, settings

PARTITIONED = [table for table in TABLES if table != "none"]
ROLES = {
    "none": [],
    "legacy": ["root"],
    "legacy+gpt": ["bios-boot", "root"],
    "efi": ["esp", "root"],
    "hybrid": ["bios-boot", "esp", "root"],
}


def placed_on(
    disk: int, table: str, *, sector_size: int = 512, boot: str | None = None
) -> tuple[VolumePlan, ...]:
    """Returns the partitions of a disk of so many bytes."""
    wanted = settings(table, disk=f"{disk}B", sector_size=sector_size, boot=boot)
    return plan(wanted).partitions


@pytest.mark.parametrize("sector_size", [512, 4096])
@pytest.mark.parametrize("table", TABLES)
def test_roles_in_disk_order(table: str, sector_size: int) -> None:
    placed = placed_on(2048 * MIB, table, sector_size=sector_size)
    assert [one.role for one in placed] == ROLES[table]
    assert [one.number for one in placed] == list(range(1, len(placed) + 1))
    assert [one.start for one in placed] == sorted(one.start for one in placed)


@given(
    table=st.sampled_from(PARTITIONED),
    sector_size=st.sampled_from([512, 4096]),
    disk=st.integers(min_value=600 * MIB, max_value=1 << 42),
    boot=st.integers(min_value=33, max_value=500),
)
def test_aligned_disjoint_and_clear_of_the_table(
    table: str, sector_size: int, disk: int, boot: int
) -> None:
    disk = disk // sector_size * sector_size
    placed = placed_on(disk, table, sector_size=sector_size, boot=f"{boot}MiB")
    sectors = disk // sector_size
    gpt = PRESETS[table].scheme == "gpt"
    last = sectors - (BACKUP_SECTORS[sector_size] if gpt else 0)
    for one in placed:
        assert one.start * sector_size % MIB == 0
        assert one.sectors * sector_size % MIB == 0
        assert one.start >= FIRST_USABLE[sector_size]
        assert one.start + one.sectors <= last
        if one.role == "esp":
            assert one.sectors * sector_size == boot * MIB
    for before, after in itertools.pairwise(placed):
        assert before.start + before.sectors == after.start
    # The root goes on to the last whole MiB: one more would not fit.
    assert (placed[-1].start + placed[-1].sectors) * sector_size + MIB > last * sector_size


def test_types_and_flags() -> None:
    found = {one.role: one for one in placed_on(1024 * MIB, "hybrid")}
    assert found["esp"].type == "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
    assert found["bios-boot"].type == "21686148-6449-6E6F-744E-656564454649"
    assert found["root"].type == "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
    assert found["esp"].flags == ("boot", "esp")
    assert found["bios-boot"].flags == ("bios_grub",)


def test_mbr_root_is_active() -> None:
    (root,) = placed_on(1024 * MIB, "legacy")
    assert (root.type, root.flags, root.guid, root.name) == ("0x83", ("boot",), None, None)


def test_disk_that_ends_before_the_root() -> None:
    made = plan(settings("efi", disk="258MiB"))
    (problem,) = made.problems
    assert problem.code == "disk-too-small"
    assert "takes 257.0 MiB (269,484,032 bytes)" in problem.message
    assert made.partitions == ()
    assert [one.role for one in placed_on(259 * MIB, "efi")] == ["esp", "root"]


def identifiers(wanted: Settings) -> list[str | None]:
    made = plan(wanted)
    return [
        made.disk.guid or made.disk.signature,
        *(partition.guid for partition in made.partitions),
        *(partition.filesystem.uuid for partition in made.partitions if partition.filesystem),
    ]


@pytest.mark.parametrize("table", PARTITIONED)
def test_identifiers_are_the_seeds_and_all_different(table: str) -> None:
    first, again = identifiers(settings(table)), identifiers(settings(table))
    assert first == again
    named = [identifier for identifier in first if identifier is not None]
    assert len(set(named)) == len(named)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"lib/ld-linux-aarch64.so.1", "aarch64"),
        (b"usr/lib64/ld-linux-x86-64.so.2", "x86_64"),
        (b"lib/ld-musl-riscv64.so.1", "riscv64"),
        (b"etc/ld-linux-aarch64.so.1", "x86_64"),
    ],
)
def test_machine_is_told_by_the_contents(path: bytes, expected: str) -> None:
    contents = Contents(manifest([file(path)]))
    made = plan(settings("efi"), contents)
    assert made.volume("root").type == ROOT_TYPES[expected]


@given(
    st.sampled_from(["gpt", "mbr"]),
    st.lists(st.integers(1, 40), max_size=7),
    st.lists(st.tuples(st.integers(0, 60 << 10), st.integers(1, 9 << 10)), max_size=5),
)
def test_partitions_meet_nothing_that_lies_outside_of_them(
    scheme: Scheme, sizes: list[int], taken: list[tuple[int, int]]
) -> None:
    volumes = [(str(number), size * MIB) for number, size in enumerate(sizes)]
    ranges = [(at * 1024, (at + length) * 1024) for at, length in taken]
    first = placement.behind(scheme, [size for _, size in volumes], ranges)
    assert first % MIB == 0
    assert first == MIB or any(end <= first < end + MIB for _, end in ranges)
    for one in placement.place(scheme, 512, volumes, first):
        start, end = one.start * 512, (one.start + one.sectors) * 512
        assert not any(low < end and start < high for low, high in ranges)
