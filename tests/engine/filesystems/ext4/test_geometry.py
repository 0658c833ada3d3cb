"""The geometry is the one that mke2fs makes, block for block."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.filesystems.ext4.format import FORMATS, ExtFormat
from engine.filesystems.ext4.geometry import (
    Geometry,
    GeometryError,
    backup_groups,
    default_inodes,
    geometry,
    has_backup,
    journal_blocks,
)
from engine.filesystems.ext4.mke2fs import mke2fs_argv
from engine.tools.environment import tool_environment
from tests.engine.filesystems.ext4 import dumpe2fs
from tests.support.ext import inode_size
from tests.support.tools import run_tool

MIB = 1 << 20
GIB = 1 << 30

FIELDS = {
    "Block count": "blocks",
    "Inode count": "inodes",
    "Reserved block count": "reserved_blocks",
    "Free blocks": "free_blocks",
    "Free inodes": "free_inodes",
    "Blocks per group": "blocks_per_group",
    "Inodes per group": "inodes_per_group",
    "Inode blocks per group": "inode_table_blocks",
    "Reserved GDT blocks": "reserved_gdt_blocks",
}
JOURNAL_INODE = 8


def assert_real(image: Path, layout: Geometry, reserved_percent: int) -> None:
    """Makes the file system and compares every figure that debugfs shows."""
    dumpe2fs.make(image, layout, reserved_percent=reserved_percent)
    shown = dumpe2fs.header(image)
    real = {ours: int(shown.get(theirs, 0)) for theirs, ours in FIELDS.items()}
    assert real == {ours: getattr(layout, ours) for ours in real}
    journal = inode_size(image, dumpe2fs.OFFSET, JOURNAL_INODE)
    assert journal == layout.journal_blocks * layout.block_size
    image.unlink()


@st.composite
def spaces(draw: st.DrawFn) -> int:
    """Sizes over all magnitudes, and around the edges of a group."""
    magnitude = draw(st.integers(20, 36))
    size = draw(st.integers(1 << magnitude, 2 << magnitude))
    if draw(st.booleans()):
        size = size // MIB * MIB
    if draw(st.booleans()):
        groups = max(1, size // (128 * MIB))
        size = groups * 128 * MIB + draw(st.integers(0, 1500)) * 4096
    return size


@settings(max_examples=40, deadline=None)
@given(data=st.data(), size=spaces(), ext=st.sampled_from(list(FORMATS.values())))
def test_is_what_mke2fs_makes(
    data: st.DataObject, size: int, ext: ExtFormat, tmp_path_factory: pytest.TempPathFactory
) -> None:
    inodes = data.draw(
        st.one_of(st.none(), st.integers(1, size // 4096), st.integers(1, size // 16384 + 32))
    )
    reserved_percent = data.draw(st.sampled_from([0, 5]))
    try:
        layout = geometry(size, ext=ext, inodes=inodes, reserved_percent=reserved_percent)
    except GeometryError:
        # Only where the inodes leave no room; a file system of a default shape always works.
        assert inodes is not None
        return
    assert_real(tmp_path_factory.getbasetemp() / "geometry.img", layout, reserved_percent)


@pytest.mark.parametrize(
    ("size", "inodes", "why"),
    [
        (MIB, None, "the smallest"),
        (8 * MIB - 4096, None, "too small for a journal"),
        (8 * MIB, None, "the smallest with a journal"),
        (512 * MIB - 4096, None, "the last with an inode for each 4 KiB"),
        (512 * MIB, None, "the first with an inode for each 16 KiB"),
        (128 * MIB + 300 * 4096, 1000, "a last group that is dropped"),
        (30 * MIB, 100_000, "groups made smaller to hold the inodes"),
        (47 * MIB, 80_880, "a dropped group, then smaller groups"),
        (200 * GIB, None, "a journal that needs a block of extents"),
    ],
)
def test_edges(size: int, inodes: int | None, why: str, tmp_path: Path) -> None:
    assert_real(tmp_path / why, geometry(size, inodes=inodes, reserved_percent=5), 5)


@pytest.mark.parametrize("ext", FORMATS.values(), ids=lambda ext: str(ext.name))
@pytest.mark.parametrize("size", [MIB, 20 * MIB, 260 * MIB])
def test_the_bytes_are_those_of_a_plain_mkfs(ext: ExtFormat, size: int, tmp_path: Path) -> None:
    """compat = "make-disk-image": the explicit options change nothing but what is random."""
    ours, plain = tmp_path / "ours", tmp_path / "plain"
    dumpe2fs.make(ours, geometry(size, ext=ext, reserved_percent=5), reserved_percent=5)
    with plain.open("wb") as file:
        file.truncate(dumpe2fs.OFFSET + size)
    run_tool(
        [
            f"mkfs.{ext.name}", "-q", "-b", "4096", "-F", "-L", "root", "-U", dumpe2fs.UUID,
            "-E", f"offset={dumpe2fs.OFFSET},hash_seed={dumpe2fs.UUID},root_owner=0:0,"
            "lazy_itable_init=0",
            plain, f"{size // 1024}K",
        ],
        epoch=0,
        check=True,
        capture_output=True,
    )  # fmt: skip
    subprocess.run(["cmp", ours, plain], check=True)


@pytest.mark.parametrize("ext", FORMATS.values(), ids=lambda ext: str(ext.name))
@pytest.mark.parametrize("size", [5 * MIB, GIB, 11 * GIB])
def test_free_space_has_no_more_pieces_than_said(ext: ExtFormat, size: int, tmp_path: Path) -> None:
    image = tmp_path / "image"
    layout = geometry(size, ext=ext)
    dumpe2fs.make(image, layout)
    pieces = dumpe2fs.free_pieces(image)
    assert sum(count for _, count in pieces) == layout.free_blocks
    assert layout.breaks // 2 <= len(pieces) <= layout.breaks + 1


def test_nothing_depends_on_time_or_place(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for image in (first, second):
        dumpe2fs.make(image, geometry(64 * MIB))
    assert first.read_bytes() == second.read_bytes()
    # s_mkfs_time: 1 is the fake clock, which 1.47.0 takes; later ones take SOURCE_DATE_EPOCH.
    (created,) = struct.unpack_from("<I", first.read_bytes(), dumpe2fs.OFFSET + 1024 + 0x108)
    assert created in (0, 1)


def test_an_empty_file_system_stays_sparse(tmp_path: Path) -> None:
    image = tmp_path / "image"
    dumpe2fs.make(image, geometry(64 * GIB))
    assert image.stat().st_blocks * 512 < 16 * MIB


@pytest.mark.parametrize("size", [0, 4096, 20 * 4096])
def test_refuses_what_is_too_small(size: int) -> None:
    with pytest.raises(GeometryError):
        geometry(size, inodes=16)


def test_refuses_more_inodes_than_there_is_room_for(tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match="163840 inodes"):
        geometry(40 * MIB, inodes=163_840)


def test_tables_agree_with_their_sources() -> None:
    assert [default_inodes(size) for size in (2 * MIB, 511 * MIB, 512 * MIB, 4 << 40)] == [
        256,
        130_816,
        32_768,
        134_217_728,
    ]
    assert [journal_blocks(n) for n in (2047, 2048, 32768, 262144, 1 << 26)] == [
        0, 1024, 4096, 8192, 262144,
    ]  # fmt: skip
    assert [group for group in range(130) if has_backup(group)] == [
        0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125,
    ]  # fmt: skip
    for groups in range(1, 130):
        assert backup_groups(groups) == sum(map(has_backup, range(groups)))


def test_the_command_leaves_nothing_to_the_machine() -> None:
    argv = mke2fs_argv(
        "disk.img", geometry(4 * MIB), offset=0, uuid=dumpe2fs.UUID, label="", reserved_percent=0
    )
    assert "has_journal" not in argv[argv.index("-O") + 1]
    assert argv[argv.index("-O") + 1].startswith("none,")
    environment = tool_environment(1234)
    assert (environment["MKE2FS_CONFIG"], environment["E2FSPROGS_FAKE_TIME"]) == (
        "/dev/null", "1234",
    )  # fmt: skip
