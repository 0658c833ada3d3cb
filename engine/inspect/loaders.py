"""Which boot loaders an image carries, recognised by what they say of themselves."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from engine.inspect.container import BadImage
from engine.inspect.image import Image, Part
from engine.inspect.reading import Node, contents, walk

_MAX_LOADER = 1 << 23
_MAX_FILES = 10_000
# systemd's stub and loader carry this marker (systemd, "Boot Loader Interface").
_SYSTEMD = re.compile(rb"#### LoaderInfo: (systemd-boot|systemd-stub) ([^ ]+) ####")
_TEXTS = ((b"rEFInd", "rEFInd"), (b"GRUB", "GRUB"), (b"grub", "GRUB"), (b"SYSLINUX", "SYSLINUX"))
_MENUS = (
    (b"boot/grub/grub.cfg", "GRUB menu"),
    (b"boot/extlinux/extlinux.conf", "extlinux menu"),
    (b"loader/loader.conf", "systemd-boot settings"),
)


@dataclass(frozen=True, slots=True)
class Loader:
    """Something that boots.

    Attributes:
        where: The partition and path, or "boot sector".
        name: What it is.
    """

    where: str
    name: str


def find_loaders(image: Image) -> tuple[Loader, ...]:
    """Returns the loaders of an image; damaged file systems are passed over."""
    found = list(_boot_sector(image))
    for part in image.parts:
        try:
            found += _in_filesystem(part)
        except (BadImage, struct.error):
            continue
    return tuple(found)


def _boot_sector(image: Image) -> Iterator[Loader]:
    code = image.disk.read(0, 440) if image.disk.size >= 512 else b""
    if b"GRUB" in code:
        yield Loader("boot sector", "GRUB for BIOS")


def _in_filesystem(part: Part) -> Iterator[Loader]:
    filesystem = part.filesystem
    if filesystem is None:
        return
    for path, name in _MENUS:
        if filesystem.lookup(path) is not None:
            yield Loader(_where(part, path), name)
    if filesystem.type != "vfat":
        return
    for count, node in enumerate(walk(filesystem)):
        if count > _MAX_FILES:
            return
        if node.path.lower().endswith(b".efi"):
            yield Loader(_where(part, node.path), _recognise(part, node))


def _recognise(part: Part, node: Node) -> str:
    assert part.filesystem is not None
    data = contents(part.filesystem, node, _MAX_LOADER)
    systemd = _SYSTEMD.search(data)
    if systemd is not None:
        name, version = (text.decode("ascii", "replace") for text in systemd.groups())
        return f"{'unified kernel image' if name == 'systemd-stub' else name} ({version})"
    if b".linux\0\0" in data[:4096]:
        return "unified kernel image"
    if data[0x202:0x206] == b"HdrS":  # Documentation/arch/x86/boot.rst of the Linux kernel
        return "Linux kernel with EFI stub"
    return next((name for text, name in _TEXTS if text in data), "EFI program")


def _where(part: Part, path: bytes) -> str:
    return f"{part.name}: /{path.decode('utf-8', 'replace')}"
