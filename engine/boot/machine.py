"""Which machine a root file system is for: by its dynamic loader, its kernel, its programs.

The dynamic loader's path is fixed by each architecture's ABI, so that its name alone tells. What
has none of them (a data disk) is taken for x86-64: a plan must not depend on the machine that
makes it.
"""

from __future__ import annotations

from typing import Literal

from engine.boot import kernels
from engine.boot.tree import data, regular
from engine.manifest.entry import SourceChanged
from engine.manifest.lookup import read
from engine.manifest.manifest import Listing

DEFAULT = "x86_64"

_LOADERS = {
    b"ld-linux-x86-64.so.2": "x86_64",
    b"ld-musl-x86_64.so.1": "x86_64",
    b"ld-linux-aarch64.so.1": "aarch64",
    b"ld-musl-aarch64.so.1": "aarch64",
    b"ld-linux-riscv64-lp64d.so.1": "riscv64",
    b"ld-musl-riscv64.so.1": "riscv64",
    b"ld-linux-armhf.so.3": "armv7l",
    b"ld-musl-armhf.so.1": "armv7l",
    b"ld-linux-loongarch-lp64d.so.1": "loongarch64",
    b"ld64.so.2": "ppc64le",
    b"ld64.so.1": "s390x",
    b"ld-linux.so.2": "i686",  # last: 64-bit systems may have it beside their own
}
_FOLDERS = (b"lib64/", b"lib/", b"usr/lib64/", b"usr/lib/")


# Machine types of ELF files (elf.h, EM_*), for systems of static programs.
_ELF_MACHINES = {
    62: "x86_64", 183: "aarch64", 243: "riscv64", 40: "armv7l", 258: "loongarch64", 21: "ppc64le",
    22: "s390x", 3: "i686",
}  # fmt: skip
_PROGRAMS = (b"sbin/init", b"bin/busybox", b"usr/bin/busybox", b"bin/sh", b"init")


def by_loader(manifest: Listing) -> str:
    """Returns the machine that a dynamic loader in a root tells, or ""."""
    for loader, name in _LOADERS.items():
        if any(manifest.get(folder + loader) is not None for folder in _FOLDERS):
            return name
    return ""


def by_contents(manifest: Listing, nix_system: str = "") -> str:
    """Returns the machine that a kernel in a root tells, else one of its programs, or "".

    Files that cannot be read tell nothing: whoever needs them says so.
    """
    try:
        return kernels.architecture(manifest, nix_system) or _by_programs(manifest)
    except (OSError, SourceChanged):
        return ""


def _by_programs(manifest: Listing) -> str:
    for path in _PROGRAMS:
        entry = regular(manifest, path)
        head = read(data(entry), 20) if entry is not None else b""
        if len(head) == 20 and head[:4] == b"\x7fELF":
            order: Literal["big", "little"] = "big" if head[5] == 2 else "little"
            return _ELF_MACHINES.get(int.from_bytes(head[18:20], order), "")
    return ""
