"""The example that the README begins with: a folder becomes a disk that boots both ways."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from engine.cli.main import main
from tests.support.booting import alone, cache_folder
from tests.support.busybox import fetch_kernel

EXAMPLE = Path(__file__).parents[3] / "examples/tiny"


@pytest.mark.slow
def test_it_boots_from_bios_and_uefi(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with alone("kernel"):
        kernel = fetch_kernel(cache_folder())
    for name in ("make.sh", "tiny.toml"):
        shutil.copy(EXAMPLE / name, tmp_path)
    subprocess.run([tmp_path / "make.sh", kernel.package], check=True)
    image = tmp_path / "out" / "tiny.img"

    assert main(["build", str(tmp_path / "tiny.toml"), "-o", str(image.parent), "--quiet"]) == 0
    assert main(["boot", str(image), "--firmware", "both", "--expect", "tiny: booted by .*s"]) == 0

    console = capfd.readouterr().out
    assert "tiny: booted by BIOS" in console
    assert "tiny: booted by UEFI" in console
