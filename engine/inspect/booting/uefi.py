"""What UEFI firmware would boot from an image for which it has no boot variable.

Source: UEFI specification 2.10, section 3.5.1.1, "Removable Media Boot Behavior".
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.disk.roles import role_of
from engine.image.reading import BadFilesystem, Node
from engine.inspect.booting.boot import Boot, from_menu, not_started
from engine.inspect.booting.entry import BootEntry
from engine.inspect.booting.grub import GrubMenu
from engine.inspect.booting.grubefi import from_grub_program
from engine.inspect.booting.systemd import systemd_menu
from engine.inspect.booting.type1 import Listed
from engine.inspect.booting.uki import is_uki, read_uki
from engine.inspect.files import SMALL, Files, decoded
from engine.inspect.loaders import Loader
from engine.inspect.pefile import Program, program

FOLDER = b"EFI/BOOT"
_REMOVABLE = re.compile(rb"boot(x64|aa64|ia32|arm|riscv64|loongarch64)\.efi", re.IGNORECASE)
# The machine type of the PE headers, by EFI's name of the architecture; the usual ones first.
_MACHINES = {
    "x64": 0x8664, "aa64": 0xAA64, "ia32": 0x014C, "arm": 0x01C2, "riscv64": 0x5064,
    "loongarch64": 0x6264,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LoaderFiles:
    """What of an image its loaders for UEFI choose from.

    Attributes:
        everywhere: All file systems.
        loaders: By where they are.
        entries: What systemd-boot reads, of all partitions that it looks at.
        menus: GRUB's.
    """

    everywhere: Sequence[Files]
    loaders: Mapping[str, Loader]
    entries: Sequence[Listed]
    menus: list[GrubMenu]


def uefi_boot(esps: Sequence[Files], found: LoaderFiles) -> Boot:
    """Returns what the firmware would boot from the EFI system partitions.

    Raises:
        BadImage: A file system is damaged.
    """
    for name in _MACHINES:
        for files in esps:
            for node in _programs(files, name):
                return _noted(files, _started(files, node, name, found))
    there = "; ".join(files.part.name for files in esps)
    programs = [
        where
        for where, loader in found.loaders.items()
        if loader.kind != "settings" and where.lower().endswith(".efi")
    ]
    tail = f"; only a boot variable could name {programs[0]}" if programs else ""
    return not_started(f"{there} has no /EFI/BOOT/BOOT*.EFI{tail}")


def _noted(files: Files, boot: Boot) -> Boot:
    partition = files.part.partition
    if partition is None or role_of(partition.type) == "esp":
        return boot
    note = f"{files.part.name} is not marked as an EFI system partition; some firmware minds"
    return replace(boot, notes=(*boot.notes, note))


def _programs(files: Files, architecture: str) -> Iterator[Node]:
    for node in files.listed(FOLDER):
        name = _REMOVABLE.fullmatch(node.name)
        if stat.S_ISREG(node.mode) and name and name[1].decode().lower() == architecture:
            yield node


def _started(files: Files, node: Node, architecture: str, found: LoaderFiles) -> Boot:
    """Returns what a program leads to."""
    where = files.where(node.path)
    loader = found.loaders.get(where, Loader(where, "EFI program", "other"))
    step = f"{where}: {loader.name}"
    try:
        headers = program(files, node)
    except BadFilesystem as error:
        files.say(f"{files.part.name}: {error}")
        return not_started(str(error)).behind(step)
    if headers is None:
        return not_started(f"{where} is not an EFI program").behind(step)
    if headers.machine != _MACHINES[architecture]:
        return not_started(
            f"{where} is for another machine: type {headers.machine:#x}, and its name asks for "
            f"{_MACHINES[architecture]:#x}"
        ).behind(step)
    if loader.kind == "shim":
        return _behind_shim(files, node, architecture, found).behind(step)
    return _by_kind(files, node, headers, loader, architecture, found).behind(step)


def _behind_shim(files: Files, shim: Node, architecture: str, found: LoaderFiles) -> Boot:
    """Returns what shim starts: the GRUB beside it, or what its fallback finds in lists."""
    folder = _folder(shim)
    fallback = folder + f"/fb{architecture}.efi".encode()
    if folder.upper() == FOLDER and files.has(fallback):
        listed = next(_vendors(files, architecture), None)
        if listed is None:
            return not_started(f"{files.where(fallback)} finds no list of what to start")
        return _started(files, listed, architecture, found).behind(files.where(fallback))
    path = folder + f"/grub{architecture}.efi".encode()
    node = files.regular(path)
    if node is None:
        return not_started(f"shim starts {files.where(path)}, which is not there")
    loader = found.loaders.get(files.where(node.path))
    if loader is not None and loader.kind == "shim":
        return not_started(f"{loader.where} is shim again")
    return _started(files, node, architecture, found)


def _vendors(files: Files, architecture: str) -> Iterator[Node]:
    """Yields what vendors' lists for shim's fallback name first (shim, README.fallback)."""
    for vendor in files.listed(FOLDER.partition(b"/")[0]):
        node = files.regular(vendor.path + f"/BOOT{architecture.upper()}.CSV".encode())
        if node is None:
            continue
        text = files.head(node, SMALL).decode("utf-16", "replace")
        name = text.partition(",")[0].strip()
        program = files.regular(f"{decoded(vendor.path)}/{name}") if name else None
        # A list that leads back to where it was found would be read again without end.
        if program is not None and _folder(program).upper() != FOLDER:
            yield program


def _folder(node: Node) -> bytes:
    return node.path.rpartition(b"/")[0]


def _by_kind(
    files: Files,
    node: Node,
    headers: Program,
    loader: Loader,
    architecture: str,
    found: LoaderFiles,
) -> Boot:
    if is_uki(headers):
        return Boot("yes", entry=read_uki(files, node, headers).entry)
    if loader.kind == "systemd-boot":
        return from_menu(systemd_menu(files, found.entries, architecture))
    if loader.kind == "grub":
        return from_grub_program(files, node, headers, found.everywhere, found.menus)
    if loader.kind == "kernel":
        entry = BootEntry(
            kind="kernel", where=loader.where, title=loader.name,
            linux=loader.where.partition(": ")[2], home=files,
        )  # fmt: skip
        return Boot("yes", entry=entry)
    return Boot("unknown", notes=("what it boots is not known here",))
