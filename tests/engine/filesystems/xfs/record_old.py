"""Records an image of version 4, which current kernels leave out: Debian's fills it in a machine.

    python -m tests.engine.filesystems.xfs.record_old

needs what `record` needs, and QEMU. What the image must hold is what a kernel says of the files
that went in; the times of version 4 have an earlier end, and inodes have other numbers.
"""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from engine.boot import fill
from engine.boot.cpio import newc
from tests.e2e.test_kernel_mounts import modules
from tests.engine.filesystems.recorded import kernel_says
from tests.engine.filesystems.xfs import record
from tests.support.booting import alone, cache_folder
from tests.support.busybox import Kernel, fetch_kernel

_MOST_SECONDS = 300
_LAST_NS = 2_147_483_647 * 10**9
"""The last second of version 4."""
_OPTIONS = ("-m", "crc=0,finobt=0", "-b", "size=512", "-n", "ftype=0", "-i", "size=256")
_INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for module in /modules/*; do $b insmod $module; done
for try in 1 2 3 4 5 6 7 8 9; do [ -b /dev/vdb ] && break; $b sleep 0.3; done
export LD_LIBRARY_PATH={libraries}
$b mount -t xfs -o allocsize=4k /dev/vda /root && \\
{tar} --extract --file=/dev/vdb --directory=/root --numeric-owner --same-owner \\
  --preserve-permissions --delay-directory-restore --xattrs '--xattrs-include=*' && \\
$b umount /root && echo FILLED
$b poweroff -f
"""


def main() -> None:
    """Records the image."""
    with alone("kernel"):
        kernel = fetch_kernel(cache_folder())
    with tempfile.TemporaryDirectory() as folder:
        _record(kernel, Path(folder))


def _record(kernel: Kernel, folder: Path) -> None:
    archive, image, initrd = (folder / name for name in ("tar", "image", "initrd"))
    seen = list(_source(folder, archive))
    record.make(image, "old", _OPTIONS)
    initrd.write_bytes(_initrd(kernel))
    drives = [f"-drive=if=virtio,format=raw,file={path}" for path in (image, archive)]
    done = subprocess.run(
        ["qemu-system-x86_64", "-machine", "pc,accel=tcg", "-m", "768", "-nodefaults",
         "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
         "-kernel", kernel.image, "-initrd", initrd, "-append", "console=ttyS0 panic=-1 quiet",
         *(word for drive in drives for word in drive.split("=", 1))],
        capture_output=True, stdin=subprocess.DEVNULL, timeout=_MOST_SECONDS, check=True,
    )  # fmt: skip
    assert b"FILLED" in done.stdout, done.stdout.decode(errors="replace")
    subprocess.run(("xfs_repair", "-L", "-f", str(image)), check=True, capture_output=True)
    record.RECORDINGS.keep("old", image, seen)


def _source(folder: Path, archive: Path) -> Iterator[dict[str, object]]:
    """Makes the archive of what goes in; yields what the image must hold."""
    source, top = folder / "source", folder / "top"
    with source.open("wb") as file:
        file.truncate(400 * record.MIB)
    subprocess.run(("mkfs.xfs", "-q", "-b", "size=1k", str(source)), check=True)
    top.mkdir()
    with record.mounted(source, top):
        record.fill(top, 1024)
        (top / "many").mkdir()
        for number in range(400):
            (top / "many" / f"{number:04}-{'m' * 30}").write_bytes(b"%d" % number * (number % 300))
        (top / "socket").unlink()  # tar has none
        tar = ("tar", "--create", "--file", archive, "--directory", top, "--numeric-owner",
               "--xattrs", "--xattrs-include=*", "--sparse", "--format=pax", ".")  # fmt: skip
        subprocess.run(tar, check=True)
        for row in kernel_says(top):
            del row["inode"]
            if stat.S_ISDIR(int(str(row["mode"]))):
                del row["size"]
            row["mtime"] = min(int(str(row["mtime"])), _LAST_NS + 999_999_999)
            if row["mtime"] == _LAST_NS + 999_999_999:
                row["mtime"] = _LAST_NS
            yield row


def _initrd(kernel: Kernel) -> bytes:
    tar, busybox = (shutil.which(name) for name in ("tar", "busybox"))
    assert tar is not None
    assert busybox is not None
    held, libraries = fill.files([tar])
    script = _INIT.format(tar=os.path.realpath(tar), libraries=libraries)
    files = {name: (mode, data) for name, mode, data in held}
    for name in ("bin", "dev", "modules", "proc", "root", "sys"):
        files.setdefault(name, (stat.S_IFDIR | 0o755, b""))
    files["bin/busybox"] = (stat.S_IFREG | 0o755, Path(busybox).read_bytes())
    files["init"] = (stat.S_IFREG | 0o755, script.encode())
    wanted = modules(kernel, "virtio_pci", "virtio_blk", "crc32c_generic", "xfs")
    for number, (name, data) in enumerate(wanted):
        files[f"modules/{number:02}-{name}.ko"] = (stat.S_IFREG | 0o644, data)
    return gzip.compress(newc([(name, *rest) for name, rest in files.items()]), 1, mtime=0)


if __name__ == "__main__":
    main()
