"""A kernel as witness: Debian's mounts what we made of each format, and finds what was planned."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from engine.boot.cpio import newc
from engine.cli import main
from tests.support.booting import alone, cache_folder
from tests.support.busybox import Kernel, fetch_kernel, unpacked_module

LIMIT = 240
_FORMATS = ("squashfs", "xfs", "btrfs", "erofs")
_INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for module in /modules/*; do $b insmod $module; done
for try in 1 2 3 4 5 6 7 8 9; do [ -b /dev/vda4 ] && break; $b sleep 0.3; done
number=0
for format in squashfs erofs xfs btrfs; do
  number=$((number + 1))
  $b mount -t $format /dev/vda$number /root || echo "REPORT $format failed"
  cd /root
  $b find . -exec $b stat -c "REPORT $format %n %a %u:%g %Y %s %F" {} +
  for file in $($b find . -type f); do echo "REPORT $format sum $($b sha256sum $file)"; done
  $b touch written 2>/dev/null && echo "REPORT $format writes"
  cd /
  $b umount /root && echo "REPORT $format unmounted"
done
echo REPORT done
$b poweroff -f
"""
SPEC = """
schema = 1
name = "disk"
layout.table = "gpt"
identity.source_date_epoch = 1700000000
[[volume]]
id = "one"
format = "squashfs"
[[volume]]
id = "two"
format = "erofs"
[[volume]]
id = "three"
format = "xfs"
[[volume]]
id = "four"
format = "btrfs"
[[contents]]
source = "tree"
target = "/"
volume = "one"
[[contents]]
source = "tree"
target = "/"
volume = "two"
[[contents]]
source = "empty"
target = "/"
volume = "three"
[[contents]]
source = "empty"
target = "/"
volume = "four"
"""


def modules(kernel: Kernel, *names: str) -> list[tuple[str, bytes]]:
    """Returns modules after those that they depend on, as each says of itself."""
    found: dict[str, bytes] = {}

    def add(name: str) -> None:
        path = kernel.module(name) or kernel.module(name.replace("_", "-"))
        if name in found or path is None:  # or built in
            return
        data = unpacked_module(path)
        needs = re.search(rb"\0depends=([^\0]*)", data)
        for needed in needs.group(1).decode().split(",") if needs else ():
            if needed:
                add(needed)
        found[name] = data

    for name in names:
        add(name)
    return list(found.items())


def initrd(kernel: Kernel) -> bytes:
    """Returns an initrd that mounts each partition and reports what is there."""
    busybox = shutil.which("busybox")
    assert busybox is not None, "busybox-static is not installed"
    folders = ("bin", "dev", "modules", "proc", "root", "sys")
    files = [(name, stat.S_IFDIR | 0o755, b"") for name in folders]
    files += [
        ("bin/busybox", stat.S_IFREG | 0o755, Path(busybox).read_bytes()),
        ("init", stat.S_IFREG | 0o755, _INIT.encode()),
    ]
    wanted = ("virtio_pci", "virtio_blk", "crc32c_generic", *_FORMATS)
    for number, (name, data) in enumerate(modules(kernel, *wanted)):
        files.append((f"modules/{number:02}-{name}.ko", stat.S_IFREG | 0o644, data))
    return gzip.compress(newc(files), compresslevel=1, mtime=0)


def tree(tmp_path: Path) -> None:
    """Makes the folders that the volumes are filled from."""
    folder = tmp_path / "tree"
    (folder / "many").mkdir(parents=True)
    (folder / "large").write_bytes(bytes(range(256)) * 5_000)
    (folder / "noise").write_bytes(os.urandom(300_000))
    with (folder / "hole").open("wb") as file:
        file.truncate(10_000_000)
        file.seek(5_000_000)
        file.write(b"in the middle")
    for number in range(300):
        (folder / "many" / f"{number:03}").write_bytes(b"%d" % number)
    (folder / "other").hardlink_to(folder / "large")
    (folder / "link").symlink_to("many/007")
    (folder / "many" / "007").chmod(0o4711)
    (tmp_path / "empty").mkdir(mode=0o750)
    (tmp_path / "empty").chmod(0o750)
    for path in (folder, *folder.rglob("*"), tmp_path / "empty"):
        os.utime(path, (5, 1_500_000_000), follow_symlinks=False)


def reports(console: str) -> dict[str, set[str]]:
    """Returns what the guest said, by format."""
    found: dict[str, set[str]] = {}
    for name, text in re.findall(r"^REPORT (\S+) ?(.*?)\r*$", console, re.MULTILINE):
        found.setdefault(name, set()).add(text)
    return found


@pytest.mark.slow
def test_the_kernel_finds_what_was_planned(tmp_path: Path) -> None:
    with alone("kernel"):
        kernel = fetch_kernel(cache_folder())
    tree(tmp_path)
    spec, out = tmp_path / "spec.toml", tmp_path / "out"
    spec.write_text(SPEC)
    assert main.main(["build", str(spec), "-o", str(out), "--quiet"]) == 0
    (tmp_path / "initrd").write_bytes(initrd(kernel))
    done = subprocess.run(
        ["qemu-system-x86_64", "-machine", "pc,accel=tcg", "-m", "768", "-nodefaults",
         "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
         "-kernel", kernel.image, "-initrd", tmp_path / "initrd",
         "-append", "console=ttyS0 panic=-1 quiet",
         "-drive", f"if=virtio,format=raw,file={out / 'disk.img'}"],
        capture_output=True, stdin=subprocess.DEVNULL, timeout=LIMIT, check=True,
    )  # fmt: skip
    seen = reports(done.stdout.decode(errors="replace"))
    assert "done" in seen, done.stdout[-3000:]
    for name in ("squashfs", "erofs"):
        assert "unmounted" in seen[name], seen[name]
        assert "writes" not in seen[name]
        found = {one for one in seen[name] if one.startswith((".", "sum"))}
        assert {re.sub(r" \d+ directory", " directory", one) for one in found} == planned(
            tmp_path / "tree"
        )
    for name in ("xfs", "btrfs"):
        assert {"unmounted", "writes"} <= seen[name], seen[name]
        (top,) = (one for one in seen[name] if one.startswith(". "))
        assert re.fullmatch(r"\. 750 0:0 1500000000 \d+ directory", top), top


def planned(folder: Path) -> set[str]:
    """Returns what stat(1) and sha256sum(1) must say of a folder's files."""
    found = set()
    for path in (folder, *folder.rglob("*")):
        status = path.lstat()
        name = "." if path == folder else f"./{path.relative_to(folder)}"
        if path.is_symlink():
            kind = f"{status.st_size} symbolic link"
        elif path.is_dir():
            kind = "directory"
        else:
            kind = f"{status.st_size} regular file"
            found.add(f"sum {hashlib.sha256(path.read_bytes()).hexdigest()}  {name}")
        mode = stat.S_IMODE(status.st_mode)
        found.add(f"{name} {mode:o} 0:0 {int(status.st_mtime)} {kind}")
    return found
