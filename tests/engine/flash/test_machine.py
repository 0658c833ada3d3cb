"""Which disks there are, and what each is used for, from the kernel's own files."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.flash.machine import Machine
from engine.units import GIB
from tests.support.disks import FakeMachine


@pytest.fixture
def fake(tmp_path: Path) -> FakeMachine:
    """A laptop: a system on NVMe, a USB stick, an SD card."""
    fake = FakeMachine(tmp_path)
    fake.disk("nvme0n1", "259:0", bus="nvme", model="Samsung SSD 980")
    fake.partition("nvme0n1", "nvme0n1p1", "259:1")
    fake.partition("nvme0n1", "nvme0n1p2", "259:2")
    fake.disk("sda", "8:0", bus="ata", model="WDC WD40", vendor="ATA")
    fake.disk("sdb", "8:16", model="Ultra Fit", vendor="SanDisk", removable=True, size=GIB)
    fake.partition("sdb", "sdb1", "8:17")
    fake.disk("mmcblk0", "179:0", bus="mmc")
    return fake


def test_the_likeliest_comes_first_and_the_systems_own_never(fake: FakeMachine) -> None:
    fake.mount("259:2", "/")
    assert [one.name for one in fake.machine.disks()] == ["mmcblk0", "sdb", "sda"]


def test_a_disk_is_told_by_model_size_and_bus(fake: FakeMachine) -> None:
    stick = fake.machine.named("sdb")
    assert stick is not None
    told = (stick.model, stick.bytes, stick.bus, stick.removable, stick.parent, stick.sector_size)
    assert told == ("SanDisk Ultra Fit", GIB, "usb", True, "", 512)
    part = fake.machine.named("nvme0n1p2")
    assert part is not None
    assert (part.parent, part.bus, part.model) == ("nvme0n1", "nvme", "Samsung SSD 980")
    assert fake.machine.named("sdz") is None


def test_a_drive_without_a_medium_and_a_write_protected_card_are_not_offered(
    fake: FakeMachine,
) -> None:
    fake.disk("sdc", "8:32", size=0, removable=True)
    fake.disk("sdd", "8:48", read_only=True)
    fake.disk("sr0", "11:0", bus="ata")
    fake.disk("zram0", "253:0", bus="virtual")
    fake.disk("loop3", "7:3", bus="virtual")
    fake.disk("mmcblk0boot0", "179:8", bus="mmc")
    assert {one.name for one in fake.machine.disks()} == {"mmcblk0", "sdb", "sda", "nvme0n1"}


def uses(fake: FakeMachine, name: str) -> tuple[str, ...]:
    device = fake.machine.named(name)
    assert device is not None
    return device.uses


def test_a_mounted_partition_is_a_use_of_its_disk(fake: FakeMachine) -> None:
    fake.mount("8:17", "/media/me/MY STICK")
    assert uses(fake, "sdb") == ("sdb1 is mounted at /media/me/MY STICK",)
    assert uses(fake, "sdb1") == ("sdb1 is mounted at /media/me/MY STICK",)
    assert uses(fake, "sda") == ()


def test_what_has_a_number_of_its_own_is_found_by_its_source(fake: FakeMachine) -> None:
    fake.mount("0:45", "/mnt/data", source="/dev/sdb1", kind="btrfs")
    assert uses(fake, "sdb") == ("sdb1 is mounted at /mnt/data",)


def test_swap_is_a_use(fake: FakeMachine) -> None:
    fake.swap("/dev/sdb1")
    assert uses(fake, "sdb") == ("sdb1 is used as swap",)


def test_volumes_made_of_a_partition_are_uses_and_theirs_too(fake: FakeMachine) -> None:
    fake.made_of("dm-0", "254:0", below="nvme0n1p2", title="luks-home")
    fake.made_of("dm-1", "254:1", below="dm-0", title="vg-root")
    assert uses(fake, "nvme0n1") == (
        "dm-0 is part of dm-1 (vg-root)",
        "nvme0n1p2 is part of dm-0 (luks-home)",
    )
    fake.mount("254:1", "/")
    whole = fake.machine.named("nvme0n1")
    assert whole is not None
    assert whole.is_system
    assert "dm-1 is mounted at /" in whole.uses
    assert "nvme0n1" not in {one.name for one in fake.machine.disks()}


@pytest.mark.parametrize("where", ["/", "/usr", "/boot/efi", "/nix/store"])
def test_what_the_system_needs_makes_it_the_systems(fake: FakeMachine, where: str) -> None:
    fake.mount("8:17", where)
    stick = fake.machine.named("sdb")
    assert stick is not None
    assert stick.is_system


def test_lines_of_a_kernel_to_come_are_passed_over(fake: FakeMachine) -> None:
    (fake.machine.proc / "self/mountinfo").write_text("1\n\nno such thing - \n")
    assert uses(fake, "sdb") == ()


def test_this_machines_own_files_are_read() -> None:
    for device in Machine().disks():
        assert device.bytes > 0
        assert not device.is_system
