"""A real Debian, from a root tarball to `login:`, in every layout, by every loader that fits."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.boot.test_boots import FIRMWARE, LOADERS
from tests.support.booting import Built, boots, build_spec, check_tools

LIMIT = 240

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def built_with(example: Path, folder: Path, table: str, loader: str) -> Built:
    name = table.replace("+", "-")
    return build_spec(
        example / f"debian-{name}.toml", folder, f"boot.loader={loader}", "boot.prove=false"
    )


def test_the_example_is_one_command(example: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    subprocess.run([example / "make.sh", "hybrid", out], check=True)
    proofs = json.loads((out / "manifest.json").read_text())["proofs"]
    assert [(proof["firmware"], proof["seen"]) for proof in proofs] == [
        ("bios", True),
        ("uefi", True),
    ]


# The example above has both firmwares of hybrid with systemd-boot.
@pytest.mark.parametrize(
    ("table", "loader"), [pair for pair in LOADERS if pair != ("hybrid", "systemd-boot")]
)
def test_it_reaches_the_login(
    example: Path,
    tmp_path: Path,
    table: str,
    loader: str,
    record_property: Callable[[str, object], None],
) -> None:
    built = built_with(example, tmp_path / "out", table, loader)
    check_tools(built)
    for firmware in FIRMWARE[table]:
        verdict = boots(built, firmware, expect="login:", limit=LIMIT)
        record_property(f"{table} {loader} {firmware}", verdict.seconds)
        assert "Debian GNU/Linux" in verdict.console
    built.image.unlink()
