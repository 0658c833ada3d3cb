"""Swap space, as blkid, swaplabel, mkswap, file and our own reader see it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cli import main
from engine.compare.diff import compare
from engine.filesystems.driver import DoesNotFit, Request
from engine.filesystems.swap.driver import PAGE_SIZE, SwapDriver
from engine.image.container.disk import RawDisk
from engine.inspect.image import open_image
from engine.manifest.manifest import Manifest
from tests.engine.filesystems import writing
from tests.engine.filesystems.ext4 import trees
from tests.support.tools import run_tool

EMPTY = Manifest(())
MIB = 1 << 20


def fields(image: Path) -> dict[str, str]:
    """Returns what blkid finds at the swap space's offset."""
    probe = ("blkid", "-p", "-O", str(writing.OFFSET), "-o", "export", image)
    printed = run_tool(probe, check=True, capture_output=True, text=True).stdout
    return dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)


@given(free=st.integers(0, (1 << 44) - 2 * MIB))
def test_least_leaves_what_is_asked_for_and_its_parts_sum(free: int) -> None:
    sized = SwapDriver().least(Request(manifest=EMPTY, uuid=writing.UUID, free=free))
    assert sized.bytes % MIB == 0
    assert sized.filesystem.free_bytes >= free
    assert sized.bytes - free < 2 * MIB
    assert sum(size for _, size in sized.filesystem.parts) == sized.filesystem.size == sized.bytes


@pytest.mark.parametrize(("size", "pages"), [(40_960, 10), (40_961, 10), (1 << 44, 1 << 32)])
def test_sizes_are_whole_pages(size: int, pages: int) -> None:
    planned = SwapDriver().fit(Request(manifest=EMPTY), size)
    assert (planned.blocks, planned.size) == (pages, pages * PAGE_SIZE)


@pytest.mark.parametrize("size", [0, 4096, 40_959, (1 << 44) + 4096])
def test_refuses_what_no_kernel_takes(size: int) -> None:
    with pytest.raises(DoesNotFit, match=f"{size:,}"):
        SwapDriver().fit(Request(manifest=EMPTY), size)


def test_files_are_refused_by_name() -> None:
    manifest = trees.manifest([trees.file(b"a", 1)])
    planned = SwapDriver().fit(Request(manifest=manifest), MIB)
    assert [one.entry.path for one in planned.refused] == [b"a"]


@given(
    label=st.text(max_size=16).filter(lambda text: len(text.encode()) <= 16 and "\0" not in text)
)
def test_reads_back_as_written(label: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    image = tmp_path_factory.mktemp("swap") / "image"
    planned = writing.plan("swap", EMPTY, label=label)
    sums = writing.write(image, planned)
    assert writing.read_back(image, planned, sums) == []


def test_other_tools_read_it(tmp_path: Path) -> None:
    image = tmp_path / "image"
    planned = writing.plan("swap", EMPTY, label="spare")
    writing.write(image, planned)
    found = fields(image)
    assert (found["TYPE"], found["VERSION"]) == ("swap", "1")
    assert (found["UUID"], found["LABEL"]) == (writing.UUID, "spare")
    copy = writing.alone(image, planned)
    printed = run_tool(("swaplabel", copy), check=True, capture_output=True, text=True)
    assert printed.stdout.split() == ["LABEL:", "spare", "UUID:", writing.UUID]
    said = run_tool(("file", "-b", copy), check=True, capture_output=True, text=True).stdout
    assert re.search(r"swap file.*version 1, size 255 pages", said)


def test_is_what_mkswap_makes(tmp_path: Path) -> None:
    image, other = tmp_path / "image", tmp_path / "mkswap"
    planned = writing.plan("swap", EMPTY, label="spare")
    writing.write(image, planned)
    with other.open("wb") as file:
        file.truncate(planned.size)
    command = ("mkswap", "-q", "-U", writing.UUID, "-L", "spare", "-p", "4096", other)
    run_tool(command, check=True)
    ours = writing.alone(image, planned).read_bytes()
    assert ours == other.read_bytes()
    assert len(ours) - ours.count(0) == 33


@pytest.mark.parametrize("label", ["x" * 17, "ü" * 9, "a\0b"])
def test_a_label_that_is_none_writes_nothing(label: str, tmp_path: Path) -> None:
    planned = writing.plan("swap", EMPTY, label=label)
    with pytest.raises(ValueError, match="label"):
        writing.write(tmp_path / "image", planned)


def test_inspect_names_it_and_looks_for_no_files_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(MIB)
    command = ("mkswap", "-q", "-U", writing.UUID, "-L", "spare", "-p", "4096", image)
    run_tool(command, check=True)
    assert main.main(["inspect", str(image)]) == 0
    assert f'swap "spare" {writing.UUID}' in capsys.readouterr().out
    found = open_image(image)
    with found.disk:
        (part,) = found.parts
        assert part.content is not None
        assert part.filesystem is None
    assert main.main(["inspect", str(image), "/"]) == 2


@pytest.mark.parametrize("page_size", [4096, 16384, 65536])
def test_reads_other_page_sizes(page_size: int, tmp_path: Path) -> None:
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(writing.OFFSET + MIB)
    swap = tmp_path / "swap"
    with swap.open("wb") as file:
        file.truncate(MIB)
    command = ("mkswap", "-q", "-U", writing.UUID, "-p", str(page_size), swap)
    run_tool(command, check=True, capture_output=True)
    with image.open("r+b") as file:
        file.seek(writing.OFFSET)
        file.write(swap.read_bytes())
    with RawDisk(image) as disk:
        content = writing.opened(disk, MIB)
        assert (content.type, content.block_size, content.size) == ("swap", page_size, MIB)


def test_diff_names_the_field(tmp_path: Path) -> None:
    images = []
    for label in ("one", "two"):
        images.append(tmp_path / label)
        planned = writing.plan("swap", EMPTY, label=label)
        writing.write(images[-1], planned)
        writing.alone(images[-1], planned).rename(images[-1])
    found = compare(images[0], images[1])
    assert [(each.where, each.a, each.b) for each in found.fields] == [
        ("disk, swap, label", "one", "two")
    ]
    assert {each.a for each in found.ranges} == {"disk, swap header"}
