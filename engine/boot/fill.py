"""A small virtual machine in which a kernel fills a file system that only a kernel can fill.

It has a kernel of the contents, or else of this machine, and an initrd with busybox, the kernel's
modules and this machine's GNU tar, which reads the contents from a virtio serial port, as they go
in. What it then reads of the file system goes out by another one, to be compared.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cmp_to_key
from pathlib import Path
from typing import Protocol

from engine.boot.architecture import HEADER_BYTES, X86_64, of_kernel
from engine.boot.guest import PROBE, READY, Guest, machine, static_busybox
from engine.boot.modules import Modules
from engine.boot.parts import Missing
from engine.boot.qemu import Accelerator
from engine.boot.tree import children, data, regular
from engine.boot.versions import compare
from engine.manifest.entry import Entry, SourceChanged
from engine.manifest.lookup import read
from engine.manifest.manifest import Listing
from engine.manifest.memory import host_file
from engine.tools.answer import answer
from engine.tools.installed import find as find_tool

CONTENTS, COPY = "contents", "copy"
"""Names of the serial ports: what goes in, and what was read of it."""

_NEEDED = ("virtio_pci", "virtio_blk", "virtio_console")
_OPTIONAL = ("crc32c_generic", "xxhash_generic", "sha256_generic", "blake2b_generic")
"""What file systems ask the kernel's cryptography for by another name than a module's."""
_FOLDERS = (b"lib/modules", b"usr/lib/modules")
_TABLE_LIMIT = 1 << 22
_STATIC_BUSYBOX = ("busybox-static", "busybox", "busybox", "pkgsStatic.busybox")
_TAR = ("tar", "tar", "tar", "gnutar")
_GNU = b"GNU tar"
_LOADER_SECONDS = 10
_LIBRARY = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)
"""A line of ld.so(8) --list."""

_RING = 256
"""More than the places of a port's ring (QEMU's has 128): what was written so many writes ago is
out of the machine."""

_INIT = """\
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
for module in /modules/*; do $b insmod "$module"; done
echo "{ready}"
if $b grep -q {probe} /proc/cmdline; then $b poweroff -f; $b sleep 60; fi
port() {{
  for try in $($b seq 100); do
    for each in /sys/class/virtio-ports/*; do
      [ "$($b cat "$each/name" 2>/dev/null)" = "$1" ] && echo "/dev/${{each##*/}}" && return
    done
    $b sleep 0.1
  done
}}
status=$(port status)
finish() {{
  echo "$1" > "$status"
  $b poweroff -f
  $b sleep 60
}}
for try in $($b seq 100); do [ -b /dev/vda ] && break; $b sleep 0.1; done
export LD_LIBRARY_PATH={libraries}
$b mount -t {type} -o {options} /dev/vda /root || finish "it cannot be mounted"
{before}\
{tar} --extract --file=- --read-full-records --directory=/root --numeric-owner --same-owner \\
  --preserve-permissions --delay-directory-restore --xattrs '--xattrs-include=*' \\
  --warning=no-timestamp --record-size=32768 <"$(port {contents})" \\
  || finish "tar could not write all of the contents (status $?)"
{behind}\
$b umount /root || finish "it cannot be unmounted"
$b mount -t {type} -o ro{top} /dev/vda /root || finish "it cannot be mounted again"
{looked}\
exec 4>"$(port {copy})"
{tar} --create --file=- --format=pax --directory=/root --numeric-owner --xattrs \\
  '--xattrs-include=*' --sparse --sort=name --record-size=32768 . >&4 \\
  || finish "tar could not read all that was written (status $?)"
$b dd if=/dev/zero bs=512 count={ring} >&4 2>/dev/null
$b umount /root || finish "it cannot be unmounted"
finish 0
"""


@dataclass(frozen=True, slots=True)
class Filler:
    """The virtual machine, or why there is none.

    Attributes:
        guest: What it is made of.
        tar: This machine's GNU tar.
        missing: What this machine lacks.
        reason: Why no kernel is fit, a sentence without an end.
        origin: Where the kernel is from, for people.
    """

    guest: Guest | None = None
    tar: str = ""
    missing: tuple[Missing, ...] = ()
    reason: str = ""
    origin: str = ""

    @property
    def lacks(self) -> bool:
        """Whether something is wanted that is not there."""
        return bool(self.missing or self.reason)


class _Tree(Protocol):
    """Where a kernel and its modules may be: the contents, or this machine."""

    name: str

    def file(self, path: bytes) -> Entry | None:
        """Returns a regular file that can be read, or None."""
        ...

    def names(self, folder: bytes) -> list[bytes]:
        """Returns what is in a folder."""
        ...


class _Contents:
    name = "the contents"

    def __init__(self, tree: Listing) -> None:
        self._tree = tree

    def file(self, path: bytes) -> Entry | None:
        found = regular(self._tree, path)
        return None if found is None else data(found)

    def names(self, folder: bytes) -> list[bytes]:
        return [entry.name for entry in children(self._tree, folder)]


class _Machine:
    name = "this machine"

    def __init__(self, root: Path) -> None:
        self._root = root

    def file(self, path: bytes) -> Entry | None:
        place = self._root / os.fsdecode(path)
        try:
            readable = os.access(place, os.R_OK)
            return host_file(path, os.fsencode(place), mtime_ns=0) if readable else None
        except OSError:
            return None

    def names(self, folder: bytes) -> list[bytes]:
        try:
            return [os.fsencode(each.name) for each in (self._root / os.fsdecode(folder)).iterdir()]
        except OSError:
            return []


def find(
    tree: Listing, formats: Iterable[str], *, system: str = "", machine: Path = Path("/")
) -> Filler:
    """Returns the virtual machine that fills volumes of these formats.

    Args:
        tree: The system of the image, whose kernel comes first.
        formats: As the kernel names them.
        system: Path of the NixOS system in the image, or "".
        machine: Root of this machine.
    """
    wanted, places = tuple(formats), (_Contents(tree), _Machine(machine))
    needed = " and ".join(wanted)
    reason = f"neither the contents nor this machine have a kernel for {X86_64.name} with {needed}"
    for place in places:
        try:
            for kernel, folder in _kernels(place, system):
                guest, why = _guest(place, kernel, folder, wanted)
                if guest is not None:
                    return _equipped(guest, f"{_shown(kernel.path)} of {place.name}")
                reason = f"{_shown(kernel.path)} of {place.name} {why}"
        except (OSError, SourceChanged) as error:
            reason = f"a kernel of {place.name} cannot be read: {error}"
    return Filler(reason=reason)


def _equipped(guest: Guest, origin: str) -> Filler:
    missing = []
    busybox, tar = static_busybox(), _gnu_tar()
    if busybox is None:
        missing.append(Missing("a static busybox", _STATIC_BUSYBOX))
    if not tar:
        missing.append(Missing("GNU tar", _TAR))
    if busybox is None or missing:
        return Filler(missing=tuple(missing), origin=origin)
    return Filler(Guest(guest.kernel, guest.modules, busybox), tar, origin=origin)


def _gnu_tar() -> str:
    path = find_tool("tar")
    return path if path and _GNU in Path(path).read_bytes() and interpreter(path) else ""


def _kernels(place: _Tree, system: str) -> Iterator[tuple[Entry, bytes]]:
    """Yields kernels with the folders of their modules, the newest first."""
    if system:
        inside = system.encode().lstrip(b"/")
        folders = [inside + b"/kernel-modules/lib/modules"]
    else:
        inside, folders = b"", list(_FOLDERS)
    found = {(release, folder) for folder in folders for release in place.names(folder)}
    newest = cmp_to_key(compare)
    for release, folder in sorted(
        found, key=lambda each: newest(os.fsdecode(each[0])), reverse=True
    ):
        modules = folder + b"/" + release
        images = (b"boot/vmlinuz-" + release, modules + b"/vmlinuz")
        for path in (inside + b"/kernel",) if inside else images:
            kernel = place.file(path)
            if kernel is not None:
                yield kernel, modules
                break


def _guest(
    place: _Tree, kernel: Entry, folder: bytes, formats: tuple[str, ...]
) -> tuple[Guest | None, str]:
    """Returns the parts of a virtual machine without busybox, or why a kernel is not fit."""
    if of_kernel(read(kernel, HEADER_BYTES)) != X86_64:
        return None, f"is not for {X86_64.name}"
    modules = Modules(*(_text(place, folder + name) for name in (b"/modules.dep",
                                                                b"/modules.builtin")))  # fmt: skip
    lacking = [name for name in (*_NEEDED, *formats) if not modules.has(name)]
    if lacking:
        return None, f"has no {', '.join(lacking)}"
    found = []
    for path in modules.load_order((*_OPTIONAL, *_NEEDED, *formats)):
        module = place.file(folder + b"/" + path.encode())
        if module is None:
            return None, f"lacks a module that modules.dep names, {path}"
        found.append(module)
    return Guest(kernel, tuple(found), Path()), ""


def _text(place: _Tree, path: bytes) -> str:
    entry = place.file(path)
    return "" if entry is None else read(entry, _TABLE_LIMIT).decode("utf-8", "replace")


def _shown(path: bytes) -> str:
    return "/" + path.decode("utf-8", "backslashreplace")


def interpreter(program: str) -> str:
    """Returns the loader that an ELF program for x86-64 names (PT_INTERP of elf(5)), or ""."""
    with Path(program).open("rb") as file:
        head = file.read(64)
        if len(head) < 64 or head[:5] != b"\x7fELF\x02" or head[18:20] != b"\x3e\0":
            return ""
        (offset,) = struct.unpack_from("<Q", head, 32)
        size, count = struct.unpack_from("<HH", head, 54)
        file.seek(offset)
        table = file.read(size * count)
        for at in range(0, len(table) - size + 1, size):
            kind, _, place, _, _, length = struct.unpack_from("<IIQQQQ", table, at)
            if kind == 3:
                file.seek(place)
                return os.fsdecode(file.read(length).rstrip(b"\0"))
    return ""


def libraries(program: str) -> list[str]:
    """Returns the files that a program is loaded with, its loader first (ld.so(8)).

    Raises:
        OSError: They cannot be told.
        subprocess.SubprocessError: The loader failed.
    """
    loader = interpreter(program)
    done = answer((loader, "--list", program), limit=_LOADER_SECONDS)
    done.check_returncode()
    found = _LIBRARY.findall(done.stdout.decode("utf-8", "surrogateescape"))
    return list(dict.fromkeys([loader, *found]))


Files = list[tuple[str, int, bytes]]

_TOP = "subvolid=5"
"""The option of a mount that shows the top, whichever subvolume is the default (btrfs(5))."""
_SUBVOLUME_INODE = 256
"""Number of the directory at the top of a subvolume (BTRFS_FIRST_FREE_OBJECTID)."""


@dataclass(frozen=True, slots=True)
class Subvolumes:
    """Subvolumes that a guest makes.

    Attributes:
        btrfs: Path of btrfs(8) in the guest.
        names: Their paths from the top of the file system.
        default: The one that becomes the default, or "".
    """

    btrfs: str
    names: tuple[str, ...]
    default: str = ""


def files(programs: Iterable[str]) -> tuple[Files, str]:
    """Returns what the initrd holds for programs, and the folders of their libraries for ld.so(8).

    Raises:
        OSError: A file cannot be read.
        subprocess.SubprocessError: The loader failed.
    """
    wanted = list(dict.fromkeys(path for one in programs for path in libraries(one)))
    real = [os.path.realpath(one) for one in programs]
    folders = dict.fromkeys(str(Path(path).parent) for path in wanted)
    made: dict[str, None] = {}
    for path in [*wanted, *real]:
        above = path.strip("/").split("/")[:-1]
        made |= dict.fromkeys("/".join(above[: depth + 1]) for depth in range(len(above)))
    found: Files = [
        (folder, stat.S_IFDIR | 0o755, b"")
        for folder in made if folder not in {"bin", "dev", "modules", "proc", "root", "sys"}
    ]  # fmt: skip
    for path in [*wanted, *real]:
        found.append((path.lstrip("/"), stat.S_IFREG | 0o755, Path(path).read_bytes()))
    return found, ":".join(folders)


def init(
    *, tar: str, libraries: str, type_: str, options: str, subvolumes: Subvolumes | None = None
) -> bytes:
    """Returns the guest's first program, a script of busybox's shell.

    Args:
        tar: Path of tar in the guest.
        libraries: Folders of its libraries, as LD_LIBRARY_PATH has them.
        type_: Of the file system.
        options: Of its mount.
        subvolumes: What is made before anything goes in.
    """
    before, behind, looked = _of_subvolumes(subvolumes) if subvolumes is not None else ("",) * 3
    top = f",{_TOP}" if subvolumes is not None else ""
    script = _INIT.format(
        ready=READY, probe=PROBE, tar=tar, libraries=libraries, type=type_, options=options + top,
        before=before, behind=behind, looked=looked, top=top,
        contents=CONTENTS, copy=COPY, ring=_RING,
    )  # fmt: skip
    return script.encode()


def _of_subvolumes(wanted: Subvolumes) -> tuple[str, str, str]:
    """Returns the lines that make subvolumes, set the default one, and look whether both held."""
    before, behind, looked = [], [], []
    for name in sorted(wanted.names):
        path, above = shlex.quote(f"/root/{name}"), shlex.quote(str(Path("/root", name).parent))
        failed = f"|| finish {shlex.quote(f'the subvolume {name} cannot be made')}"
        before.append(f"$b mkdir -p {above} {failed}")
        before.append(f"{wanted.btrfs} subvolume create {path} {failed}")
        missing = shlex.quote(f"{name} is not a subvolume")
        looked.append(f'[ "$($b stat -c %i {path})" = {_SUBVOLUME_INODE} ] || finish {missing}')
    if wanted.default:
        path = shlex.quote(f"/root/{wanted.default}")
        failed = shlex.quote(f"{wanted.default} cannot be made the default subvolume")
        behind.append(f"{wanted.btrfs} subvolume set-default {path} || finish {failed}")
    texts = ("".join(f"{line}\n" for line in lines) for lines in (before, behind, looked))
    return next(texts), next(texts), next(texts)


def argv(
    *, memory_mib: int, epoch: int, sector_size: int, image: str, offset: int, size: int,
    kernel: str, initrd: str, status: str, accelerator: Accelerator, probe: bool = False,
) -> tuple[str, ...]:  # fmt: skip
    """Returns the command that runs the guest; its console is on standard error.

    Args:
        offset, size: Bytes of the image that the guest sees.
        probe: See this and the others at `engine.boot.guest.machine`.
    """
    command = machine(
        memory_mib=memory_mib, epoch=epoch, sector_size=sector_size, image=image, kernel=kernel,
        initrd=initrd, status=status, accelerator=accelerator, probe=probe,
        part=f"offset={offset},size={size},", console="file:/dev/stderr",
    )  # fmt: skip
    if probe:
        return command
    return (
        *command,
        "-chardev", f"stdio,id={CONTENTS},signal=off",
        "-device", f"virtserialport,chardev={CONTENTS},name={CONTENTS}",
        "-chardev", f"file,id={COPY},path=/dev/stdout",
        "-device", f"virtserialport,chardev={COPY},name={COPY}",
    )  # fmt: skip
