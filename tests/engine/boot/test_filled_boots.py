"""Roots that a kernel filled, in a virtual machine: they boot, and GRUB reads kernels off them."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.boot.firmware import FirmwareKind
from tests.engine.boot.conftest import PROJECT
from tests.support import kernels
from tests.support.booting import alone, boots, build_spec, cache_folder, report
from tests.support.busybox import fetch_kernel, make_initrd, make_root

SPEC = """
schema = 1
name = "filled"
[layout]
table = "gpt"
[boot]
loader = "{loader}"
cmdline = "console=ttyS0 panic=-1 quiet"
[[volume]]
id = "{first}"
size = "{size}"
[[volume]]
id = "root"
format = "{format_}"
label = "filled"
{more}
[[contents]]
source = "root"
target = "/"
user = "root"
group = "root"
"""

EXAMPLE = (PROJECT / "examples/debian/debian-btrfs.toml").read_text()
SUBVOLUMES = EXAMPLE.partition('format = "btrfs"\n')[2].partition("[[contents]]")[0]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    ("format_", "more", "loader", "firmware", "first"),
    [
        ("xfs", "", "grub", "bios", ("bios-boot", "1MiB")),
        ("btrfs", SUBVOLUMES, "systemd-boot", "uefi", ("esp", "64MiB")),
    ],
)
def test_a_filled_root_boots(
    tmp_path: Path, format_: str, more: str, loader: str, firmware: FirmwareKind,
    first: tuple[str, str],
) -> None:  # fmt: skip
    with alone("kernel"):
        kernel = fetch_kernel(cache_folder())
    root = tmp_path / "root"
    root.mkdir()
    make_root(kernel, root, tmp_path)
    needed = tuple(name for name in kernels.FILESYSTEMS if name not in {"xfs", "btrfs"})
    initrd = make_initrd(kernel, tmp_path, type_=format_, more=(*needed, format_))
    (root / f"boot/initrd.img-{kernel.release}").write_bytes(initrd)
    kernels.install(root)
    (root / "home/alice/note").write_text("in the right one")
    spec = tmp_path / "spec.toml"
    spec.write_text(
        SPEC.format(loader=loader, first=first[0], size=first[1], format_=format_, more=more)
    )

    built = build_spec(spec, tmp_path / "out")

    assert {problem.code for problem in built.plan.problems} == {"not-repeatable"}
    assert "in the future" not in (tmp_path / "out/build.jsonl").read_text()
    said = report(boots(built, firmware))
    assert said["mount"][0].startswith(f"{format_} rw")
    assert f"root=UUID={built.plan.root.uuid}" in said["cmdline"][0]
    assert "/tmp 0:0 1777" in said["stat"]
    assert "/sbin/su 0:0 4755" in said["stat"]
    assert said["home"] == ["in the right one"]
    if format_ == "btrfs":
        assert "rootflags=subvol=@" in said["cmdline"][0].split()
        assert sorted(said["subvolume"]) == [
            "/ /@", "/.snapshots /@snapshots", "/home /@home", "/var/log /@log",
        ]  # fmt: skip
