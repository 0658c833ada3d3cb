"""A Linux system of a few megabytes: Debian's cloud kernel, busybox, an init that reports."""

from __future__ import annotations

import gzip
import lzma
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard

MARKER = "DISKWRIGHT-UP"
_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".xz": lzma.decompress,
    ".zst": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    ".gz": gzip.decompress,
}
"""By what a module's name ends in after ".ko"."""
# Loaded in this order (each needs those before it).
_MODULES = (
    "virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci",
    "virtio_blk",
)  # fmt: skip
# In dependency order, as depmod would write it down.
GUEST_MODULES = (*_MODULES, "virtio_console")
_APPLETS = (
    "sh",
    "mount",
    "findfs",
    "insmod",
    "switch_root",
    "stat",
    "cat",
    "poweroff",
    "ls",
    "sleep",
)
_INITRD_INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in {modules}; do insmod /modules/$module.ko; done
init=/init
for word in $(cat /proc/cmdline); do
  case "$word" in
    root=*) root="${{word#root=}}" ;;
    init=*) init="${{word#init=}}" ;;
    rootflags=*) flags="${{word#rootflags=}}" ;;
  esac
done
for try in 1 2 3 4 5 6 7 8 9 10; do
  device=$(findfs "$root" 2>/dev/null) && break
  sleep 0.3
done
cat /marks/* 2>/dev/null
mount -t {type} ${{flags:+-o $flags}} "$device" /root || echo "INITRD: cannot mount $root"
exec switch_root /root "$init"
"""
_ROOT_INIT = f"""#!/bin/sh
mount -t proc proc /proc
mount -t devtmpfs dev /dev 2>/dev/null
echo "REPORT mount $(cat /proc/mounts | while read d p t o r; do [ $p = / ] && echo $t $o; done)"
for path in /etc/shadow /bin/busybox /home/alice /tmp /sbin/su; do
  echo "REPORT stat $(stat -c '%n %u:%g %a' $path)"
done
echo "REPORT cmdline $(cat /proc/cmdline)"
mount -a 2>/dev/null
while read d p t o r; do
  case $o in *subvol=*) echo "REPORT subvolume $p ${{o##*subvol=}}" ;; esac
done </proc/mounts
echo "REPORT home $(cat /home/alice/note 2>/dev/null || echo none)"
echo "REPORT machine-id $(cat /etc/machine-id 2>/dev/null || echo none)"
echo {MARKER}
poweroff -f
"""


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel package: its image, its release and its modules' folder."""

    image: Path
    release: str
    modules: Path
    package: Path

    def module(self, name: str) -> Path | None:
        """Returns a module's file; None where it is built in, or the kernel has none."""
        found = (self.modules.rglob(f"{name}.ko{packed}") for packed in _UNPACK)
        return next((path for paths in found for path in paths), None)


def unpacked_module(path: Path) -> bytes:
    """Returns a module as insmod takes it: Debian 13 packs them by xz."""
    return _UNPACK[path.suffix.removeprefix(".ko")](path.read_bytes())


def fetch_kernel(cache: Path) -> Kernel:
    """Downloads Debian's cloud kernel and unpacks it (nothing is installed)."""
    unpacked = cache / "kernel"
    if not unpacked.exists():
        cache.mkdir(parents=True, exist_ok=True)
        try:
            packages = _download(cache)
        except (StopIteration, subprocess.CalledProcessError):
            # No package lists yet, or lists that name what the archive no longer has.
            subprocess.run(["apt-get", "-q", "update"], check=True)
            packages = _download(cache)
        partial = cache / "kernel.partial"
        shutil.rmtree(partial, ignore_errors=True)
        for package in packages:
            subprocess.run(["dpkg-deb", "-x", str(package), str(partial)], check=True)
        partial.rename(unpacked)
    # Modules are in /usr from Debian 13 on; the image joins them in 14.
    places = (unpacked / "lib/modules", unpacked / "usr/lib/modules")
    folder = next(found for place in places if place.is_dir() for found in place.iterdir())
    images = (unpacked / "boot" / f"vmlinuz-{folder.name}", folder / "vmlinuz")
    image = next(path for path in images if path.exists())
    return Kernel(image, folder.name, folder, unpacked)


def _download(cache: Path) -> list[Path]:
    """Returns the kernel's package and, from Debian 14, those that image and modules moved to."""
    package = next(_depends("linux-image-cloud-amd64", ("linux-image-",)))
    packages = [package, *_depends(package, ("linux-binary-", "linux-modules-"))]
    subprocess.run(["apt-get", "-q", "download", *packages], cwd=cache, check=True)
    return [next(cache.glob(f"{name}_*.deb")) for name in packages]


def _depends(package: str, prefixes: tuple[str, ...]) -> Iterator[str]:
    for line in _output("apt-cache", "depends", package).splitlines():
        kind, _, name = line.strip().partition(": ")
        if kind == "Depends" and name.startswith(prefixes):
            yield name


def make_initrd(
    kernel: Kernel, work: Path, busybox: Path | None = None, *, type_: str = "ext4",
    more: tuple[str, ...] = (),
) -> bytes:  # fmt: skip
    """Returns an initrd that finds root= by UUID or label and starts init= there.

    Args:
        kernel: What boots it.
        work: A folder.
        busybox: The kernel's machine's, where that is not this one.
        type_: Of the root file system.
        more: Modules that this takes, each after those it needs.
    """
    root = work / "initrd"
    for folder in ("bin", "proc", "sys", "dev", "root", "modules"):
        (root / folder).mkdir(parents=True)
    _busybox(root, busybox)
    wanted = (*_MODULES, *more)
    for module in wanted:
        found = kernel.module(module)
        if found is not None:
            (root / "modules" / f"{module}.ko").write_bytes(unpacked_module(found))
    present = " ".join(m for m in wanted if (root / "modules" / f"{m}.ko").exists())
    init = root / "init"
    init.write_text(_INITRD_INIT.format(modules=present, type=type_))
    init.chmod(0o755)
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    archive = subprocess.run(
        ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0", "--reproducible"],
        cwd=root, input="\n".join(names).encode(), stdout=subprocess.PIPE, check=True,
    ).stdout  # fmt: skip
    shutil.rmtree(root)
    return gzip.compress(archive, mtime=0)


def make_root(kernel: Kernel, root: Path, work: Path, busybox: Path | None = None) -> None:
    """Fills `root` with the system; owners are left to the spec.

    Args:
        kernel: What boots it.
        root: A folder.
        work: Another one.
        busybox: The kernel's machine's, where that is not this one.
    """
    for folder in ("bin", "sbin", "etc", "proc", "sys", "dev", "tmp", "boot", "home/alice"):
        (root / folder).mkdir(parents=True)
    _busybox(root, busybox)
    init = root / "init"
    init.write_text(_ROOT_INIT)
    init.chmod(0o755)
    (root / "sbin/su").write_text("#!/bin/sh\n")
    (root / "sbin/su").chmod(0o4755)
    (root / "tmp").chmod(0o1777)
    (root / "home/alice").chmod(0o700)
    (root / "etc/passwd").write_text(
        "root:x:0:0::/:/bin/sh\nalice:x:1000:100::/home/alice:/bin/sh\n"
    )
    (root / "etc/group").write_text("root:x:0:\nshadow:x:42:\nusers:x:100:\n")
    (root / "etc/shadow").write_text("root:*:0:0:99999:7:::\n")
    (root / "etc/shadow").chmod(0o640)
    (root / "etc/os-release").write_text('ID=busybox\nPRETTY_NAME="Busybox [test] system"\n')
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    shutil.copy(kernel.image, root / f"boot/vmlinuz-{kernel.release}")
    (root / f"boot/initrd.img-{kernel.release}").write_bytes(make_initrd(kernel, work, busybox))


def _busybox(root: Path, binary: Path | None) -> None:
    found = binary or shutil.which("busybox")
    assert found is not None, "busybox-static is not installed"
    shutil.copy(found, root / "bin/busybox")
    for applet in _APPLETS:
        (root / "bin" / applet).symlink_to("busybox")


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
