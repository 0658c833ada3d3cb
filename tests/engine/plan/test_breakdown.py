"""The parts of the breakdown sum to the disk, whatever the plan."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from engine.disk.gpt import BACKUP_SECTORS, FIRST_USABLE
from engine.plan.breakdown import LABELS
from engine.plan.model import Plan
from tests.engine.plan.support import (
    MIB,
    TABLES,
    Contents,
    directory,
    file,
    manifest,
    plan,
    settings,
)

trees = st.lists(st.integers(min_value=0, max_value=200_000), max_size=60).map(
    lambda sizes: manifest(
        [directory(b"d"), *(file(b"d/%d" % index, size) for index, size in enumerate(sizes))]
    )
)
fixed = st.integers(min_value=0, max_value=3000 * MIB).map(lambda size: f"{size // 4096 * 4096}B")


def parts(made: Plan) -> dict[str, int]:
    return {share.key: share.bytes for share in made.breakdown}


@profile(max_examples=200, deadline=None)
@given(
    table=st.sampled_from(TABLES),
    compat=st.sampled_from(["none", "make-disk-image"]),
    disk=st.one_of(st.none(), fixed),
    boot=st.sampled_from(["1M", "40M", "64M", "256M", "300MiB", "2G"]),
    sector_size=st.sampled_from([512, 4096]),
    root=trees,
    esp=trees,
)
def test_sums_to_the_disk(
    table: str,
    compat: str,
    disk: str | None,
    boot: str,
    sector_size: int,
    root: object,
    esp: object,
) -> None:
    contents = Contents(root, esp)  # type: ignore[arg-type]
    wanted = settings(table, compat=compat, disk=disk, boot=boot, sector_size=sector_size)
    made = plan(wanted, contents)
    assert sum(share.bytes for share in made.breakdown) == made.disk.bytes
    assert all(share.bytes > 0 for share in made.breakdown)
    assert [share.key for share in made.breakdown] == [k for k in LABELS if k in parts(made)]


@pytest.mark.parametrize(("sector_size", "mib"), [(512, 256), (4096, 260)])
def test_parts_of_a_hybrid_disk(sector_size: int, mib: int) -> None:
    contents = Contents(manifest([file(b"f", 5000)]), manifest([file(b"E", 700)]))
    made = plan(settings("hybrid", boot=f"{mib}MiB", sector_size=sector_size), contents)
    found = parts(made)
    table = (FIRST_USABLE[sector_size] + BACKUP_SECTORS[sector_size]) * sector_size
    assert found["table"] == table
    assert found["boot-gap"] == MIB - FIRST_USABLE[sector_size] * sector_size
    assert found["bios-boot"] == MIB
    assert found["contents"] == 5000
    assert found["esp-contents"] == 700
    cluster = 512 if sector_size == 512 else 4096
    assert found["rounding"] == (8192 - 5000) + (-700 % cluster)
    assert found["tail"] == MIB - BACKUP_SECTORS[sector_size] * sector_size
    root, esp = made.root, made.volume("esp").filesystem
    assert esp is not None
    assert found["free"] == root.free_bytes
    assert found["esp-free"] == esp.free_bytes


def test_reserve_is_shown_in_compat() -> None:
    made = plan(settings("none", compat="make-disk-image", disk=1024))
    assert parts(made)["reserved"] == made.root.layout.geometry.reserved_blocks * 4096
    assert parts(made)["free"] == made.root.free_bytes - parts(made)["reserved"]
