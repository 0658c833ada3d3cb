"""What the solver promises is what is left after mke2fs and the writer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.filesystems.ext4.format import EXT4, FORMATS, ExtFormat
from engine.filesystems.ext4.geometry import GeometryError, geometry
from engine.filesystems.ext4.measure import Need, measure
from engine.filesystems.ext4.solve import (
    MIB,
    Shortage,
    fits,
    fixed,
    headroom,
    smallest,
    solution,
    solve,
    taken_blocks,
)
from engine.filesystems.ext4.writer import fill
from engine.manifest.manifest import Manifest
from tests.engine.filesystems.ext4 import dumpe2fs
from tests.engine.filesystems.ext4.trees import file, files, manifest, manifests

GIB = 1 << 30


def left_after(image: Path, contents: Manifest, size: int, inodes: int) -> tuple[int, int]:
    """Makes and fills a file system for real; returns its free blocks and inodes."""
    layout = geometry(size, inodes=inodes)
    dumpe2fs.make(image, layout)
    fill(image, dumpe2fs.OFFSET, contents, epoch=1)
    left = dumpe2fs.free(image)
    dumpe2fs.check(image)
    image.unlink()
    return left


@settings(max_examples=30, deadline=None)
@given(
    contents=manifests(),
    additional=st.sampled_from([0, 1, 4096, 3 * MIB, 200 * MIB]),
    alignment=st.sampled_from([4096, MIB]),
)
def test_leaves_what_it_promises(
    contents: Manifest,
    additional: int,
    alignment: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    need = measure(contents)
    solved = solve(need, additional_bytes=additional, alignment=alignment)
    assert solved.size_bytes % alignment == 0
    image = tmp_path_factory.getbasetemp() / "solve.img"
    blocks, inodes = left_after(
        image, contents, solved.size_bytes, solved.geometry.requested_inodes
    )
    # Exact, but for files whose maps a block in their way would have made grow.
    unbroken = blocks - solved.free_bytes // 4096
    assert 0 <= unbroken <= min(need.breakable_blocks, 2 * solved.geometry.breaks)
    assert inodes == solved.free_inodes
    assert additional <= solved.free_bytes <= additional + max(additional // 100, 8 * MIB)
    assert inodes >= headroom(additional)


def test_many_empty_files_get_their_inodes(tmp_path: Path) -> None:
    contents = manifest(files(b"d", 40_000))
    solved = solve(measure(contents), additional_bytes=0)
    assert solved.size_bytes < 20 * MIB
    left = left_after(
        tmp_path / "image", contents, solved.size_bytes, solved.geometry.requested_inodes
    )
    assert left == (solved.free_bytes // 4096, solved.free_inodes)


def test_broken_files_are_provided_for(tmp_path: Path) -> None:
    """Files of 100 MiB may meet a backup superblock; then they take the spare blocks."""
    contents = manifest([file(b"f%d" % number, 100 * MIB) for number in range(3)])
    need = measure(contents)
    assert need.breakable_blocks == 3
    solved = solve(need, additional_bytes=0, alignment=4096)
    blocks, _ = left_after(
        tmp_path / "image", contents, solved.size_bytes, solved.geometry.requested_inodes
    )
    assert 0 <= blocks - solved.free_bytes // 4096 <= 3


NEEDS = st.builds(
    Need,
    inodes=st.integers(0, 300_000),
    data_blocks=st.integers(0, 20_000_000),
    breakable_blocks=st.sampled_from([0, 3, 5000]),
)


@settings(deadline=None)
@given(
    need=NEEDS,
    additional=st.one_of(st.integers(0, 64 * MIB), st.integers(0, 300 * GIB)),
    ext=st.sampled_from(list(FORMATS.values())),
)
def test_is_the_smallest_and_within_the_tolerance(
    need: Need, additional: int, ext: ExtFormat
) -> None:
    solved = solve(need, additional_bytes=additional, ext=ext)
    assert 0 <= solved.free_bytes - additional <= max(additional // 100, 8 * MIB)
    assert fits(need, solved.geometry) is None
    for less in range(MIB, min(solved.size_bytes, 20 * MIB), MIB):
        size = solved.size_bytes - less
        try:
            other = geometry(size, ext=ext, inodes=solved.geometry.requested_inodes)
        except GeometryError:
            continue
        left = solution(need, size, other)
        assert left.free_bytes < additional or left.free_inodes < headroom(additional)


@pytest.mark.parametrize("threshold", [32_768, 262_144, 524_288, 4 << 20, 8 << 20])
@pytest.mark.parametrize("beyond", [-9000, -300, -1, 0, 1, 700])
def test_journal_steps_cost_no_free_space(threshold: int, beyond: int) -> None:
    """Where a larger journal begins, the free space drops by up to 256 MiB."""
    need = Need(data_blocks=threshold + beyond - 5000)
    for additional in (0, 16 * MIB):
        solved = solve(need, additional_bytes=additional)
        assert 0 <= solved.free_bytes - additional <= 8 * MIB


def test_says_what_runs_out() -> None:
    layout = geometry(64 * MIB, inodes=1000)
    assert fits(Need(inodes=layout.free_inodes, data_blocks=layout.free_blocks), layout) is None
    assert fits(Need(data_blocks=layout.free_blocks + 1), layout) == Shortage(
        "blocks", layout.free_blocks + 1, layout.free_blocks
    )
    assert fits(Need(inodes=5000), layout) == Shortage("inodes", 5000, layout.free_inodes)


def test_free_space_is_not_what_is_reserved() -> None:
    layout = geometry(GIB, reserved_percent=5)
    left = solution(Need(data_blocks=1000), GIB, layout)
    assert left.free_bytes == (layout.free_blocks - layout.reserved_blocks - 1000) * 4096


@settings(deadline=None)
@given(need=NEEDS)
def test_smallest_of_either_kind_fits(need: Need) -> None:
    own = smallest(need)
    assert fits(need, own.geometry) is None
    plain = smallest(need, reserved_percent=5)
    assert plain.geometry == geometry(plain.size_bytes, reserved_percent=5)
    assert fits(need, plain.geometry) is None
    assert own.size_bytes <= plain.size_bytes + 8 * MIB


def test_plain_mkfs_needs_more_for_its_inodes() -> None:
    """At 512 MiB mke2fs makes a quarter of the inodes it makes just below."""
    need = Need(inodes=60_000, data_blocks=60_000)
    assert smallest(need).size_bytes < 270 * MIB
    assert smallest(need, reserved_percent=5).size_bytes < 512 * MIB
    plain = geometry(742 * MIB, reserved_percent=5)
    assert fits(need, plain) == Shortage("inodes", 60_000, plain.free_inodes)


def test_a_fixed_size_gets_the_usual_inodes_or_what_is_needed() -> None:
    assert fixed(Need(inodes=10), GIB).inodes == 65_536
    crowded = fixed(Need(inodes=100_000), GIB)
    assert 0 <= crowded.inodes - 100_000 - 11 - 16 < 16 * crowded.groups
    asked = fixed(Need(inodes=100_000), GIB, additional_inodes=50_000)
    assert asked.free_inodes >= 150_000


def test_inode_tables_give_way_to_contents() -> None:
    usual = geometry(GIB, inodes=65_536)
    need = Need(inodes=10, data_blocks=usual.free_blocks + 2000)
    assert fits(need, fixed(need, GIB)) is None


def test_a_fixed_size_that_is_too_small_still_says_what_runs_out() -> None:
    need = Need(inodes=200_000, data_blocks=10)
    layout = fixed(need, 8 * MIB)
    shortage = fits(need, layout)
    assert shortage is not None
    assert (shortage.resource, shortage.needed) == ("inodes", 200_000)
    with pytest.raises(GeometryError):
        fixed(need, 4096)


def test_refuses_more_than_ext_can_be() -> None:
    with pytest.raises(GeometryError, match="too many for one file system"):
        solve(Need(data_blocks=2**32), additional_bytes=0)


def test_taken_blocks_are_bounded_by_the_metadata_in_the_way() -> None:
    layout = geometry(4 * GIB, ext=EXT4)
    assert taken_blocks(Need(data_blocks=5, breakable_blocks=3), layout) == 8
    assert taken_blocks(Need(data_blocks=5, breakable_blocks=3000), layout) < 40
