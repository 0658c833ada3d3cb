from __future__ import annotations

import asyncio
import hashlib
import random
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from engine.compare.diff import compare
from engine.image.whole import BLOCK
from engine.pipeline.build import build
from engine.provenance.bmap import MappedRange, Mapper
from tests.support.specs import plan_of, write_spec
from tests.support.tools import run_tool

SIZE = 40 * BLOCK + 100


def mapped(data: bytes, unused: list[tuple[int, int]], piece: int, *, holes: bool) -> Mapper:
    mapper = Mapper(len(data), unused)
    for start in range(0, len(data), piece):
        part = data[start : start + piece]
        if holes and not any(part):
            mapper.hole(len(part))
        else:
            mapper.data(part)
    mapper.finish()
    return mapper


def expected(data: bytes, unused: list[tuple[int, int]]) -> list[MappedRange]:
    """The definition, block by block."""
    kept = []
    for block in range(-(-len(data) // BLOCK)):
        first, end = block * BLOCK, (block + 1) * BLOCK
        free = any(at <= first and end <= at + size for at, size in unused)
        if not free or any(data[first:end]):
            kept.append(block)
    ranges: list[MappedRange] = []
    while kept:
        first = last = kept.pop(0)
        while kept and kept[0] == last + 1:
            last = kept.pop(0)
        digest = hashlib.sha256(data[first * BLOCK : (last + 1) * BLOCK]).hexdigest()
        ranges.append(MappedRange(first, last, digest))
    return ranges


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("holes", [False, True])
def test_the_map_is_what_its_definition_says(seed: int, holes: bool) -> None:
    draw = random.Random(seed)
    data = bytearray(SIZE)
    for _ in range(draw.randrange(6)):
        at = draw.randrange(SIZE)
        data[at] = 1
    edges = sorted(draw.sample(range(SIZE), 6))
    unused = [(a, b - a) for a, b in zip(edges[::2], edges[1::2], strict=True)]

    for piece in (BLOCK, 3 * BLOCK, 64 * BLOCK):
        found = mapped(bytes(data), unused, piece, holes=holes)
        assert found.ranges == expected(bytes(data), unused)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bmap")
    spec = write_spec(folder, esp=True)
    overrides = ("output.bmap=true", "layout.table=hybrid", "size.additional=100MiB")
    result = asyncio.run(build(plan_of(spec, overrides), lambda e: None, outdir=folder / "out"))
    assert result.status == "ok", result.message
    return folder / "out"


def write_over_garbage(image: Path, block_map: Path, device: Path) -> None:
    """Does what `bmaptool copy` does, to a device full of something else."""
    root = ET.parse(block_map).getroot()
    with device.open("wb") as file, image.open("rb") as source:
        for _ in range(0, image.stat().st_size, 1 << 20):
            file.write(b"\xaa" * (1 << 20))
        file.truncate(image.stat().st_size)
        for part in root.iter("Range"):
            first, _, last = (part.text or "").strip().partition("-")
            source.seek(int(first) * BLOCK)
            data = source.read((int(last or first) - int(first) + 1) * BLOCK)
            assert hashlib.sha256(data).hexdigest() == part.get("chksum")
            file.seek(int(first) * BLOCK)
            file.write(data)


def test_a_device_full_of_garbage_becomes_the_disk(built: Path, tmp_path: Path) -> None:
    image, device = built / "demo.img", tmp_path / "device"

    write_over_garbage(image, built / "demo.img.bmap", device)

    found = compare(image, device)
    assert not found.fields
    for piece in found.ranges:
        assert "unallocated" in piece.a or piece.a == "outside all partitions", piece
    run_tool(["sfdisk", "--verify", device], check=True)
    for role in ("root", "esp"):
        start, size = next(
            (p.start * 512, p.bytes)
            for p in plan_of(built.parent / "demo.toml", (
                "layout.table=hybrid", "size.additional=100MiB",
            )).partitions
            if p.role == role
        )  # fmt: skip
        alone = tmp_path / role
        with device.open("rb") as file:
            file.seek(start)
            alone.write_bytes(file.read(size))
        checker = ["e2fsck", "-fn"] if role == "root" else ["fsck.fat", "-n"]
        subprocess.run([*checker, alone], check=True)


def test_most_of_an_empty_disk_is_left_out(built: Path) -> None:
    root = ET.parse(built / "demo.img.bmap").getroot()
    figures = {child.tag: (child.text or "").strip() for child in root}

    assert int(figures["ImageSize"]) == (built / "demo.img").stat().st_size
    assert int(figures["MappedBlocksCount"]) * 4 < int(figures["BlocksCount"])


@pytest.mark.skipif(shutil.which("bmaptool") is None, reason="bmap-tools is not installed")
def test_bmaptool_copies_by_the_map(built: Path, tmp_path: Path) -> None:
    device = tmp_path / "device"
    image = built / "demo.img"
    environment = {"PYTHONWARNINGS": "ignore"}

    run_tool(
        ["bmaptool", "copy", "--bmap", f"{image}.bmap", image, device],
        check=True, capture_output=True, env=environment,
    )  # fmt: skip

    assert compare(image, device).identical
