"""A real Debian, from a root tarball to `login:`, in every layout, by every loader that fits."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.boot.test_boots import FIRMWARE, LOADERS
from tests.support.booting import Built, alone, boots, build_spec, cache_folder, check_tools

PROJECT = Path(__file__).parents[3]
EXAMPLE = PROJECT / "examples" / "debian"
LIMIT = 240

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with its root tarball, made once for each text of the script."""
    project = tmp_path_factory.mktemp("project")
    launcher = project / "diskwright"
    launcher.write_text(
        f'#!/bin/sh\nPYTHONPATH={PROJECT} exec {sys.executable} -m engine.cli "$@"\n'
    )
    launcher.chmod(0o755)
    folder = project / "examples" / "debian"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("root.tar*"))
    digest = hashlib.sha256((EXAMPLE / "make.sh").read_bytes()).hexdigest()
    kept = cache_folder() / f"debian-{digest[:16]}.tar"
    with alone("debian"):
        if not kept.exists():
            subprocess.run([folder / "make.sh", "root"], check=True)
            shutil.copy(folder / "root.tar", kept.with_suffix(".part"))
            kept.with_suffix(".part").replace(kept)
            (folder / "root.tar").unlink()
    (folder / "root.tar").symlink_to(kept)
    return folder


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
