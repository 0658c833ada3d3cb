"""Which boot loaders an image carries, recognised by what they say of themselves."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from engine.image.container import BadImage
from engine.image.reading import Node, contents, walk
from engine.inspect.files import OnFinding, absolute
from engine.inspect.image import Image, Part
from engine.spec.filesystems import FILESYSTEMS

LoaderKind = Literal["grub", "systemd-boot", "uki", "shim", "kernel", "settings", "other"]

_MAX_LOADER = 1 << 23
_MAX_FILES = 10_000
# systemd's stub and loader carry this marker (systemd, "Boot Loader Interface").
_SYSTEMD = re.compile(rb"#### LoaderInfo: (systemd-boot|systemd-stub) ([^ ]+) ####")
# shim's own line of its .sbat section (shim, SBAT.md).
_SHIM = b"\nshim,"
_TEXTS: tuple[tuple[bytes, LoaderKind, str], ...] = (
    (b"rEFInd", "other", "rEFInd"),
    (b"GRUB", "grub", "GRUB"),
    (b"grub", "grub", "GRUB"),
    (b"SYSLINUX", "other", "SYSLINUX"),
)
_MENUS = (
    (b"boot/grub/grub.cfg", "GRUB menu"),
    (b"boot/extlinux/extlinux.conf", "extlinux menu"),
    (b"loader/loader.conf", "systemd-boot settings"),
)


@dataclass(frozen=True, slots=True)
class Loader:
    """Something that boots, or that says what to boot.

    Attributes:
        where: The partition and path, or "boot sector".
        name: What it is.
        kind: The same, in one word.
    """

    where: str
    name: str
    kind: LoaderKind


def find_loaders(image: Image, say: OnFinding = lambda _: None) -> tuple[Loader, ...]:
    """Returns the loaders of an image.

    Args:
        image: The image.
        say: Told which file systems are damaged; they are left where the damage is.
    """
    found = list(_boot_sector(image))
    for part in image.parts:
        try:
            found += _in_filesystem(part)
        except (BadImage, struct.error) as error:
            say(f"{part.name}: {error}")
    return tuple(found)


def _boot_sector(image: Image) -> Iterator[Loader]:
    code = image.disk.read(0, 440) if image.disk.size >= 512 else b""
    if b"GRUB" in code:
        yield Loader("boot sector", "GRUB for BIOS", "grub")


def _in_filesystem(part: Part) -> Iterator[Loader]:
    filesystem = part.filesystem
    if filesystem is None:
        return
    for path, name in _MENUS:
        if filesystem.lookup(path) is not None:
            yield Loader(_where(part, path), name, "settings")
    if not FILESYSTEMS[filesystem.type].firmware:
        return
    for count, node in enumerate(walk(filesystem)):
        if count > _MAX_FILES:
            return
        if node.path.lower().endswith(b".efi"):
            kind, name = _recognise(part, node)
            yield Loader(_where(part, node.path), name, kind)


def systemd_version(binary: bytes) -> str:
    """Returns what a binary of systemd-boot says of its version, or ""."""
    found = _SYSTEMD.search(binary)
    return "" if found is None else found[2].decode("ascii", "replace")


def _recognise(part: Part, node: Node) -> tuple[LoaderKind, str]:
    assert part.filesystem is not None
    data = contents(part.filesystem, node, _MAX_LOADER)
    systemd = _SYSTEMD.search(data)
    if systemd is not None:
        name, version = (text.decode("ascii", "replace") for text in systemd.groups())
        if name == "systemd-stub":
            return "uki", f"unified kernel image ({version})"
        return "systemd-boot", f"{name} ({version})"
    if b".linux\0\0" in data[:4096]:
        return "uki", "unified kernel image"
    if data[0x202:0x206] == b"HdrS":  # Documentation/arch/x86/boot.rst of the Linux kernel
        return "kernel", "Linux kernel with EFI stub"
    if _SHIM in data:
        return "shim", "shim"
    known = ((kind, name) for text, kind, name in _TEXTS if text in data)
    return next(known, ("other", "EFI program"))


def _where(part: Part, path: bytes) -> str:
    return f"{part.name}: {absolute(path)}"
