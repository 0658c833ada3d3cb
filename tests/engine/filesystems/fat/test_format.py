"""An empty file system of ours against that of the real mkfs.fat, and the values within."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from engine.filesystems.fat.format import FIRST_SECOND, LAST_SECOND, Volume, fat_time, label_problem
from engine.filesystems.fat.geometry import DIRECTORY_ENTRY, FatGeometry, geometry
from engine.filesystems.fat.writer import make_empty
from tests.support.fat import EPOCH, VOLUME, fsck, hole, mkfs_argv

MIB = 1 << 20
SIZES = [
    *((mib, 512, 32) for mib in (33, 34, 64, 100, 259, 260, 261, 512, 1000)),
    *((mib, 4096, 32) for mib in (257, 300, 1024)),
    *((mib, 512, 16) for mib in (9, 16, 31, 32, 33, 40, 128, 511)),
    *((mib, 4096, 16) for mib in (68, 100, 300)),
    *((mib, 512, 12) for mib in (1, 2, 3, 4, 5, 8, 12)),
    *((mib, 4096, 12) for mib in (1, 4, 5, 12, 32)),
]


def free_to_differ(layout: FatGeometry) -> set[int]:
    """The bytes that ours means to have otherwise: boot code, end mark of the root, label's times.

    The message of mkfs.fat's boot code ends before byte 256.
    """
    code = range(0x5A if layout.bits == 32 else 0x3E, 256)
    label = layout.root_start
    found = {*code, *range(label + 13, label + 20), *range(label + 22, label + 26)}
    if layout.bits == 32:
        backup = 6 * layout.sector_size
        found |= {backup + at for at in code}
        found |= {layout.fat_start(number) + 8 for number in (0, 1)}
    return found


def start_of(image: Path, length: int) -> bytes:
    with image.open("rb") as file:
        return file.read(length)


@pytest.mark.parametrize("label", ["ESP", ""])
@pytest.mark.parametrize(("mib", "sector_size", "bits"), SIZES)
def test_an_empty_one_has_the_bytes_of_mkfs(
    mib: int, sector_size: int, bits: int, label: str, tmp_path: Path
) -> None:
    layout = geometry(mib * MIB, sector_size=sector_size, bits=bits)
    ours = hole(tmp_path / "ours", mib * MIB)
    theirs = hole(tmp_path / "theirs", mib * MIB)
    volume = Volume(label=label, volume_id=0xFEDC_BA98, epoch=EPOCH, hidden_sectors=2048)
    make_empty(ours, 0, layout, volume)
    subprocess.run(mkfs_argv(layout, str(theirs), 0, volume), check=True, capture_output=True)

    end = layout.data_start + layout.cluster_size
    first, second = start_of(ours, end), start_of(theirs, end)
    different = {at for at in range(end) if first[at] != second[at]} if first != second else set()
    assert different <= free_to_differ(layout)
    assert first[3:11] == b"mkfs.fat"
    fsck(ours)


def test_what_is_zero_stays_a_hole(tmp_path: Path) -> None:
    image = hole(tmp_path / "image", 1 << 30)
    make_empty(image, MIB, geometry(1023 * MIB), VOLUME)
    assert image.stat().st_blocks * 512 <= 64 << 10


@pytest.mark.parametrize(
    ("seconds", "found"),
    [
        (FIRST_SECOND, (1 << 5 | 1, 0, 0)),
        (FIRST_SECOND - 1, (1 << 5 | 1, 0, 0)),
        (0, (1 << 5 | 1, 0, 0)),
        (-5, (1 << 5 | 1, 0, 0)),
        (FIRST_SECOND + 3, (1 << 5 | 1, 1, 100)),
        (LAST_SECOND, (127 << 9 | 12 << 5 | 31, 23 << 11 | 59 << 5 | 29, 100)),
        (951_782_399, (20 << 9 | 2 << 5 | 28, 23 << 11 | 59 << 5 | 29, 100)),
        (951_782_400, (20 << 9 | 2 << 5 | 29, 0, 0)),
    ],
)
def test_times(seconds: int, found: tuple[int, int, int]) -> None:
    assert fat_time(seconds * 10**9) == found


def test_times_past_the_last_are_the_last() -> None:
    date, clock, hundredths = fat_time((LAST_SECOND + 1) * 10**9)
    assert (date, clock) == fat_time(LAST_SECOND * 10**9)[:2]
    assert hundredths == 199


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("ESP", ""), ("", ""), ("MY DISK", ""), ("elevenchars", ""), ("É", ""),
        ("twelve chars", "at most 11"), ("a.b", "control characters"), ("a\n", "control"),
        (" a", "blank"), ("日", "code page"),
    ],
)  # fmt: skip
def test_labels(label: str, reason: str) -> None:
    assert (reason in label_problem(label)) if reason else label_problem(label) == ""


def test_a_label_that_cannot_be_writes_nothing(tmp_path: Path) -> None:
    image = hole(tmp_path / "image", 40 * MIB)
    volume = Volume(label="a:b", volume_id=1, epoch=EPOCH)
    with pytest.raises(ValueError, match="'a:b': a FAT label has no"):
        make_empty(image, 0, geometry(40 * MIB), volume)
    assert image.stat().st_blocks == 0


def test_an_epoch_before_fat_is_its_first_day(tmp_path: Path) -> None:
    image = hole(tmp_path / "image", 40 * MIB)
    layout = geometry(40 * MIB)
    make_empty(image, 0, layout, Volume(label="ESP", volume_id=1, epoch=0))
    label = image.read_bytes()[layout.root_start :][:DIRECTORY_ENTRY]
    assert label[16:18] == label[18:20] == label[24:26] == b"\x21\0"
