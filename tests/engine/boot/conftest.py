"""The busybox system that the tests boot: made once, its kernel downloaded once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.booting import alone, cache_folder
from tests.support.busybox import fetch_kernel, make_root

OLD = "5.9.0-old"


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
