"""Locations and partitions against the real parted, over random command lines."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path
from typing import Literal

import pytest

from engine.disk.parted_units import PartedDisk, PartedError, locate

MIB = 1 << 20
Commands = list[tuple[str, str, str, str]]


def commands(table: str, boot: str) -> tuple[Literal["gpt", "msdos"], Commands]:
    """The `mkpart` arguments of the reference: name, file system, start, end."""
    esp = ("ESP", "fat32", "8MiB", boot)
    root = ("primary", "ext4", boot, "-1")
    if table == "legacy":
        return "msdos", [("primary", "ext4", "1MiB", "-1")]
    if table == "legacy+gpt":
        return "gpt", [("no-fs", "", "1MB", "2MB"), ("primary", "ext4", "2MB", "-1")]
    if table == "efi":
        return "gpt", [esp, root]
    return "gpt", [esp, ("no-fs", "", "0", "1024KiB"), root]


def boot_size(draw: random.Random) -> str:
    """A bootSize: plausible ones mostly, of every unit, and some that parted refuses."""
    makers = (
        lambda: f"{draw.randint(8, 2000)}M",
        lambda: f"{draw.randint(8, 2000)}M",
        lambda: f"{draw.randint(8, 1200)}MiB",
        lambda: f"{draw.randint(1, 2)}G",
        lambda: f"{draw.randint(1, 100)}%",
        lambda: f"{draw.randint(1, 2000)}",
        lambda: f"{draw.randint(8000, 2_000_000)}K",
        lambda: f"{draw.randint(8000, 1_000_000)}{draw.choice(['KiB', 'kiB'])}",
        lambda: f"{draw.randint(8, 900)}.{draw.randint(0, 99)}M",
        lambda: f"{draw.randint(16384, 2_000_000)}s",
        lambda: f"{draw.randint(9_000_000, 900_000_000)}B",
        lambda: draw.choice(["1GiB", "0.5G", "1T", "256Mi", "-100M", "foo", "256mib", "256 M"]),
    )
    return draw.choice(makers)()


def really(
    image: Path, label: str, size: int, lines: Commands
) -> tuple[bool, list[tuple[int, int]]]:
    """What parted does: whether it succeeds, and the extents it leaves."""
    with image.open("wb") as made:
        made.truncate(size)
    words = ["mklabel", label]
    for name, filesystem, start, end in lines:
        words += ["mkpart", name, *([filesystem] if filesystem else []), start, end]
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["parted", "--script", image, "--", *words], capture_output=True, env=environment
    )
    told = subprocess.run(
        ["parted", "--script", "--machine", image, "unit", "s", "print"],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    extents = {}
    for line in told.stdout.splitlines():
        number, *rest = line.split(":")
        if number.isdigit():
            extents[int(number)] = (int(rest[0][:-1]), int(rest[1][:-1]))
    return done.returncode == 0, [extents[number] for number in sorted(extents)]


@pytest.mark.parametrize("seed", range(60))
def test_places_as_parted_does(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    label, lines = commands(
        draw.choice(["efi", "efi", "hybrid", "hybrid", "legacy", "legacy+gpt"]), boot_size(draw)
    )
    mib = draw.choice([1024, 512, draw.randint(1, 64), draw.randint(200, 3000)])
    succeeded, extents = really(tmp_path / "disk", label, mib * MIB, lines)

    disk = PartedDisk(mib * MIB // 512, label)
    try:
        for _, _, start, end in lines:
            disk.mkpart(start, end)
    except PartedError:
        assert not succeeded, lines
    else:
        assert succeeded, lines
        assert disk.extents == extents


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Invalid number"),
        ("M", "Invalid number"),
        ("0.5G", "Use a smaller unit"),
        ("1T", "outside of the device"),
        ("1,2,3", "invalid syntax"),
    ],
)
def test_locations_that_parted_refuses(text: str, message: str) -> None:
    with pytest.raises(PartedError, match=message):
        locate(text, 2_097_152)
