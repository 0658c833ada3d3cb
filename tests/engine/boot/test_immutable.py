"""The example of a root under dm-verity: a kernel reads it, and says so where a bit has changed."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.pipeline.proof import Verdict, boot
from engine.plan.steps import virtual_machine
from tests.support.booting import Built, alone, boots, build_spec, cache_folder
from tests.support.busybox import fetch_kernel

EXAMPLES = Path(__file__).parents[3] / "examples"
READY = "immutable: ready"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The example, made by its own script of a real kernel."""
    with alone("kernel"):
        kernel = fetch_kernel(cache_folder())
    folder = tmp_path_factory.mktemp("immutable")
    (folder / "immutable").mkdir()
    shutil.copy(EXAMPLES / "immutable/make.py", folder / "immutable")
    subprocess.run([sys.executable, folder / "immutable/make.py", kernel.package], check=True)
    shutil.copy(EXAMPLES / "immutable.toml", folder)
    return build_spec(folder / "immutable.toml", folder / "out")


def root_hash(built: Built) -> str:
    plan = json.loads((built.outdir / "manifest.json").read_text())["plan"]
    (tree,) = (one["verity"] for one in plan["partitions"] if one["id"] == "root-verity")
    return str(tree["root_hash"])


def changed(built: Built, name: str, text: bytes) -> bytes:
    """Returns the image with one bit of a text in a volume changed."""
    data = bytearray(built.image.read_bytes())
    at = data.index(text, built.plan.offset(name))
    data[at] ^= 1
    return bytes(data)


def test_the_command_line_has_the_root_hash(
    built: Built, capsys: pytest.CaptureFixture[str]
) -> None:
    assert built.plan.problems == ()
    assert main(["inspect", str(built.image), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    entry = report["boots"]["uefi"]["entry"]
    assert entry["options"] == f"root=/dev/mapper/root ro roothash={root_hash(built)} console=ttyS0"
    assert (report["boots"]["uefi"]["starts"], report["findings"]) == ("yes", [])
    assert report["verity"][0]["root_hash"] == root_hash(built)
    plan = json.loads((built.outdir / "manifest.json").read_text())["plan"]
    assert plan["boot"]["menu"][0]["options"] == entry["options"]


@pytest.mark.slow
def test_a_kernel_reads_the_root_through_its_hash_tree(built: Built) -> None:
    verdict = boots(built, "uefi", expect=READY)
    assert "root is root by CRYPT-VERITY-" in verdict.console
    assert "nothing can be written to it" in verdict.console
    assert "corrupted" not in verdict.console


@pytest.mark.slow
def test_a_changed_bit_is_no_proof_though_the_system_comes_up(built: Built, tmp_path: Path) -> None:
    image = tmp_path / "changed.img"
    image.write_bytes(changed(built, "root", b"This root is read through"))
    verdict = watched(Built(built.plan, image, tmp_path))
    assert not verdict.seen
    assert verdict.meaning == "dm-verity read a block that is not what was hashed"
    assert "is corrupted" in verdict.console


@pytest.mark.slow
def test_another_root_hash_opens_nothing(built: Built, tmp_path: Path) -> None:
    """Who changes the command line, too, finds no partition of that name."""
    image = tmp_path / "changed.img"
    found = root_hash(built).encode()
    other = bytes(reversed(found))
    image.write_bytes(built.image.read_bytes().replace(b"roothash=" + found, b"roothash=" + other))
    assert not watched(Built(built.plan, image, tmp_path)).seen


def watched(built: Built) -> Verdict:
    """Boots an image that must not come up."""
    uefi = built.plan.boot.uefi
    assert uefi is not None
    machine = virtual_machine(
        built.plan, "uefi", image=str(built.image), accelerator="tcg",
        variables=str(uefi.variables),
    )  # fmt: skip
    return asyncio.run(boot(machine, expect=READY, limit=60, on_text=lambda _: None))
