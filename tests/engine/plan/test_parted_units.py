"""Locations and partitions against the real parted, over random command lines.

The machine's parted may be 3.5 (Debian 12), 3.6 (Debian 13 and the reference's environment) or 3.8
(testing), which does as 3.6. 3.5 and 3.6 differ in one rule, which each is held to.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest

from engine.disk.parted_units import PartedDisk, PartedError, Rules, locate
from engine.units import numfmt_iec
from tests.reference import YOUNGER_CASES

MIB = 1 << 20
Commands = list[tuple[str, str, str, str]]


@cache
def rules_here() -> Rules:
    """The rules of this machine's parted; a version that was never compared fails."""
    said = subprocess.run(["parted", "--version"], check=True, capture_output=True, text=True)
    found = re.search(r"\d+\.\d+", said.stdout)
    version = found.group() if found else said.stdout
    assert version in {"3.5", "3.6", "3.8"}, f"parted {version} was never compared with our rules"
    return "3.5" if version == "3.5" else "3.6"


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
        lambda: f"{draw.randint(8000, 1_000_000)}{draw.choice(['KiB', 'kiB', 'kib'])}",
        lambda: f"{draw.randint(8, 900)}{draw.choice(['mib', 'miB', 'Mib'])}",
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

    disk = PartedDisk(mib * MIB // 512, label, rules_here())
    try:
        for _, _, start, end in lines:
            disk.mkpart(start, end)
    except PartedError:
        assert not succeeded, lines
    else:
        assert succeeded, lines
        assert disk.extents == extents


@pytest.mark.parametrize("end", ["1024KiB", "1024kiB", "2mib", "2MiB", "2MB", "2048K"])
@pytest.mark.parametrize("mib", [4, 1024])
def test_an_end_in_a_binary_unit(end: str, mib: int, tmp_path: Path) -> None:
    """The one rule in which the versions differ, as hybrid's BIOS boot partition shows it."""
    _, extents = really(tmp_path / "disk", "gpt", mib * MIB, [("no-fs", "", "0", end)])

    ours: dict[Rules, tuple[int, int]] = {}
    for rules in ("3.5", "3.6"):
        ours[rules] = PartedDisk(mib * MIB // 512, "gpt", rules).mkpart("0", end)

    assert extents == [ours[rules_here()]]
    assert (ours["3.5"] == ours["3.6"]) == (end not in {"1024KiB", "2mib"})
    assert PartedDisk(mib * MIB // 512, "gpt").mkpart("0", end) == ours["3.6"]


def test_hybrids_bios_boot_partition_is_the_references() -> None:
    assert PartedDisk(1024 * MIB // 512, "gpt").mkpart("0", "1024KiB") == (34, 2047)


YOUNGER_LINES: dict[str, tuple[Literal["gpt", "msdos"], list[tuple[str, str]]]] = {
    "legacy": ("msdos", [("1MiB", "100%")]),
    "legacy+boot": ("msdos", [("1MiB", "BOOT"), ("BOOT", "100%")]),
    "legacy+gpt": ("gpt", [("1MiB", "2MiB"), ("2MiB", "100%")]),
    "efi": ("gpt", [("8MiB", "BOOT"), ("BOOT", "100%")]),
    "efixbootldr": ("gpt", [("8MiB", "100MiB"), ("100MiB", "BOOT"), ("BOOT", "100%")]),
    "hybrid": ("gpt", [("8MiB", "BOOT"), ("0", "1024KiB"), ("BOOT", "100%")]),
}


@pytest.mark.parametrize("case", YOUNGER_CASES, ids=lambda case: case["id"])
def test_places_as_was_measured_with_the_younger_reference(case: dict[str, Any]) -> None:
    label, lines = YOUNGER_LINES[case["layout"]]
    # The younger text passes parted the MiB after the ones that bootSize fills, also when exact.
    boot = f"{numfmt_iec(case['bootSize']) // MIB + 1}MiB"
    disk = PartedDisk(case["diskSize"] * MIB // 512, label)
    refused = None
    try:
        for start, end in lines:
            disk.mkpart(start.replace("BOOT", boot), end.replace("BOOT", boot))
    except PartedError as error:
        refused = str(error)

    if case["ok"]:
        assert refused is None
        assert [(start, end - start + 1) for start, end in disk.extents] == [
            (partition["start"], partition["sectors"]) for partition in case["partitions"]
        ]
    else:
        assert refused is not None
        if "You requested" not in refused:  # parted prints those places in its own units
            assert case["error"] == f"Error: {refused}".replace("$DISK", "IMG")


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
