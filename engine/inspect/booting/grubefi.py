"""GRUB for UEFI: which menu its program reads, as the program itself says.

Source: GRUB's include/grub/kernel.h, for the modules and settings that grub-mkimage(1) adds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace

from engine.image.reading import Node
from engine.inspect.booting.boot import Boot, from_grub, from_menu, not_started
from engine.inspect.booting.grub import GrubMenu, home_of, menu_at
from engine.inspect.booting.grubcfg import grub_path
from engine.inspect.files import Files, absolute, decoded
from engine.inspect.pefile import Program, read_sections

_SECTION = b"mods"
_MAX_SECTION = 1 << 23
_INFO = struct.Struct("<4s4xQQ")
_MAGIC = b"mimg"
_OBJECT = struct.Struct("<II")
_SCRIPT, _PREFIX = 2, 3


def from_grub_program(
    files: Files, node: Node, headers: Program, everywhere: Sequence[Files], menus: list[GrubMenu]
) -> Boot:
    """Returns what a GRUB on an ESP starts.

    Args:
        files: The ESP.
        node: The program.
        headers: Its headers.
        everywhere: All file systems that GRUB can reach.
        menus: Those at usual places, for a program that does not say where it looks.

    Raises:
        BadImage: The program or a file system is damaged.
    """
    data = read_sections(files, node, headers, (_SECTION,), _MAX_SECTION).get(_SECTION, b"")
    settings = dict(_settings(data))
    prefix = decoded(settings.get(_PREFIX, b"").partition(b"\0")[0])
    usual = sorted(menus, key=lambda menu: not menu.on_esp)
    if _SCRIPT in settings:
        started = from_grub(usual)
        note = "GRUB runs a script that it carries before it reads any menu"
        return replace(started, notes=(note, *started.notes))
    home = home_of(everywhere, files, grub_path(prefix, "")) if prefix else None
    if home is None:
        return from_grub(usual)
    path = f"{absolute(grub_path(prefix, '').path)}/grub.cfg"
    found = menu_at(everywhere, home, path)
    if found is None:
        return not_started(f"GRUB looks for {home.where(path)}, which is not there")
    return from_menu(found.menu)


def _settings(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields type and contents of what was added to the program; modules among it."""
    if len(data) < _INFO.size:
        return
    magic, at, size = _INFO.unpack_from(data)
    end = min(size, len(data))
    while magic == _MAGIC and at + _OBJECT.size <= end:
        kind, length = _OBJECT.unpack_from(data, at)
        if length < _OBJECT.size:
            return
        yield kind, data[at + _OBJECT.size : at + length]
        at += length
