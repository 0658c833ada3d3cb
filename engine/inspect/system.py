"""Which systems an image holds, by their os-release, and which kernels."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engine.boot.architecture import RELEASE_BYTES, of_kernel, release_of
from engine.boot.bootspec import BOOTSPEC_LIMIT, SYSTEM_PROFILE, generations
from engine.boot.initrds import INITRD_NAMES, MODULE_INITRD_NAMES
from engine.boot.osrelease import release_fields
from engine.boot.versions import age, comparable
from engine.image.reading import is_divided
from engine.inspect.booting.entry import BootEntry
from engine.inspect.files import Files, absolute, decoded

_OS_RELEASE = (b"etc/os-release", b"usr/lib/os-release")
_BOOT_FOLDERS = (b"boot", b"")
"""In a root file system, and in one that is mounted at /boot."""
_MOST_TOPS = 16
"""Subvolumes that are looked into: snapshots of a system hold it, too."""


@dataclass(frozen=True, slots=True)
class System:
    """What os-release(5) says of the system in a partition."""

    where: str
    id: str
    pretty_name: str
    version: str
    architecture: str


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel.

    Attributes:
        where: The partition.
        path, initrd: Absolute paths in it; `initrd` is None where none belongs to it.
        version: The release it states, or the one that its name or its entry has.
        architecture: As `uname -m` has it; "" where it is not known.
        size: Bytes.
    """

    where: str
    path: str
    version: str
    architecture: str
    initrd: str | None
    size: int


def systems(files: Files) -> Iterator[System]:
    """Yields the system of a file system, if it has one.

    Raises:
        BadImage: The file system is damaged.
    """
    texts = (files.text(below(system_top(files), path)) for path in _OS_RELEASE)
    found = next((text for text in texts if text is not None), None)
    if found is None:
        return
    fields = release_fields(found)
    yield System(
        files.part.name,
        fields.get("ID", "linux"),
        fields.get("PRETTY_NAME") or fields.get("NAME") or "Linux",
        fields.get("VERSION") or fields.get("VERSION_ID", ""),
        fields.get("ARCHITECTURE", ""),
    )


def system_top(files: Files) -> bytes:
    """Returns the path of the folder that a system has as its root: b"", or a subvolume's.

    Raises:
        BadImage: The file system is damaged.
    """
    if not is_divided(files.filesystem):
        return b""
    for top in files.filesystem.tops[:_MOST_TOPS]:
        if any(files.has(below(top, path)) for path in _OS_RELEASE):
            return top
    return b""


def below(top: bytes, path: bytes) -> bytes:
    """Returns a path below a folder."""
    return b"/".join(filter(None, (top, path)))


def kernels(everywhere: Iterable[Files], entries: Iterable[BootEntry]) -> list[Kernel]:
    """Returns the kernels of an image: those where systems keep them, and those entries name.

    Of one partition the newest comes first. Damage is a finding.
    """
    found: dict[tuple[str, str], Kernel] = {}
    for files in everywhere:
        with files.tolerant():
            own = [*_in_boot(files), *_in_modules(files), *_in_bootspec(files)]
            # Copies of one kernel under several names differ by these alone.
            own.sort(key=lambda each: age(comparable(each.path)), reverse=True)
            own.sort(key=lambda each: age(comparable(each.version)), reverse=True)
            for kernel in own:
                found.setdefault((kernel.where, kernel.path), kernel)
    for entry in entries:
        if entry.home is None or entry.kind == "uki" or not entry.linux:
            continue
        with entry.home.tolerant():
            initrd = entry.initrd[0] if entry.initrd else None
            for kernel in _kernel(entry.home, entry.linux, entry.version, initrd):
                found.setdefault((kernel.where, kernel.path), kernel)
    return list(found.values())


def _kernel(files: Files, path: bytes | str, version: str, initrd: str | None) -> Iterator[Kernel]:
    """Yields the kernel at a path; nothing where there is none."""
    node = files.regular(path)
    if node is None:
        return
    head = files.head(node, RELEASE_BYTES)
    architecture = of_kernel(head)
    yield Kernel(
        files.part.name, absolute(path), release_of(head) or version,
        architecture.name if architecture else "", initrd, node.size,
    )  # fmt: skip


def _in_boot(files: Files) -> Iterator[Kernel]:
    top = system_top(files)
    for folder in dict.fromkeys((below(top, b"boot"), *_BOOT_FOLDERS)):
        for node in files.listed(folder):
            if node.name.startswith(b"vmlinuz-") and stat.S_ISREG(node.mode):
                release = decoded(node.name.removeprefix(b"vmlinuz-"))
                yield from _kernel(files, node.path, release, _initrd(files, folder, release))


def _in_modules(files: Files) -> Iterator[Kernel]:
    top = system_top(files)
    for folder in files.listed(below(top, b"usr/lib/modules")):
        path = folder.path + b"/vmlinuz"
        if not stat.S_ISDIR(folder.mode) or not files.has(path):
            continue
        beside = (folder.path + b"/" + name for name in MODULE_INITRD_NAMES)
        initrd = next((absolute(name) for name in beside if files.has(name)), None)
        release = decoded(folder.name)
        yield from _kernel(
            files, path, release, initrd or _initrd(files, below(top, b"boot"), release)
        )


def _in_bootspec(files: Files) -> Iterator[Kernel]:
    node = files.regular(SYSTEM_PROFILE + b"/boot.json")
    if node is None:
        return
    for _, spec in generations(files.head(node, BOOTSPEC_LIMIT)):
        initrd = spec.initrd if spec.initrd and files.has(spec.initrd) else None
        yield from _kernel(files, spec.kernel, "", initrd)


def _initrd(files: Files, folder: bytes, release: str) -> str | None:
    names = (f"{absolute(folder).rstrip('/')}/{name.format(release)}" for name in INITRD_NAMES)
    return next((name for name in names if files.has(name)), None)
