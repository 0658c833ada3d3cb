"""The FAT layout against the real mkfs.fat."""

from __future__ import annotations

import random
import re
import subprocess
from pathlib import Path

import pytest

from engine.filesystems.fat.geometry import (
    MIN_CLUSTERS_32,
    FatGeometry,
    FatSizeError,
    geometry,
    smallest,
)
from tests.support.fat import mkfs_argv

MIB = 1 << 20
OFFSET = MIB

TOLD = re.compile(
    r"with (?P<sectors>\d+) sectors.*"
    r"has 2 (?P<bits>\d+)-bit FATs and (?P<per_cluster>\d+) sectors? per cluster.*"
    r"FAT size is (?P<fat>\d+) sectors?, and provides (?P<clusters>\d+) cluster.*"
    r"(?:are|is) (?P<reserved>\d+) reserved sector",
    re.DOTALL,
)


def told(argv: tuple[str, ...]) -> tuple[int, ...]:
    """What mkfs.fat says it made: bits, sectors per cluster, FAT, clusters, reserved, sectors."""
    done = subprocess.run((*argv[:1], "-v", *argv[1:]), capture_output=True, text=True, check=True)
    match = TOLD.search(done.stdout)
    assert match is not None
    names = ("bits", "per_cluster", "fat", "clusters", "reserved", "sectors")
    return tuple(int(match[name]) for name in names)


def figures(layout: FatGeometry) -> tuple[int, ...]:
    return (
        layout.bits, layout.sectors_per_cluster, layout.fat_sectors, layout.clusters,
        layout.reserved_sectors, layout.sectors,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(24))
def test_layout_is_what_mkfs_makes_inside_an_image(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    sector_size, bits = draw.choice([512, 512, 4096]), draw.choice([32, None])
    size = draw.choice([draw.randint(33, 300), draw.randint(250, 600), draw.randint(500, 9000)])
    layout = geometry(size * MIB, sector_size=sector_size, bits=bits)
    image = tmp_path / "image"
    with image.open("wb") as made:
        made.truncate(10 << 30)  # much larger than the partition, which must not matter
    assert told(mkfs_argv(layout, str(image), OFFSET)) == figures(layout)


@pytest.mark.parametrize("seed", range(16))
def test_own_choice_is_that_of_mkfs_on_the_partition_alone(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    size = draw.choice([draw.randint(1, 40), draw.randint(30, 300), 511, 512, 513]) * MIB
    size += draw.choice([0, draw.randint(0, 255) * 4096])
    image = tmp_path / "image"
    with image.open("wb") as made:
        made.truncate(size)
    layout = geometry(size, bits=None)
    assert told(("mkfs.fat", "-g", "64/32", "-n", "ESP", str(image))) == figures(layout)


@pytest.mark.parametrize(("sector_size", "mib"), [(512, 33), (4096, 257)])
def test_smallest_real_fat32(sector_size: int, mib: int) -> None:
    size = smallest(sector_size=sector_size)
    assert size == mib * MIB
    assert geometry(size, sector_size=sector_size).clusters >= MIN_CLUSTERS_32
    below = geometry(size - MIB, sector_size=sector_size)
    assert below.clusters < MIN_CLUSTERS_32


def test_parts_make_up_the_partition() -> None:
    layout = geometry(100 * MIB)
    assert layout.overhead + layout.data_bytes == layout.size


def test_too_small_for_any() -> None:
    with pytest.raises(FatSizeError, match="cannot span"):
        geometry(16_384)
