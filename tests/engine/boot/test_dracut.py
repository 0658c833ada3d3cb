"""A root under dm-verity behind an initrd as distributions have it: of dracut, with systemd."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.boot.cpio import newc
from engine.boot.initrdfiles import held
from engine.pipeline.proof import Verdict, boot
from engine.plan.steps import virtual_machine
from tests.engine.boot.test_immutable import EXAMPLES, READY, changed
from tests.support.booting import Built, alone, boots, build_spec, cache_folder
from tests.support.busybox import Kernel, fetch_kernel

LIMIT = 900
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


def initrd_of(kernel: Kernel, folder: Path) -> bytes:
    """Returns what dracut makes of this machine's systemd and a kernel, microcode in front."""
    modules = folder / "lib/modules" / kernel.release
    shutil.copytree(kernel.modules, modules)
    environment = {"PATH": PATH, "LC_ALL": "C", "HOME": str(folder)}
    subprocess.run(["depmod", "-b", folder, kernel.release], check=True, env=environment)
    made = folder / "initrd"
    done = subprocess.run(
        ["dracut", "--no-hostonly", "--zstd", "--add", "systemd-veritysetup",
         "--add-drivers", "virtio_blk virtio_pci", "--kmoddir", modules,
         "--tmpdir", folder, made, kernel.release],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = made.read_bytes()
    assert data.startswith(b"\x28\xb5\x2f\xfd")  # zstd, RFC 8878
    early = newc([("kernel", 0o040755, b""), ("kernel/early", 0o100644, bytes(5000))])
    return early + data


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The example of an immutable root with dracut's initrd in the place of its own."""
    with alone("kernel"):
        kernel = fetch_kernel(cache_folder())
    folder = tmp_path_factory.mktemp("dracut")
    (folder / "immutable").mkdir()
    shutil.copy(EXAMPLES / "immutable/make.py", folder / "immutable")
    subprocess.run([sys.executable, folder / "immutable/make.py", kernel.package], check=True)
    (folder / "work").mkdir()
    initrd = initrd_of(kernel, folder / "work")
    (folder / "immutable/initrd").write_bytes(initrd)
    shutil.copy(EXAMPLES / "immutable.toml", folder)
    return build_spec(folder / "immutable.toml", folder / "out")


def watched(built: Built, image: Path) -> Verdict:
    uefi = built.plan.boot.uefi
    assert uefi is not None
    machine = virtual_machine(
        built.plan, "uefi", image=str(image), accelerator="tcg", variables=str(uefi.variables)
    )
    return asyncio.run(boot(machine, expect=READY, limit=LIMIT, on_text=lambda _: None))


def test_the_plan_sees_what_opens_the_tree(built: Built) -> None:
    assert built.plan.problems == ()
    (entry,) = built.plan.boot.menu
    found = held(entry.initrds)
    assert found is not None
    assert "kernel/early" in found.paths
    assert any(path.endswith("/systemd-veritysetup-generator") for path in found.paths)
    assert found.lacks(["dm_verity", "erofs", "made_up"]) == ("made_up",)


def test_systemd_opens_the_tree_by_the_root_hash_alone(built: Built) -> None:
    verdict = boots(built, "uefi", expect=READY, limit=LIMIT)
    assert "root is root by CRYPT-VERITY-" in verdict.console
    assert "dracut" in verdict.console
    assert "is corrupted" not in verdict.console


def test_the_kernel_complains_of_one_bit(built: Built, tmp_path: Path) -> None:
    image = tmp_path / "changed.img"
    image.write_bytes(changed(built, "root", b"This root is read through"))
    verdict = watched(built, image)
    assert not verdict.seen
    assert verdict.meaning == "dm-verity read a block that is not what was hashed"
    assert "is corrupted" in verdict.console
