"""An image for arm64, made on another machine, boots under UEFI."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.booting import alone, build_image, cache_folder
from tests.support.busybox import MARKER, Kernel, make_root

_FIRMWARE = [
    (Path(code), Path(variables))
    for code, variables in (
        ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
        ("/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw",
         "/usr/share/edk2/aarch64/vars-template-pflash.raw"),
        ("/usr/share/edk2/aarch64/QEMU_CODE.fd", "/usr/share/edk2/aarch64/QEMU_VARS.fd"),
    )
]  # fmt: skip
_PACKAGES = "linux-image-cloud-arm64,systemd-boot-efi,busybox-static"
_LOADERS = "usr/lib/systemd/boot/efi"
_LIMIT = 240

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def packages() -> Path:
    """Debian's packages for arm64, unpacked: nothing of them runs here."""
    tree = cache_folder() / "arm64"
    with alone("arm64"):
        if not tree.exists():
            part = tree.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            subprocess.run(
                ["mmdebstrap", "--architectures=arm64", "--variant=extract", "--format=directory",
                 f"--include={_PACKAGES}", "bookworm", str(part)],
                check=True,
            )  # fmt: skip
            part.rename(tree)
    return tree


@pytest.mark.parametrize("loader", ["systemd-boot", "uki"])
def test_it_boots_with_the_loader_of_its_contents(
    packages: Path, tmp_path: Path, loader: str
) -> None:
    (modules,) = (packages / "lib/modules").iterdir()
    image = packages / f"boot/vmlinuz-{modules.name}"
    kernel = Kernel(image, modules.name, modules, packages)
    root = tmp_path / "root"
    root.mkdir()
    make_root(kernel, root, tmp_path, packages / "bin/busybox")
    shutil.copytree(packages / _LOADERS, root / _LOADERS)
    built = build_image(
        root, tmp_path / "built", "layout.table=efi", f"boot.loader={loader}",
        'boot.cmdline="console=ttyAMA0 panic=-1 quiet"', 'size.boot="160MiB"',
    )  # fmt: skip
    assert built.plan.volume("root").type == "B921B045-1DF0-41C3-AF44-4C6F280D3FAE"
    console = _boot(built.image, tmp_path)
    assert f"REPORT cmdline root=UUID={built.plan.root.uuid}" in console.replace(
        "initrd=\\busybox\\" + modules.name + "\\initrd ", ""
    )
    assert "REPORT stat /etc/shadow 0:42 640" in console
    assert MARKER in console


def _boot(image: Path, folder: Path) -> str:
    """Returns what the machine says until it turns itself off."""
    code, template = next(pair for pair in _FIRMWARE if pair[0].exists())
    variables = shutil.copy(template, folder / "vars.fd")
    argv = [
        "qemu-system-aarch64", "-machine", "virt,accel=tcg", "-cpu", "cortex-a57", "-m", "1024",
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
        "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}",
        "-drive", f"if=pflash,unit=1,format=raw,file={variables}",
        "-drive", f"if=none,id=disk,snapshot=on,format=raw,file={image}",
        "-device", "virtio-blk-pci,drive=disk,bootindex=1",
    ]  # fmt: skip
    done = subprocess.run(
        argv, capture_output=True, timeout=_LIMIT, check=True, stdin=subprocess.DEVNULL,
        env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    return done.stdout.decode(errors="replace")
