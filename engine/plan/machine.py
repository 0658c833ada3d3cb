"""Which machine a root file system is for, told by the dynamic loader in it.

The loader's path is fixed by each architecture's ABI, so that its name alone tells. What has none
(static programs, a data disk) is taken for x86-64: a plan must not depend on the machine that
makes it.
"""

from __future__ import annotations

from engine.manifest.manifest import Manifest

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


def machine(manifest: Manifest) -> str:
    """Returns the machine of a root file system, as `uname -m` names it."""
    for loader, name in _LOADERS.items():
        if any(manifest.get(folder + loader) is not None for folder in _FOLDERS):
            return name
    return DEFAULT
