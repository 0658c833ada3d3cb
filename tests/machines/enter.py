"""Makes a folder the root of everything and runs a command there: `enter.py ROOT CACHE COMMAND...`.

Runs in mount and PID namespaces of its own (unshare). The root is pivoted, not changed: a process
in a chroot may make no user namespace, and nix, bubblewrap and tests want some. The machine gets
the whole of a /proc of its own for the same reason: the kernel lets a namespace mount no /proc
where parts of the outer one are covered.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

_DETACH = 2
"""MNT_DETACH of sys/mount.h."""
_NODES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = {
    "ptmx": "pts/ptmx",
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}


def main(root: Path, cache: Path, command: list[str]) -> None:
    """Becomes the command; the machine keeps what it downloads in the cache."""
    _mount("--rbind", root, root)
    _mount("-t", "proc", "proc", root / "proc")
    _mount("--rbind", "/sys", root / "sys")
    _devices(root / "dev")
    for kept, place in (("apt", "var/cache/apt/archives"), ("pip", "var/cache/pip")):
        (cache / kept).mkdir(parents=True, exist_ok=True)
        (root / place).mkdir(exist_ok=True)
        _mount("--bind", cache / kept, root / place)
    (cache / "apt" / "partial").mkdir(exist_ok=True)
    _pivot(root)
    os.execvp(command[0], command)


def _devices(folder: Path) -> None:
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", folder)
    for name in _NODES:
        (folder / name).touch()
        _mount("--bind", f"/dev/{name}", folder / name)
    for name in ("pts", "shm"):
        (folder / name).mkdir()
    _mount("-t", "devpts", "-o", "newinstance,ptmxmode=0666,mode=620", "devpts", folder / "pts")
    _mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", folder / "shm")
    for name, target in _LINKS.items():
        (folder / name).symlink_to(target)


def _mount(*words: str | Path) -> None:
    subprocess.run(("mount", *words), check=True)


def _pivot(root: Path) -> None:
    """Leaves the old root nowhere: pivot_root(2), "pivot_root(".", ".")"."""
    libc = ctypes.CDLL(None, use_errno=True)
    os.chdir(root)
    for call, arguments in ((libc.pivot_root, (b".", b".")), (libc.umount2, (b".", _DETACH))):
        if call(*arguments) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    os.chdir("/")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
