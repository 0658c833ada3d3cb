"""Finds the initrds of a kernel by the names that distributions give them."""

from __future__ import annotations

import os
from collections.abc import Iterator

from engine.boot.names import forms, version_of
from engine.boot.tree import children, regular
from engine.manifest.entry import Entry
from engine.manifest.manifest import Listing

# Debian, openSUSE, Mandriva, Slackware, Fedora and Arch, Alpine, Gentoo; Arch's second one last.
INITRD_NAMES = (
    "initrd.img-{}", "initrd-{}", "initrd-{}.img", "initrd-{}.gz", "initramfs-{}.img",
    "initramfs-{}", "initramfs-{}.cpio.gz", "initramfs-genkernel-{}", "initramfs-{}-fallback.img",
)  # fmt: skip
"""Names of the initrd of a kernel vmlinuz-RELEASE beside it."""
MODULE_INITRD_NAMES = (b"initrd", b"initrd.img", b"initramfs.img")
"""Names of the initrd of a kernel in /usr/lib/modules/RELEASE."""
_PLAIN = (
    b"initrd.img", b"initrd", b"initramfs.img", b"initramfs", b"initrd.gz", b"initramfs.gz",
    b"initramfs.cpio.gz",
)  # fmt: skip
# In grub-mkconfig's order (GRUB_EARLY_INITRD_LINUX_STOCK).
_MICROCODE = (
    b"intel-uc.img", b"intel-ucode.img", b"amd-uc.img", b"amd-ucode.img", b"early_ucode.cpio",
    b"microcode.cpio",
)  # fmt: skip
_MODULES = b"usr/lib/modules"
_BOOT = b"boot"


def initrds_of(manifest: Listing, kernel: Entry) -> tuple[Entry, ...]:
    """Returns the initrd of a kernel that is named after its version, or nothing."""
    folder = kernel.path.rpartition(b"/")[0]
    version = version_of(os.fsdecode(kernel.name))
    if not version:
        return _first(_sized(manifest, folder, name) for name in _PLAIN)
    return initrds_for(manifest, version, folder)


def initrds_for(manifest: Listing, version: str, folder: bytes = _BOOT) -> tuple[Entry, ...]:
    """Returns the initrd of a version: in the kernel's folder, /boot, or with its modules."""
    return _first(_candidates(manifest, version, folder))


def _candidates(manifest: Listing, version: str, folder: bytes) -> Iterator[Entry | None]:
    for name, tail in forms(version):
        for where in dict.fromkeys((folder, _BOOT)):
            for pattern in INITRD_NAMES:
                yield _sized(manifest, where, os.fsencode(pattern.format(name) + tail))
        if not tail:
            modules = _MODULES + b"/" + os.fsencode(name)
            yield from (_sized(manifest, modules, each) for each in MODULE_INITRD_NAMES)


def beside(manifest: Listing, folder: bytes) -> tuple[Entry, ...]:
    """Returns the initrd in a folder of modules."""
    return _first(_sized(manifest, folder, name) for name in MODULE_INITRD_NAMES)


def installed(manifest: Listing, folder: bytes) -> tuple[Entry, ...]:
    """Returns the initrds in a folder that kernel-install(8) keeps for one kernel, in order."""
    names = (each.name for each in children(manifest, folder))
    found = (_sized(manifest, folder, each) for each in names if each.startswith(b"init"))
    return tuple(entry for entry in found if entry is not None)


def microcode(manifest: Listing) -> tuple[Entry, ...]:
    """Returns the images of processors' microcode, which the kernel only looks for in front."""
    found = (_sized(manifest, _BOOT, name) for name in _MICROCODE)
    return tuple(entry for entry in found if entry is not None)


def is_microcode(entry: Entry) -> bool:
    """Whether a file is named like an image of microcode."""
    return entry.name in _MICROCODE


def _first(entries: Iterator[Entry | None]) -> tuple[Entry, ...]:
    return next(((entry,) for entry in entries if entry is not None), ())


def _sized(manifest: Listing, folder: bytes, name: bytes) -> Entry | None:
    """Returns a regular file that is not empty, as what an interrupted update leaves is."""
    entry = regular(manifest, folder + b"/" + name if folder else name)
    return entry if entry is not None and entry.size else None
