"""An image for arm64, made on another machine, boots under UEFI."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.cli.main import main
from tests.support.booting import alone, build_image, cache_folder
from tests.support.busybox import MARKER, Kernel, make_root

_PACKAGES = "linux-image-cloud-arm64,systemd-boot-efi,busybox-static"
_LOADERS = "usr/lib/systemd/boot/efi"

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
    packages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], loader: str
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
        "boot.prove=true", f"boot.expect={MARKER}", 'size.boot="160MiB"',
        'boot.cmdline="console=ttyAMA0 panic=-1 quiet"',
    )  # fmt: skip
    assert built.plan.volume("root").type == "B921B045-1DF0-41C3-AF44-4C6F280D3FAE"
    (proof,) = json.loads((built.outdir / "manifest.json").read_text())["proofs"]
    assert (proof["firmware"], proof["seen"]) == ("uefi", True)
    started = json.loads((built.outdir / "manifest.json").read_text())["plan"]["steps"]
    (command,) = next(step["commands"] for step in started if step["id"] == "prove")
    assert command[0] == "qemu-system-aarch64"
    capsys.readouterr()
    assert main(["boot", str(built.image), "--expect", MARKER]) == 0
    console = capsys.readouterr().out
    assert f"REPORT cmdline root=UUID={built.plan.root.uuid}" in console.replace(
        "initrd=\\busybox\\" + modules.name + "\\initrd ", ""
    )
    assert "REPORT stat /etc/shadow 0:42 640" in console
