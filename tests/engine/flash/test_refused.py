"""Everything that speaks against a destination, before a byte is written."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.flash.machine import Machine
from engine.flash.session import Job, prepare
from engine.problem import Refused
from engine.units import MIB
from tests.support.disks import FakeMachine, disk_of_4096, gpt_disk


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return gpt_disk(tmp_path / "image.img")


@pytest.fixture
def fake(tmp_path: Path) -> FakeMachine:
    fake = FakeMachine(tmp_path / "machine")
    fake.disk("sdb", "8:16", removable=True, model="Stick")
    fake.partition("sdb", "sdb1", "8:17", size=32 * MIB)
    return fake


@pytest.fixture
def stick(fake: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path that the system says is a block device: those of root's may not be made here."""
    place = fake.machine.dev / "sdb"
    place.write_bytes(b"")
    as_device(monkeypatch, {place: os.makedev(8, 16)})
    return place


def as_device(monkeypatch: pytest.MonkeyPatch, numbers: dict[Path, int]) -> None:
    """Has stat(2) call files block devices."""
    real = Path.stat

    def told(path: Path, **options: bool) -> object:
        status = real(path, **options)
        if path not in numbers:
            return status
        return SimpleNamespace(
            st_mode=stat.S_IFBLK | 0o660, st_rdev=numbers[path], st_size=0,
            st_dev=status.st_dev, st_ino=status.st_ino,
        )  # fmt: skip

    monkeypatch.setattr(Path, "stat", told)


def looked(image: Path, to: Path, machine: Machine, *, move_backup: bool = False) -> Job:
    return prepare(
        image, to, machine, lambda done, total: None, lambda: False,
        writing=True, move_backup=move_backup,
    )  # fmt: skip


def refusal(image: Path, to: Path, machine: Machine) -> tuple[set[str], str]:
    with pytest.raises(Refused) as caught:
        looked(image, to, machine)
    return {problem.code for problem in caught.value.problems}, str(caught.value)


def test_a_fitting_stick_is_taken(image: Path, stick: Path, fake: FakeMachine) -> None:
    job = looked(image, stick, fake.machine)
    assert (job.destination.kind, job.destination.name, job.destination.bytes) == (
        "device",
        "sdb",
        64 * MIB,
    )
    assert job.warnings == ()
    assert any("--move-backup" in note for note in job.notes)
    assert any("Stick" in note and "is lost" in note for note in job.notes)


def test_a_mounted_partition(image: Path, stick: Path, fake: FakeMachine) -> None:
    fake.mount("8:17", "/media/x")
    codes, text = refusal(image, stick, fake.machine)
    assert codes == {"flash-in-use"}
    assert "sdb1 is mounted at /media/x" in text


def test_swap(image: Path, stick: Path, fake: FakeMachine) -> None:
    fake.swap("/dev/sdb1")
    assert refusal(image, stick, fake.machine)[0] == {"flash-in-use"}


def test_a_volume_made_of_it(image: Path, stick: Path, fake: FakeMachine) -> None:
    fake.made_of("dm-0", "254:0", below="sdb1", title="vg-data")
    codes, text = refusal(image, stick, fake.machine)
    assert codes == {"flash-in-use"}
    assert "sdb1 is part of dm-0 (vg-data)" in text


def test_the_systems_own_disk(image: Path, stick: Path, fake: FakeMachine) -> None:
    fake.mount("8:17", "/")
    codes, text = refusal(image, stick, fake.machine)
    assert codes == {"flash-system-disk"}
    assert "holds the system that is running" in text


def test_one_that_is_too_small(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch, fake: FakeMachine
) -> None:
    fake.disk("sdc", "8:32", size=8 * MIB)
    place = fake.machine.dev / "sdc"
    place.write_bytes(b"")
    as_device(monkeypatch, {place: os.makedev(8, 32)})
    codes, text = refusal(image, place, fake.machine)
    assert codes == {"flash-too-small"}
    assert f"has {8 * MIB:,} bytes" in text
    assert f"{16 * MIB - 8 * MIB:,} too few" in text
    small = tmp_path / "small"
    small.write_bytes(b"x" * MIB)
    assert refusal(image, small, fake.machine)[0] == {"flash-too-small"}
    assert small.read_bytes() == b"x" * MIB


def test_a_read_only_one(image: Path, monkeypatch: pytest.MonkeyPatch, fake: FakeMachine) -> None:
    fake.disk("sdc", "8:32", read_only=True)
    place = fake.machine.dev / "sdc"
    place.write_bytes(b"")
    as_device(monkeypatch, {place: os.makedev(8, 32)})
    assert refusal(image, place, fake.machine)[0] == {"flash-read-only"}


def test_a_drive_without_a_medium(
    image: Path, monkeypatch: pytest.MonkeyPatch, fake: FakeMachine
) -> None:
    fake.disk("sdc", "8:32", size=0)
    place = fake.machine.dev / "sdc"
    place.write_bytes(b"")
    as_device(monkeypatch, {place: os.makedev(8, 32)})
    assert refusal(image, place, fake.machine)[0] == {"flash-no-medium"}


def test_other_sectors(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch, fake: FakeMachine, stick: Path
) -> None:
    large = disk_of_4096(tmp_path / "4k.img")
    codes, text = refusal(large, stick, fake.machine)
    assert codes == {"flash-sector-size"}
    assert "sectors of 4096 bytes" in text
    assert "layout.sector_size = 512" in text
    fake.disk("sdc", "8:32", sector=4096)
    place = fake.machine.dev / "sdc"
    place.write_bytes(b"")
    as_device(monkeypatch, {place: os.makedev(8, 32)})
    assert looked(large, place, fake.machine).destination.name == "sdc"
    assert refusal(image, place, fake.machine)[0] == {"flash-sector-size"}


def test_a_partition_is_warned_of_and_only_if_the_image_has_a_table(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch, fake: FakeMachine
) -> None:
    place = fake.machine.dev / "sdb1"
    place.write_bytes(b"")
    as_device(monkeypatch, {place: os.makedev(8, 17)})
    (warning,) = looked(image, place, fake.machine).warnings
    assert (warning.code, warning.severity) == ("flash-partition", "warning")
    assert "/dev/sdb is the disk" in warning.hint
    bare = tmp_path / "bare.img"
    bare.write_bytes(b"no table" * 1000)
    assert looked(bare, place, fake.machine).warnings == ()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


@pytest.mark.parametrize("make", [pipe, listening, Path.mkdir])
def test_what_has_no_places(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None]
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    make(Path("odd"))
    assert refusal(image, Path("odd"), Machine())[0] == {"flash-not-a-disk"}


def test_a_character_device(image: Path) -> None:
    codes, text = refusal(image, Path("/dev/null"), Machine())
    assert codes == {"flash-not-a-disk"}
    assert "a character device" in text


@pytest.mark.parametrize("path", ["/dev/no-such-disk", "/dev/disk/by-id/no-such"])
def test_a_device_that_is_not_there_becomes_no_file(image: Path, path: str) -> None:
    assert refusal(image, Path(path), Machine())[0] == {"flash-no-device"}
    assert not Path(path).exists()


def test_the_kernels_own_trees(image: Path) -> None:
    assert refusal(image, Path("/proc/disk.img"), Machine())[0] == {"flash-not-a-disk"}


def test_the_image_itself_under_any_name(tmp_path: Path, image: Path) -> None:
    os.link(image, tmp_path / "same")
    (tmp_path / "link").symlink_to(image)
    for name in ("image.img", "same", "link"):
        assert refusal(image, tmp_path / name, Machine())[0] == {"flash-itself"}


def test_a_file_that_is_shown_as_a_disk(tmp_path: Path, image: Path, fake: FakeMachine) -> None:
    backing = tmp_path / "backing"
    backing.write_bytes(bytes(32 * MIB))
    fake.loop("loop3", "7:3", backing)
    codes, text = refusal(image, backing, fake.machine)
    assert codes == {"flash-in-use"}
    assert "losetup -d /dev/loop3" in text


def test_a_folder_that_is_not_there(tmp_path: Path, image: Path) -> None:
    assert refusal(image, tmp_path / "no" / "disk", Machine())[0] == {"flash-destination"}
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "x")
    assert refusal(image, tmp_path / "link", Machine())[0] == {"flash-destination"}


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path, stick: Path, fake: FakeMachine) -> None:
    fake.mount("8:17", "/media/x")
    huge = tmp_path / "huge.img"
    with huge.open("wb") as file:
        file.truncate(65 * MIB)
    codes, _ = refusal(huge, stick, fake.machine)
    assert codes == {"flash-in-use", "flash-too-small"}


def test_a_folder_for_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    codes, text = refusal(Path(), tmp_path / "new", Machine())
    assert codes == {"bad-image"}
    assert ". is a folder, not an image" in text


def test_an_image_that_cannot_be_read(tmp_path: Path, stick: Path, fake: FakeMachine) -> None:
    assert refusal(tmp_path / "none.img", stick, fake.machine)[0] == {"unreadable-image"}
    empty = tmp_path / "empty.img"
    empty.write_bytes(b"")
    assert refusal(empty, stick, fake.machine)[0] == {"bad-image"}


def test_a_damaged_table_is_warned_of(tmp_path: Path, image: Path) -> None:
    with image.open("r+b") as file:
        file.truncate(12 * MIB)
    warnings = looked(image, tmp_path / "new", Machine()).warnings
    assert any("the backup GPT is missing" in warning.message for warning in warnings)


def test_a_backup_that_cannot_be_moved(tmp_path: Path, stick: Path, fake: FakeMachine) -> None:
    bare = tmp_path / "bare.img"
    bare.write_bytes(b"no table" * 1000)
    with pytest.raises(Refused) as caught:
        looked(bare, stick, fake.machine, move_backup=True)
    assert [problem.code for problem in caught.value.problems] == ["flash-no-gpt"]


def test_root_alone_may_write_to_a_disk(
    image: Path, stick: Path, fake: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    codes, text = refusal(image, stick, fake.machine)
    assert codes == {"flash-rights"}
    assert "sudo" in text
