from __future__ import annotations

import asyncio
import itertools
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cli.diff import to_text
from engine.compare.diff import Comparison, compare
from engine.compare.ranges import differing, union
from engine.compare.regions import Region, RegionMap
from engine.image.container import open_disk
from engine.pipeline.build import build
from tests.support.specs import plan_of, write_spec
from tests.support.tools import run_tool

ROOT_START = 42 << 20
ESP_START = 1 << 20
SCRIPT = """label: gpt
label-id: 97FD5997-D90B-4AA3-8D16-0C1723AEA73C
start=2048, size=81920, type=uefi, uuid=1C06F03B-704E-4657-B9CD-681A087A2FDC, name=ESP
start=86016, size=40960, type=linux, uuid=F222513B-DED1-49FA-B591-20CE86A2FE7F, name=root
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("diff")
    image = folder / "disk.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    run_tool(["sfdisk", "-q", image], input=SCRIPT, text=True, check=True)
    run_tool(
        ["mkfs.fat", "-F", "32", "--offset", "2048", image, "40960"],
        check=True, capture_output=True,
    )  # fmt: skip
    tree = folder / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (tree / "data").write_bytes(random.Random(1).randbytes(100_000))
    run_tool(
        ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-E", f"offset={ROOT_START}", "-d", tree,
         image, "20480K"], check=True, capture_output=True,
    )  # fmt: skip
    source = folder / "loader"
    source.write_bytes(b"L" * 3000)
    run_tool(["mcopy", "-i", f"{image}@@1M", source, "::/LOADER"], check=True)
    return image


@pytest.fixture
def changed(image: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "changed.img"
    subprocess.run(["cp", "--sparse=always", image, copy], check=True)
    return copy


def poke(path: Path, at: int, value: bytes | None = None) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(1)
        file.seek(at)
        file.write(value if value is not None else bytes([old[0] ^ 0xFF]))


def debugfs(path: Path, *commands: str) -> None:
    script = path.with_suffix(".debugfs")
    script.write_text("\n".join(commands) + "\n")
    run_tool(
        ["debugfs", "-w", "-f", script, f"{path}?offset={ROOT_START}"],
        check=True, capture_output=True,
    )  # fmt: skip


def places(found: Comparison) -> set[str]:
    return {piece.a for piece in found.ranges}


def test_an_image_equals_itself_in_every_format(image: Path, tmp_path: Path) -> None:
    for kind in ("raw", "qcow2", "vdi"):
        other = tmp_path / f"other.{kind}"
        run_tool(["qemu-img", "convert", "-O", kind, image, other], check=True)
        assert compare(image, other).identical


def test_an_owner_is_named_by_path_and_its_bytes_by_inode(image: Path, changed: Path) -> None:
    debugfs(changed, "sif /etc/passwd uid 7")
    found = compare(image, changed)
    (difference,) = found.fields
    assert (difference.where, difference.a, difference.b) == (
        "partition 2, /etc/passwd, owner", "0:0", "7:0",
    )  # fmt: skip
    assert all("(/etc/passwd)" in place for place in places(found))


def test_a_changed_byte_of_a_file_is_found_at_its_offset(image: Path, changed: Path) -> None:
    with open_disk(image) as disk:
        at = disk.read(ROOT_START, 20 << 20).find(random.Random(1).randbytes(64)) + ROOT_START
    poke(changed, at + 77)
    found = compare(image, changed)
    (difference,) = found.fields
    assert (difference.where, difference.a) == (
        "partition 2, /data, content", "differs from byte 77",
    )  # fmt: skip
    (piece,) = found.ranges
    assert (piece.start, piece.end, piece.a) == (
        at + 77, at + 78, "partition 2, data of /data",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("at", "place"),
    [
        (3, "boot code in the first sector"),
        (440, "disk signature in the first sector"),
        (512 + 60, "primary GPT header"),
        (1024 + 20, "primary GPT entries"),
        (600_000, "outside all partitions"),
        (ESP_START + 3, "partition 1, FAT boot sector"),
        (ESP_START + 32 * 512 + 9, "partition 1, file allocation table 1"),
        (ROOT_START + 40, "partition 2, boot block"),
        (ROOT_START + 1024 + 0x78, "partition 2, superblock"),
        (ROOT_START + 4096 + 17, "partition 2, group descriptors"),
        (ROOT_START + (19 << 20), "partition 2, unallocated blocks"),
        ((64 << 20) - 512 + 56, "backup GPT header"),
    ],
)
def test_every_byte_is_attributed(image: Path, changed: Path, at: int, place: str) -> None:
    poke(changed, at)
    found = compare(image, changed)
    assert not found.identical
    assert places(found) == {place}
    assert found.bytes == 1


def test_a_new_file_and_a_label_are_named(image: Path, changed: Path, tmp_path: Path) -> None:
    source = tmp_path / "new"
    source.write_bytes(b"n" * 5000)
    debugfs(changed, f"write {source} /etc/new")
    poke(changed, ROOT_START + 1024 + 0x78, b"label")
    found = compare(image, changed).fields
    where = {difference.where: difference for difference in found}
    kinds = [difference.kind for difference in found]
    assert len(kinds) - kinds[::-1].index("path") <= kinds.index("superblock")
    assert (where["partition 2, /etc/new"].a, where["partition 2, /etc/new"].b) == (
        "absent", "present",
    )  # fmt: skip
    assert "partition 2, superblock, label" in where
    assert "partition 2, superblock, free inodes" in where


@pytest.mark.parametrize(
    ("at", "length", "where"),
    [
        (ROOT_START + 1024 + 0x178, 8, "partition 2, superblock, kibibytes written"),
        (ROOT_START + 1024 + 0x300, 1, "partition 2, superblock, bytes from 0x300"),
        (ROOT_START + 4096 + 0x10, 2, "partition 2, descriptor of group 0, directories (low)"),
        (ESP_START + 3, 8, "partition 1, FAT boot sector, OEM name"),
        (ESP_START + 65, 1, "partition 1, FAT boot sector, dirty flags"),
    ],
)
def test_every_field_of_a_structure_is_named(
    image: Path, changed: Path, at: int, length: int, where: str
) -> None:
    poke(changed, at, b"\xa5" * length)
    (difference,) = compare(image, changed).fields
    assert difference.where == where
    assert difference.a != difference.b


def test_fields_of_an_inode_are_named_by_path(image: Path, changed: Path) -> None:
    debugfs(changed, "sif /data generation 4711", "sif /data crtime @1000000001")
    found = compare(image, changed)
    named = {difference.where: difference.b for difference in found.fields}
    assert named == {
        "partition 2, /data, generation": hex(4711),
        "partition 2, /data, birth time": "2001-09-09 01:46:41.000000000",
    }


def test_another_order_of_names_is_named(tmp_path: Path) -> None:
    pair = []
    for order in ("ab", "ba"):
        image = tmp_path / f"{order}.img"
        run_tool(
            ["mkfs.fat", "-C", "-i", "12345678", "--invariant", image, "1440"],
            check=True, capture_output=True,
        )  # fmt: skip
        for name in order:
            source = tmp_path / name
            source.write_bytes(b"same")
            os.utime(source, (1_000_000_000, 1_000_000_000))
            run_tool(["mcopy", "-m", "-i", image, source, f"::/{name}"], check=True)
        pair.append(image)
    named = {
        difference.where: (difference.a, difference.b)
        for difference in compare(pair[0], pair[1]).fields
    }
    assert named["disk, /, order of names, from number 1"] == ("a", "b")


@pytest.mark.parametrize(
    ("sector", "place"),
    [
        (1, "FAT information sector"),
        (6, "backup of the FAT boot sector"),
        (7, "backup of the FAT information sector"),
        (9, "reserved sectors of FAT"),
    ],
)
def test_reserved_sectors_of_fat_are_told_apart(
    image: Path, changed: Path, sector: int, place: str
) -> None:
    poke(changed, ESP_START + sector * 512 + 490)
    assert places(compare(image, changed)) == {f"partition 1, {place}"}


def test_hostile_names_reach_no_terminal(tmp_path: Path) -> None:
    pair = []
    for content in ("one", "two"):
        tree = tmp_path / content
        tree.mkdir()
        (tree / "\x1b[31mred\nline").write_text(content)
        (tree / "link").symlink_to(f"\x1b]0;{content}\x07")
        image = tmp_path / f"{content}.img"
        run_tool(
            ["mke2fs", "-q", "-F", "-L", f"\x1b{content}", "-d", tree, image, "1M"],
            check=True, capture_output=True,
        )  # fmt: skip
        pair.append(image)
    printed = to_text(compare(pair[0], pair[1]))
    assert "/\\x1b[31mred\\nline, content" in printed
    assert all(line.isprintable() for line in printed.splitlines())


def test_table_fields_are_named(image: Path, changed: Path) -> None:
    run_tool(
        ["sfdisk", "-q", "--part-uuid", changed, "2", "11111111-2222-3333-4444-555555555555"],
        check=True,
    )
    (difference,) = compare(image, changed).fields
    assert difference.where == "partition 2, guid"


def test_sizes_may_differ(image: Path, changed: Path) -> None:
    with changed.open("r+b") as file:
        file.truncate(65 << 20)
    (difference,) = compare(image, changed).fields
    assert difference.where == "disk, bytes"


def test_a_large_sparse_pair_is_compared_without_reading_its_holes(tmp_path: Path) -> None:
    pair = [tmp_path / "a.img", tmp_path / "b.img"]
    for number, path in enumerate(pair):
        with path.open("wb") as file:
            file.truncate(1 << 40)
            file.seek(1 << 39)
            file.write(bytes([number + 1]) * 10)
    with open_disk(pair[0]) as a, open_disk(pair[1]) as b:
        assert list(differing(a, b)) == [(1 << 39, (1 << 39) + 10)]


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 40))),
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 40))),
)
def test_a_union_covers_both_and_nothing_else(
    left: list[tuple[int, int]], right: list[tuple[int, int]]
) -> None:
    merged = list(union(left, right))
    covered = {at for start, end in merged for at in range(start, end)}
    assert covered == {at for start, n in left + right for at in range(start, start + n)}
    assert merged == sorted(merged)


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 30), st.sampled_from("abc"))),
    st.integers(0, 200), st.integers(1, 60),
)  # fmt: skip
def test_a_cut_loses_no_byte(regions: list[tuple[int, int, str]], start: int, length: int) -> None:
    chart = RegionMap((Region(at, at + n, what) for at, n, what in regions), "rest")
    pieces = chart.cut(start, start + length)
    assert pieces[0].start == start
    assert pieces[-1].end == start + length
    assert all(left.end == right.start for left, right in itertools.pairwise(pieces))


def test_the_fixture_is_what_other_tools_call_clean(image: Path, tmp_path: Path) -> None:
    root = tmp_path / "root.img"
    with image.open("rb") as source, root.open("wb") as target:
        source.seek(ROOT_START)
        shutil.copyfileobj(source, target, 20 << 20)
    run_tool(["e2fsck", "-fn", root], check=True, capture_output=True)


def test_a_table_of_4096_byte_sectors(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    images = []
    for name, seed in (("one", "3d0f2b1c-8f0e-4c58-9d9b-0a1f5d0e7c11"), ("two", "")):
        overrides = (
            "layout.sector_size=4096", "size.boot=260MiB", f'identity.seed="{seed}"',
        )  # fmt: skip
        plan = plan_of(spec, overrides)
        result = asyncio.run(build(plan, lambda event: None, outdir=tmp_path / name))
        assert result.status == "ok", result.message
        images.append(tmp_path / name / "demo.img")

    found = compare(images[0], images[1])

    named = {difference.where for difference in found.fields}
    assert {"table, disk GUID", "partition 1, guid", "partition 2, guid"} <= named
    assert {"partition 2, superblock, uuid", "partition 1, FAT, volume id"} <= named
    tables = {piece.a for piece in found.ranges if "GPT" in piece.a}
    assert tables == {
        "primary GPT header", "primary GPT entries", "backup GPT header", "backup GPT entries",
    }  # fmt: skip
    assert not [piece for piece in found.ranges if "unknown" in piece.a or "outside" in piece.a]
