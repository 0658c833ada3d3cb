"""The busybox system that the tests boot: made once, its kernel downloaded once."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.booting import alone, cache_folder
from tests.support.busybox import fetch_kernel, make_root

OLD = "5.9.0-old"
PROJECT = Path(__file__).parents[3]
EXAMPLE = PROJECT / "examples" / "debian"


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with two kernels, the older one a hard link to the newer."""
    with alone("kernel"):
        kernel = fetch_kernel(cache_folder())
    folder = tmp_path_factory.mktemp("busybox")
    root = folder / "root"
    root.mkdir()
    make_root(kernel, root, folder)
    for name in ("vmlinuz", "initrd.img"):
        os.link(root / f"boot/{name}-{kernel.release}", root / f"boot/{name}-{OLD}")
    return root


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
