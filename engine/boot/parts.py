"""What a host contributes to a bootable image: loader binaries and GRUB's core images.

Read-only: binaries are read, and grub-mkimage writes into memory that no file system holds.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from engine.boot import grub, systemd_boot, uki
from engine.boot.architecture import Architecture, pe_machine
from engine.boot.bootspec import SYSTEM_PROFILE
from engine.boot.firmware import find_grub, find_mkimage, find_systemd_boot
from engine.boot.pe import BadStub
from engine.boot.tree import data, regular
from engine.manifest.lookup import read
from engine.manifest.manifest import Listing, Manifest
from engine.tools.answer import answer

_MKIMAGE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Missing:
    """Something a loader needs that the host does not have.

    Attributes:
        packages: What to install, for Debian, Fedora, Arch and Nix.
        hint: What to do instead, where no package for this machine has it.
    """

    what: str
    packages: tuple[str, str, str, str]
    hint: str = ""


_LIB = b"lib/systemd/boot/efi"
_SYSTEMD_FOLDER = b"usr/" + _LIB
_LARGEST = 1 << 24
_NOTHING = Manifest(())
_SYSTEMD_BOOT = ("systemd-boot-efi", "systemd-boot-unsigned", "systemd", "systemd")
_GRUB_UEFI = (
    "grub-efi-amd64-bin grub-common", "grub2-efi-x64-modules grub2-tools", "grub", "grub2_efi",
)  # fmt: skip
_GRUB_BIOS = ("grub-pc-bin grub-common", "grub2-pc-modules grub2-tools", "grub", "grub2")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderParts:
    """Bytes of the loader's binaries; empty where the loader does not need them.

    Attributes:
        systemd_boot: systemd-boot's EFI binary.
        stub: systemd's EFI stub.
        grub_efi: GRUB's core image for UEFI.
        grub_boot, grub_core: boot.img and core.img for BIOS.
        missing: What could not be had, with the packages that bring it.
    """

    systemd_boot: bytes = b""
    stub: bytes = b""
    grub_efi: bytes = b""
    grub_boot: bytes = b""
    grub_core: bytes = b""
    missing: tuple[Missing, ...] = ()


def gather(
    architecture: Architecture, *, want_systemd_boot: bool, want_stub: bool, want_grub_efi: bool,
    want_grub_bios: bool, grub_prefix: str = "", grub_modules: tuple[str, ...] = (),
    contents: Listing = _NOTHING,
) -> LoaderParts:  # fmt: skip
    """Collects the wanted parts from the host, and from the contents what it does not have.

    Args:
        grub_prefix: The folder of GRUB's menu, in its own words ("(,gpt2)/boot/grub").
        grub_modules: What its core needs besides what it always has.
        contents: The tree of the system, which may bring systemd's loader and stub.

    Raises:
        OSError, SourceChanged: A part cannot be read, or grub-mkimage failed.
        BadStub: What the contents bring is not a program of this architecture.
    """
    missing: list[Missing] = []
    boot = stub = efi = first = core = b""
    if want_systemd_boot:
        name = systemd_boot.binary_name(architecture)
        boot = _systemd(name, architecture, contents, missing)
    if want_stub:
        name = uki.stub_name(architecture)
        stub = _systemd(name, architecture, contents, missing)
    if want_grub_efi:
        lacking = Missing("GRUB for UEFI", _GRUB_UEFI)
        efi = _core(architecture.grub_efi, grub_prefix, grub_modules, lacking, missing)
    if want_grub_bios:
        lacking = Missing("GRUB for BIOS", _GRUB_BIOS)
        core = _core(architecture.grub_bios, grub_prefix, grub_modules, lacking, missing)
        if core:
            first = _read(find_grub(architecture.grub_bios, "boot.img"), lacking, missing)
    return LoaderParts(
        systemd_boot=boot, stub=stub, grub_efi=efi, grub_boot=first, grub_core=core,
        missing=tuple(missing),
    )  # fmt: skip


def _systemd(
    name: str, architecture: Architecture, contents: Listing, missing: list[Missing]
) -> bytes:
    """Returns a binary of systemd's, of this machine or of the contents."""
    path = find_systemd_boot(name)
    if path is not None:
        return path.read_bytes()
    folders = (_SYSTEMD_FOLDER, SYSTEM_PROFILE + b"/systemd/" + _LIB)
    found = (regular(contents, folder + b"/" + name.encode()) for folder in folders)
    entry = next((each for each in found if each is not None), None)
    if entry is None:
        missing.append(Missing(name, _SYSTEMD_BOOT, _foreign_hint(name, architecture)))
        return b""
    binary = read(data(entry), _LARGEST)
    if pe_machine(binary) != architecture.pe:
        where = entry.path.decode(errors="backslashreplace")
        raise BadStub(f"/{where} of the contents is not an EFI program for {architecture.name}")
    return binary


def _foreign_hint(name: str, architecture: Architecture) -> str:
    """Returns how to have a binary for a machine that is not this one; "" for this one."""
    if architecture.name == platform.machine():
        return ""
    return (
        f"add it to the contents as /{_SYSTEMD_FOLDER.decode()}/{name}, where the package "
        f"{_SYSTEMD_BOOT[0]} for {architecture.name} has it (Debian; {_SYSTEMD_BOOT[1]} in Fedora)"
    )


def _read(path: Path | None, lacking: Missing, missing: list[Missing]) -> bytes:
    if path is None:
        missing.append(lacking)
        return b""
    return path.read_bytes()


def _core(
    target: str, prefix: str, modules: tuple[str, ...], lacking: Missing, missing: list[Missing]
) -> bytes:
    if not target or find_grub(target) is None or find_mkimage() is None:
        missing.append(lacking)
        return b""
    return mkimage(target, prefix, modules)


@lru_cache(maxsize=16)
def mkimage(target: str, prefix: str, modules: tuple[str, ...] = ()) -> bytes:
    """Returns the core image that grub-mkimage makes, without writing a file.

    Raises:
        OSError: grub-mkimage failed; the message holds what it said.
    """
    with _memory("core") as (output, output_path):
        tool = find_mkimage() or "grub-mkimage"
        lacking = (name for name in grub.DROPPED if find_grub(target, f"{name}.mod") is None)
        argv = grub.mkimage_argv(tool, target, prefix, output_path, modules, frozenset(lacking))
        done = answer(argv, descriptors=(output,), limit=_MKIMAGE_SECONDS)
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise OSError(f"grub-mkimage failed with status {done.returncode}: {said}")
        return os.pread(output, os.fstat(output).st_size, 0)


@contextmanager
def _memory(name: str) -> Iterator[tuple[int, str]]:
    """Yields a file in memory: its descriptor, and a path a child opens it by (memfd_create(2))."""
    fd = os.memfd_create(name)
    try:
        yield fd, f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)
