"""What is found where a FAT file system is not the one that was planned."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.filesystems.driver import Request, Written
from engine.filesystems.fat.check import differences
from engine.filesystems.fat.driver import DRIVERS
from engine.filesystems.fat.geometry import geometry
from engine.filesystems.fat.writer import fill
from engine.manifest.entry import Entry
from engine.manifest.memory import directory, file_of
from tests.support.fat import EPOCH, VOLUME, hole, manifest

MIB = 1 << 20
NS = 10**9
LAYOUT = geometry(34 * MIB)
ID = "1234-ABCD"


def one(
    path: bytes = b"EFI/A", data: bytes = b"x" * 5000, at: int = EPOCH, mode: int = 0o644
) -> Entry:
    return file_of(path, data, mtime_ns=at * NS, mode=mode)


def found(
    image: Path, entries: list[Entry], uuid: str = ID, label: str = "ESP", *, alone: bool = True
) -> list[str]:
    reports: list[tuple[int, int]] = []
    request = Request(manifest=manifest(*entries), label=label, uuid=uuid)
    answer = differences(
        Written(
            image=image, offset=0, title="ESP", alone=alone,
            planned=DRIVERS["vfat"].fit(request, LAYOUT.size),
            report=lambda done, total: reports.append((done, total)),
        )
    )  # fmt: skip
    assert all(done <= total for done, total in reports)
    return answer


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = hole(tmp_path_factory.mktemp("fat") / "image", LAYOUT.size)
    fill(made, 0, LAYOUT, VOLUME, manifest(one()))
    return made


def test_nothing_where_all_is_as_planned(image: Path) -> None:
    assert found(image, [one()]) == []


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([one(), one(b"EFI/B")], "/EFI/B is missing"),
        ([one(data=b"x" * 4999)], "/EFI/A has 5,000 bytes of 4,999"),
        ([one(data=b"x" * 4999 + b"y")], "/EFI/A has other bytes than its source"),
        ([one(at=EPOCH + 2)], f"/EFI/A has the time {EPOCH}, planned {EPOCH + 2}"),
        ([one(mode=0o444)], "/EFI/A is not read-only"),
        ([directory(b"EFI/A", mtime_ns=EPOCH * NS)], "/EFI/A is a file"),
        ([one(b"EFI", b"")], "/EFI is a directory"),
        ([], "/EFI is there unplanned"),
    ],
)
def test_each_difference_is_named(image: Path, entries: list[Entry], message: str) -> None:
    assert found(image, entries)[0] == message


def test_what_a_guest_adds_and_touches_is_its_own(image: Path) -> None:
    assert found(image, [], alone=False) == []
    assert found(image, [one(at=EPOCH + 2)], alone=False) == []
    assert found(image, [one(data=b"y")], alone=False) == ["/EFI/A has 5,000 bytes of 1"]


def test_volume_id_and_label(image: Path) -> None:
    assert found(image, [one()], uuid="0000-0000", label="BOOT") == [
        "its volume id is 1234-ABCD, planned 0000-0000",
        "its label is ESP, planned BOOT",
    ]
