"""Layouts that are right by construction: places, types, names, identifiers."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.disk.gpt import BACKUP_SECTORS, FIRST_USABLE
from engine.disk.roles import ROOT_TYPES
from engine.plan import placement
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


@pytest.mark.parametrize("sector_size", [512, 4096])
@pytest.mark.parametrize("table", TABLES)
def test_roles_in_disk_order(table: str, sector_size: int) -> None:
    placed = placement.place(settings(table, sector_size=sector_size), 2048 * MIB)
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
    wanted = settings(table, sector_size=sector_size, boot=f"{boot}MiB")
    disk = disk // sector_size * sector_size
    placed = placement.place(wanted, disk)
    sectors = disk // sector_size
    gpt = placement.is_gpt(wanted.table)
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
    found = {one.role: one for one in placement.place(settings("hybrid"), 1024 * MIB)}
    assert found["esp"].type == "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
    assert found["bios-boot"].type == "21686148-6449-6E6F-744E-656564454649"
    assert found["root"].type == "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
    assert found["esp"].flags == ("boot", "esp")
    assert found["bios-boot"].flags == ("bios_grub",)


def test_root_type_follows_the_machine() -> None:
    wanted = settings("efi")
    types = {
        machine: placement.place(wanted, 1024 * MIB, machine)[-1].type
        for machine in ("x86_64", "aarch64", "riscv64")
    }
    assert len(set(types.values())) == 3
    assert types["aarch64"] == "B921B045-1DF0-41C3-AF44-4C6F280D3FAE"


def test_mbr_root_is_active() -> None:
    (root,) = placement.place(settings("legacy"), 1024 * MIB)
    assert (root.type, root.flags, root.guid, root.name) == ("0x83", ("boot",), None, None)


def test_disk_that_ends_before_the_root() -> None:
    with pytest.raises(placement.PlacementError) as caught:
        placement.place(settings("efi"), 258 * MIB)
    assert caught.value.needed == 259 * MIB
    placement.place(settings("efi"), caught.value.needed)


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
    assert made.partition("root").type == ROOT_TYPES[expected]
