"""A real Debian on disks of several volumes: it mounts what its /etc/fstab says."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from engine.boot.firmware import FirmwareKind
from engine.pipeline.proof import boot
from engine.plan.steps import virtual_machine
from tests.engine.boot.conftest import PROJECT
from tests.support.booting import Built, boots, build_spec, check_tools
from tests.support.tools import run_tool

LIMIT = 300

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

# It speaks before the prompt, which takes the console for itself.
SERVICE = """\
[Unit]
After=local-fs.target swap.target
Before=serial-getty@ttyS0.service

[Service]
Type=oneshot
StandardOutput=tty
TTYPath=/dev/ttyS0
ExecStart=/bin/sh /etc/report
"""
REPORT = """\
echo
findmnt --kernel --noheadings --list --output UUID,TARGET,FSTYPE --real |
while read -r line; do echo "REPORT mount $line"; done
swapon --show=UUID,TYPE --noheadings | while read -r line; do echo "REPORT swap $line"; done
systemctl --failed --plain --no-legend | while read -r line; do echo "REPORT failed $line"; done
"""
# The same volumes as the example, around a system.
SYSTEM = """\
[[contents]]
source = "{root}"
target = "/"
extract = true
[[contents]]
source = "report.service"
target = "/etc/systemd/system/"
[[contents]]
source = "report"
target = "/etc/"
[boot]
loader = "{loader}"
cmdline = "console=ttyS0 systemd.wants=report.service"
"""


def booted(example: Path, folder: Path, name: str, loader: str, firmware: FirmwareKind) -> Built:
    """Builds an example with a Debian in it and compares its mounts with its fstab."""
    text = (PROJECT / "examples" / f"{name}.toml").read_text()
    text = text.partition("[[contents]]")[0].replace('boot = "40MiB"', 'boot = "80MiB"')
    system = SYSTEM.format(root=(example / "root.tar").resolve(), loader=loader)
    (folder / "spec.toml").write_text(text + system)
    (folder / "report.service").write_text(SERVICE)
    (folder / "report").write_text(REPORT)
    built = build_spec(folder / "spec.toml", folder / "out")
    check_tools(built)
    verdict = boots(built, firmware, expect="login:", limit=LIMIT)
    reports = re.findall(r"REPORT (\w+) +(.*)", verdict.console)
    said = [(kind, " ".join(text.split())) for kind, text in reports]
    assert sorted(said) == sorted(promised(built)), verdict.last_lines(60)
    return built


GROWING = """\
schema = 1
name = "growing"
[size]
boot = "80MiB"
additional = "32MiB"
grow_to = "2GiB"
"""
SIZES = """\
echo
echo "REPORT partition $(lsblk --noheadings --bytes --output SIZE $(findmnt -n -o SOURCE /))"
echo "REPORT bytes $(findmnt -n --bytes -o SIZE /)"
echo "REPORT inodes $(df --output=itotal / | tail -n 1)"
"""


def test_the_root_grows_with_its_disk_at_the_first_boot(example: Path, tmp_path: Path) -> None:
    system = SYSTEM.format(root=(example / "root.tar").resolve(), loader="uki")
    (tmp_path / "spec.toml").write_text(GROWING + system)
    (tmp_path / "report.service").write_text(SERVICE)
    (tmp_path / "report").write_text(SIZES)
    built = build_spec(tmp_path / "spec.toml", tmp_path / "out")
    made = built.plan.volume("root").bytes
    disk = 2 << 30
    os.truncate(built.image, disk)
    uefi = built.plan.boot.uefi
    assert uefi is not None
    started = virtual_machine(
        built.plan, "uefi", image=str(built.image), accelerator="tcg",
        variables=str(uefi.variables),
    )  # fmt: skip
    verdict = asyncio.run(boot(started, expect="login:", limit=LIMIT, on_text=lambda _: None))
    assert verdict.seen, verdict.last_lines(30)
    said = dict(re.findall(r"REPORT (\w+) +(\d+)", verdict.console))
    assert int(said["partition"]) > made + (1 << 30)
    assert int(said["bytes"]) > int(said["partition"]) * 9 // 10
    # One for 16 KiB, as mke2fs has it for a file system of this size.
    assert int(said["inodes"]) >= int(said["partition"]) // 16384


def promised(built: Built) -> list[tuple[str, str]]:
    """Returns what the image's own /etc/fstab says, in the words of the report."""
    root = f"{built.image}?offset={built.plan.offset('root')}"
    shown = run_tool(["debugfs", "-R", "cat /etc/fstab", root], capture_output=True, text=True)
    lines = [line.split() for line in shown.stdout.splitlines() if line[:1] != "#"]
    found = []
    for device, place, type_, *_ in lines:
        uuid = device.removeprefix("UUID=")
        swap = type_ == "swap"
        found.append(
            ("swap", f"{uuid} partition") if swap else ("mount", f"{uuid} {place} {type_}")
        )
    return found


def test_an_appliance_has_its_home_and_its_swap(example: Path, tmp_path: Path) -> None:
    built = booted(example, tmp_path, "appliance", "systemd-boot", "uefi")
    kinds = [kind for kind, _ in promised(built)]
    assert sorted(kinds) == ["mount", "mount", "mount", "swap"]


def test_kernels_start_from_an_extended_boot_partition(example: Path, tmp_path: Path) -> None:
    built = booted(example, tmp_path, "xbootldr", "systemd-boot", "uefi")
    assert [line.split()[1] for _, line in promised(built)] == ["/", "/boot", "/efi"]
