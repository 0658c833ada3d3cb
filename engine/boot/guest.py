"""A small virtual machine in which a NixOS system's own installer finds a disk to write to.

It runs the kernel of the system that is being installed, with an initrd made in memory: busybox
and the kernel's own modules for virtio and the file systems. The image is its disk, /dev/vda, and
every volume with a mount point is mounted.
"""

from __future__ import annotations

import gzip
import lzma
import shlex
import stat
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.boot.architecture import HEADER_BYTES, X86_64, of_kernel
from engine.boot.cpio import newc
from engine.boot.installer_mounts import Mount, mounts, needs_disk
from engine.boot.modules import Modules, name_of
from engine.boot.parts import Missing
from engine.boot.qemu import QEMU, Accelerator
from engine.boot.tree import children, data, read_text, regular
from engine.manifest.entry import Entry
from engine.manifest.lookup import read
from engine.manifest.manifest import Listing
from engine.problem import Problem
from engine.spec.settings import Settings
from engine.tools.answer import answer
from engine.tools.installed import find as find_tool

READY = "diskwright guest ready"
"""What the guest says when its kernel runs; with `PROBE` it ends there."""
PROBE = "diskwright.probe"

# In this order, each after what it depends on. Newer kernels have the first as a library.
_OPTIONAL = (
    "crc32c_generic", "xxhash_generic", "sha256_generic", "blake2b_generic",
    "nls_cp437", "nls_iso8859_1", "nls_ascii", "nls_utf8",
)  # fmt: skip
"""What file systems ask for by another name than a module's: checksums, and FAT its characters."""
_NEEDED = ("virtio_pci", "virtio_blk", "virtio_console")
_DRIVERS = {"ext2": "ext4", "ext3": "ext4"}
_EXT4 = {"ext4": "noinit_itable"}
"""Tables that mke2fs left for later stay as they are: the kernel's thread would race the end."""
_TABLE_LIMIT = 1 << 22
_MODULE_LIMIT = 1 << 26
_ZSTD_SECONDS = 30
_STATIC_BUSYBOX = ("busybox-static", "busybox", "busybox", "pkgsStatic.busybox")
_INTERPRETER = 3
_ELF_X86_64 = 62
"""PT_INTERP and EM_X86_64 of elf(5)."""

_INIT = """\
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
finish() {{
  for port in /dev/vport*; do echo "$1" > "$port"; done
  $b poweroff -f
  $b sleep 60
}}
for module in /modules/*; do $b insmod "$module"; done
echo "{ready}"
if $b grep -q {probe} /proc/cmdline; then $b poweroff -f; $b sleep 60; fi
for try in $($b seq 100); do [ -b {device} ] && break; $b sleep 0.1; done
{mounts}
for name in dev proc sys; do $b mount -o bind /$name /root/$name; done
$b mount -t tmpfs tmpfs /root/tmp
$b mount -t tmpfs tmpfs /root/run
$b ln -s {system} /root/run/current-system
$b env -i {environment} $b chroot /root {command} </dev/null
status=$?
kill -KILL -1 2>/dev/null
for name in run tmp sys proc dev; do $b umount /root/$name; done
{unmounts}
finish $status
"""


@dataclass(frozen=True, slots=True)
class Guest:
    """What the virtual machine is made of.

    Attributes:
        kernel: Of the system that is being installed.
        modules: Its modules in the order in which they are loaded.
        busybox: A static one of this machine.
        mounts: What the installer finds mounted, the root first.
    """

    kernel: Entry
    modules: tuple[Entry, ...]
    busybox: Path
    mounts: tuple[Mount, ...] = ()


@dataclass(frozen=True, slots=True)
class GuestLookup:
    """The guest, or why there is none."""

    guest: Guest | None = None
    missing: tuple[Missing, ...] = ()
    problems: tuple[Problem, ...] = ()


def is_wanted(settings: Settings) -> bool:
    """Whether the system's own installer runs and needs a disk."""
    return settings.boot.loader == "nixos" and needs_disk(settings)


def find(settings: Settings, root: Listing) -> GuestLookup:
    """Returns what the guest is made of: from the system in the image, and from this machine.

    Args:
        settings: The spec, its system settled to a store path.
        root: The root file system's contents.
    """
    system = settings.nix.system.encode().lstrip(b"/")
    if not settings.nix.system.startswith("/") or root.get(system) is None:
        return GuestLookup()  # a problem of its own already
    kernel = regular(root, system + b"/kernel")
    if kernel is None or of_kernel(read(data(kernel), HEADER_BYTES)) != X86_64:
        message = f"{settings.nix.system}/kernel is not a kernel for {X86_64.name}"
        return _refused(settings, message)
    tables = (folder.path for folder in children(root, system + b"/kernel-modules/lib/modules"))
    folder = next((path for path in tables if regular(root, path + b"/modules.dep")), None)
    if folder is None:
        return _refused(settings, f"{settings.nix.system}/kernel-modules has no modules.dep")
    modules = Modules(
        _text(root, folder + b"/modules.dep"), _text(root, folder + b"/modules.builtin")
    )
    there = mounts(settings)
    formats = dict.fromkeys(mount.format for mount in there)
    needed = (*_NEEDED, *(_DRIVERS.get(each, each) for each in formats))
    lacking = [name for name in needed if not modules.has(name)]
    if lacking:
        message = f"the kernel of {settings.nix.system} has no {', '.join(lacking)}"
        return _refused(settings, message)
    paths = [folder + b"/" + path.encode() for path in modules.load_order((*_OPTIONAL, *needed))]
    entries = [regular(root, path) for path in paths]
    gone = [path.decode() for path, entry in zip(paths, entries, strict=True) if entry is None]
    if gone:
        return _refused(settings, f"modules.dep names what is not there: /{gone[0]}")
    binary = static_busybox()
    if binary is None:
        return GuestLookup(missing=(Missing("a static busybox", _STATIC_BUSYBOX),))
    found = tuple(entry for entry in entries if entry is not None)
    return GuestLookup(Guest(kernel=kernel, modules=found, busybox=binary, mounts=there))


def _refused(settings: Settings, message: str) -> GuestLookup:
    ours = "systemd-boot" if settings.has("esp") else "grub"
    problem = Problem(
        "guest-kernel", "error", "boot.loader",
        f"{message}; the system's installer runs in a virtual machine with the system's own "
        "kernel and modules",
        f'boot.loader = "{ours}" needs none: it does its work from the system\'s bootspec',
    )  # fmt: skip
    return GuestLookup(problems=(problem,))


def _text(root: Listing, path: bytes) -> str:
    return read_text(root, path, _TABLE_LIMIT) or ""


def static_busybox() -> Path | None:
    """Returns this machine's busybox if it runs where there are no libraries."""
    path = find_tool("busybox")
    return Path(path) if path and _is_static(Path(path).read_bytes()) else None


def _is_static(binary: bytes) -> bool:
    """Whether an ELF file of 64 bits runs on x86-64 without a loader (elf(5))."""
    if binary[:5] != b"\x7fELF\x02" or struct.unpack_from("<H", binary, 18)[0] != _ELF_X86_64:
        return False
    (offset,) = struct.unpack_from("<Q", binary, 32)
    size, count = struct.unpack_from("<HH", binary, 54)
    kinds = (struct.unpack_from("<I", binary, offset + i * size)[0] for i in range(count))
    return _INTERPRETER not in kinds


def init(
    *, mounts: Sequence[Mount], system: str, command: Iterable[str], environment: Mapping[str, str]
) -> bytes:
    """Returns the guest's first program, a script of busybox's shell.

    Args:
        mounts: What is mounted, the root first and parents before what is below them.
        system: Store path of the system.
        command: Run in the root; its exit status goes to the virtio serial port.
        environment: The command's, complete.
    """
    pairs = (f"{name}={value}" for name, value in environment.items())
    script = _INIT.format(
        ready=READY, probe=PROBE, device=_device(mounts[0]), system=shlex.quote(system),
        mounts="\n".join(map(_mount, mounts)), unmounts="\n".join(map(_unmount, mounts[::-1])),
        command=shlex.join(command), environment=shlex.join(pairs),
    )  # fmt: skip
    return script.encode()


def _device(mount: Mount) -> str:
    return f"/dev/vda{mount.number}"


def _place(mount: Mount) -> str:
    """Returns where something is mounted in the guest, for its shell."""
    return shlex.quote("/root" + mount.place.rstrip("/"))


def _mount(mount: Mount) -> str:
    options = ",".join(
        filter(None, ("rw" if mount.writable else "ro", mount.option, _EXT4.get(mount.format, "")))
    )
    command = f"$b mount -t {mount.format} -o {shlex.quote(options)} {_device(mount)}"
    said = shlex.quote(f"cannot mount {_device(mount)} at {mount.place}")
    return f"$b mkdir -p {_place(mount)}; {command} {_place(mount)} || finish {said}"


def _unmount(mount: Mount) -> str:
    return f"$b umount {_place(mount)} || finish {shlex.quote(f'cannot unmount {mount.place}')}"


def initrd(guest: Guest, script: bytes, more: Iterable[tuple[str, int, bytes]] = ()) -> bytes:
    """Returns the initrd, always the same for the same parts.

    Args:
        guest: What it is made of.
        script: Its first program.
        more: Further files, each after the folders that it is in: path, mode, bytes.

    Raises:
        OSError: busybox, or zstd for modules packed with it, cannot be used.
        lzma.LZMAError, subprocess.SubprocessError: A module cannot be unpacked.
    """
    files = [*_files(guest, script), *more]
    return gzip.compress(newc(files), compresslevel=1, mtime=0)


def _files(guest: Guest, script: bytes) -> Iterator[tuple[str, int, bytes]]:
    for folder in ("bin", "dev", "modules", "proc", "root", "sys"):
        yield folder, stat.S_IFDIR | 0o755, b""
    yield "bin/busybox", stat.S_IFREG | 0o755, guest.busybox.read_bytes()
    yield "init", stat.S_IFREG | 0o755, script
    for number, module in enumerate(guest.modules):
        name = name_of(module.name.decode())
        packed = read(data(module), _MODULE_LIMIT)
        yield f"modules/{number:02}-{name}.ko", stat.S_IFREG | 0o644, _unpacked(module, packed)


def _unpacked(module: Entry, packed: bytes) -> bytes:
    match module.name.rpartition(b".")[2]:
        case b"xz":
            return lzma.decompress(packed)
        case b"gz":
            return gzip.decompress(packed)
        case b"zst":
            argv = ("zstd", "--decompress", "--stdout", "--quiet")
            done = answer(argv, feed=packed, limit=_ZSTD_SECONDS)
            done.check_returncode()
            return done.stdout
        case _:
            return packed


def machine(
    *, memory_mib: int, epoch: int, sector_size: int, image: str, kernel: str, initrd: str,
    status: str, accelerator: Accelerator, probe: bool = False, part: str = "",
    console: str = "stdio",
) -> tuple[str, ...]:  # fmt: skip
    """Returns the command that runs the guest (qemu(1)).

    Args:
        memory_mib: Of the machine.
        epoch: Seconds since 1970 that its clock starts at.
        sector_size: Of the image, in bytes.
        image: Written to, but with `probe`, which only shows that the accelerator runs a kernel.
        kernel, initrd: Files of the guest.
        status: File that the guest's last word goes to.
        part: Which bytes of the image the guest sees, as QEMU's raw format takes them.
        console: Where QEMU sends what the guest's console prints.
    """
    begin = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    sectors = f"logical_block_size={sector_size},physical_block_size={sector_size}"
    writes = "snapshot=on" if probe else "cache=unsafe,discard=unmap"
    return (
        QEMU, "-machine", f"pc,accel={accelerator}", "-m", str(memory_mib),
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", console,
        "-rtc", f"base={begin},clock=vm", "-kernel", kernel, "-initrd", initrd,
        "-append", "console=ttyS0 panic=-1 quiet" + (f" {PROBE}" if probe else ""),
        "-drive", f"if=none,id=disk,format=raw,{part}{writes},file={image}",
        "-device", f"virtio-blk-pci,drive=disk,{sectors}",
        "-chardev", f"file,id=status,path={status}", "-device", "virtio-serial-pci",
        "-device", "virtserialport,chardev=status,name=status",
    )  # fmt: skip
