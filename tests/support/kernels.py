"""Debian's cloud kernel with modules that fill file systems, as a system has them installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.booting import alone, cache_folder
from tests.support.busybox import GUEST_MODULES, fetch_kernel, unpacked_module

FILESYSTEMS = (
    "libcrc32c", "crc32c_generic", "xxhash_generic", "blake2b_generic", "xor", "raid6_pq",
    "zstd_compress", "lzo_compress", "zlib_deflate", "xfs", "btrfs",
)  # fmt: skip


def install(root: Path) -> str:
    """Puts the kernel into a root, with its modules and their table; returns its release."""
    with alone("kernel"):
        kernel = fetch_kernel(cache_folder())
    modules = root / "lib" / "modules" / kernel.release
    modules.mkdir(parents=True)
    (root / "boot").mkdir(exist_ok=True)
    shutil.copy(kernel.image, root / "boot" / f"vmlinuz-{kernel.release}")
    shutil.copy(kernel.modules / "modules.builtin", modules)
    for name in (*GUEST_MODULES, *FILESYSTEMS):
        found = kernel.module(name)
        if found is not None:
            (modules / f"{name}.ko").write_bytes(unpacked_module(found))
    subprocess.run(["busybox", "depmod", "-b", root, kernel.release], check=True)
    return kernel.release
