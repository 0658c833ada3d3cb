"""What the build's own check tells of a volume that is not what was planned."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.filesystems.driver import FilesystemPlan
from engine.image.container.disk import RawDisk
from engine.manifest.datasums import DataSums
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from engine.pipeline.readback import differences
from tests.engine.filesystems import writing
from tests.engine.filesystems.ext4 import trees


def tree() -> Manifest:
    first = trees.file(b"first", 9000, xattrs=((b"user.a", b"1"),))
    return trees.manifest([
        first, trees.link(b"second", first), trees.symlink(b"link", b"target"),
        trees.file(b"sparse", 90_000, ((8192, 4096), (50_000, 60))), trees.device(b"zero"),
        *trees.files(b"d", 3, size=10),
    ])  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FilesystemPlan, DataSums]:
    image = tmp_path_factory.mktemp("readback") / "image"
    planned = writing.plan("erofs", tree())
    return image, planned, writing.write(image, planned)


def told(
    written: tuple[Path, FilesystemPlan, DataSums], planned: FilesystemPlan, sums: DataSums | None
) -> list[str]:
    image, made, _ = written
    with RawDisk(image) as disk:
        content = writing.opened(disk, made.size)
        known = sums.of(planned.manifest) if sums is not None else {}
        return differences(content, planned, known, lambda: False)


def test_nothing_is_told_of_what_is_as_planned(
    written: tuple[Path, FilesystemPlan, DataSums],
) -> None:
    assert told(written, written[1], written[2]) == []


def changed(path: bytes, **fields: object) -> Callable[[Manifest], None]:
    def change(manifest: Manifest) -> None:
        entry = manifest.get(path)
        assert entry is not None
        for name, value in fields.items():
            setattr(entry, name, value)

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (changed(b"first", mode=stat.S_IFREG | 0o600), "/first has the mode"),
        (changed(b"first", uid=5), "/first has the owner"),
        (changed(b"first", mtime_ns=5), "/first has the time in ns 0, planned 5"),
        (changed(b"first", xattrs=()), "/first has the extended attributes"),
        (changed(b"link", target=b"other"), "/link has the target b'target', planned b'other'"),
        (changed(b"zero", rdev=0x0105), "/zero has the device"),
        (changed(b"second", link_to=None), "/first has the links 2, planned 1"),
        (changed(b"d/00000001", size=11), "/d/00000001 has the size 10, planned 11"),
    ],
)
def test_every_field_is_compared(
    change: Callable[[Manifest], None],
    says: str,
    written: tuple[Path, FilesystemPlan, DataSums],
) -> None:
    manifest = tree()
    change(manifest)
    found = told(written, replace(written[1], manifest=manifest), None)
    assert any(each.startswith(says) for each in found), found


def test_what_is_missing_and_what_was_not_planned_are_named(
    written: tuple[Path, FilesystemPlan, DataSums],
) -> None:
    entries = [each for each in tree() if each.path != b"link"]
    entries.insert(1, Entry(b"another", stat.S_IFIFO | 0o600))
    found = told(written, replace(written[1], manifest=Manifest(entries)), None)
    assert "/another is missing" in found
    assert "/link is there unplanned" in found


@pytest.mark.parametrize("path", [b"first", b"sparse", b"d/00000002"])
def test_one_byte_of_data_is_told(
    path: bytes, written: tuple[Path, FilesystemPlan, DataSums]
) -> None:
    _, planned, _ = written
    sums = DataSums()
    for entry in planned.manifest:
        if entry.is_regular and entry.link_to is None:
            ranges = ((0, entry.size),) if entry.extents is None else entry.extents
            for at, length in ranges:
                data = bytearray(b"x" * length)
                data[-1] ^= entry.path == path
                sums.take(entry, at, memoryview(data))
    (found,) = told(written, planned, sums)
    assert found == f"/{path.decode()} has other bytes than its source had"


def test_label_and_identifier_are_compared(
    written: tuple[Path, FilesystemPlan, DataSums],
) -> None:
    planned = replace(written[1], label="other", uuid="0" * 8)
    assert told(written, planned, written[2]) == [
        "its label is a label, planned other",
        f"its UUID is {writing.UUID}, planned 00000000",
    ]
