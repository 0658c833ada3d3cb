#!/usr/bin/env python3
"""Makes vmlinuz, initrd and rootfs/ beside this file: a small system under dm-verity.

    examples/immutable/make.py [KERNEL]

KERNEL is a folder with an unpacked kernel package; without it, Debian's cloud kernel is downloaded
by apt-get (nothing is installed). The initrd stands for what dracut makes with the modules
systemd-veritysetup and dm: it finds data and hash tree by the halves of roothash=, as systemd does,
and opens them with this machine's veritysetup. Needs busybox-static, cryptsetup-bin and cpio.
"""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
MODULES = ("virtio_pci", "virtio_blk", "dm-mod", "dm-verity", "erofs", "sha256_generic")
PROGRAMS = ("veritysetup", "blkid")
APPLETS = ("sh", "mount", "insmod", "switch_root", "cat", "sleep", "mkdir", "uname", "poweroff")
INITRD = """#!/bin/sh
export PATH=/bin DM_DISABLE_UDEV=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in {modules}; do insmod /modules/$module.ko; done
for word in $(cat /proc/cmdline); do
  case "$word" in roothash=*) hash="${{word#roothash=}}" ;; esac
done
guid() {{ echo "${{1:0:8}}-${{1:8:4}}-${{1:12:4}}-${{1:16:4}}-${{1:20:12}}"; }}
find() {{ blkid -c /dev/null -o device -t "PARTUUID=$(guid "$1")"; }}
for try in 1 2 3 4 5 6 7 8 9 10; do
  data=$(find "${{hash:0:32}}") && tree=$(find "${{hash:32}}") && break
  sleep 0.3
done
veritysetup open "$data" root "$tree" "$hash" || echo "initrd: $data is not what was hashed"
mount -t erofs -o ro /dev/mapper/root /root
exec switch_root /root /sbin/init
"""
INIT = """#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmpfs /tmp
cat /etc/motd
echo "root is $(cat /sys/block/dm-0/dm/name) by $(cat /sys/block/dm-0/dm/uuid)"
mkdir /new 2>/dev/null || echo "nothing can be written to it"
echo "immutable: ready"
exec sh
"""
MOTD = "This root is read through dm-verity: a changed bit is an error, not another system.\n"


def kernel_package(folder: Path) -> Path:
    """Downloads and unpacks Debian's cloud kernel."""
    told = subprocess.run(
        ["apt-cache", "depends", "linux-image-cloud-amd64"], capture_output=True, check=True
    ).stdout.decode()
    (name,) = re.findall(r"Depends: (linux-image-\S+)", told)
    subprocess.run(["apt-get", "-q", "download", name], cwd=folder, check=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, folder / "kernel"], check=True)
    return folder / "kernel"


def module(folder: Path, name: str) -> bytes | None:
    """Returns a kernel module as insmod takes it; None where it is built in."""
    unpack = {".ko": bytes, ".xz": lzma.decompress, ".gz": gzip.decompress}
    for path in sorted(folder.rglob(f"{name}.ko*")):
        return unpack[path.suffix](path.read_bytes())
    return None


def with_needed(folder: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """Returns modules in the order in which they can be loaded."""
    found: dict[str, bytes] = {}
    for name in names:
        data = module(folder, name) or module(folder, name.replace("_", "-"))
        if data is None or name in found:
            continue
        depends = re.search(rb"\0depends=([^\0]+)\0", data)
        needed = tuple(depends[1].decode().split(",")) if depends else ()
        found = {**found, **with_needed(folder, needed), name: data}
    return found


def busybox(root: Path) -> None:
    """Puts busybox and its names into bin/."""
    (root / "bin").mkdir(parents=True)
    shutil.copy(which("busybox"), root / "bin/busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")


def which(name: str) -> str:
    """Returns the path of a program of this machine."""
    path = shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin")
    if path is None:
        sys.exit(f"{name} is not installed")
    return path


def program(root: Path, name: str) -> None:
    """Puts a program of this machine and the libraries that it needs into a root."""
    path = which(name)
    shutil.copy(path, root / "bin" / name)
    told = subprocess.run(["ldd", path], capture_output=True, check=True).stdout.decode()
    for library in re.findall(r"(/\S+) \(0x", told):
        place = root / library[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, place)


def executable(path: Path, text: str) -> None:
    """Writes a script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def make(package: Path, work: Path) -> None:
    """Makes all three of an unpacked kernel package."""
    places = [package / "lib/modules", package / "usr/lib/modules"]
    folder = next(found for place in places if place.is_dir() for found in place.iterdir())
    images = [package / "boot" / f"vmlinuz-{folder.name}", folder / "vmlinuz"]
    shutil.copy(next(path for path in images if path.exists()), HERE / "vmlinuz")

    initrd = work / "initrd"
    busybox(initrd)
    for name in ("proc", "sys", "dev", "root", "modules", "run", "tmp"):
        (initrd / name).mkdir()
    for name in PROGRAMS:
        program(initrd, name)
    modules = with_needed(folder, MODULES)
    for name, data in modules.items():
        (initrd / "modules" / f"{name}.ko").write_bytes(data)
    executable(initrd / "init", INITRD.format(modules=" ".join(modules)))
    names = "\n".join(sorted(str(path.relative_to(initrd)) for path in initrd.rglob("*")))
    archive = subprocess.run(
        ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0", "--reproducible"],
        cwd=initrd, input=names.encode(), capture_output=True, check=True,
    ).stdout  # fmt: skip
    (HERE / "initrd").write_bytes(gzip.compress(archive, mtime=0))

    root = HERE / "rootfs"
    shutil.rmtree(root, ignore_errors=True)
    busybox(root)
    for name in ("proc", "sys", "dev", "run", "tmp", "etc"):  # whatever mounts, nothing can add one
        (root / name).mkdir()
    executable(root / "sbin/init", INIT)
    (root / "etc/motd").write_text(MOTD)
    (root / "etc/os-release").write_text('ID=immutable\nPRETTY_NAME="Immutable"\n')


with tempfile.TemporaryDirectory() as scratch:
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else kernel_package(Path(scratch))
    make(given, Path(scratch))
