"""What a host contributes to a bootable image: loader binaries and GRUB's core images.

Read-only: binaries are read, and grub-mkimage writes into memory that no file system holds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from engine.boot import grub, systemd_boot, uki
from engine.boot.architecture import Architecture
from engine.boot.firmware import find_grub, find_mkimage, find_systemd_boot
from engine.tools.answer import answer

_MKIMAGE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Missing:
    """Something a loader needs that the host does not have.

    Attributes:
        packages: What to install, for Debian, Fedora, Arch and Nix.
    """

    what: str
    packages: tuple[str, str, str, str]


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
    architecture: Architecture, grub_partition: str, *, want_systemd_boot: bool, want_stub: bool,
    want_grub_efi: bool, want_grub_bios: bool,
) -> LoaderParts:  # fmt: skip
    """Collects the wanted parts from the host.

    Args:
        grub_partition: The partition with GRUB's menu, in its own words ("gpt2").

    Raises:
        OSError: A part cannot be read, or grub-mkimage failed.
    """
    missing: list[Missing] = []
    boot = stub = efi = first = core = b""
    if want_systemd_boot:
        name = systemd_boot.binary_name(architecture)
        boot = _read(find_systemd_boot(name), Missing(name, _SYSTEMD_BOOT), missing)
    if want_stub:
        name = uki.stub_name(architecture)
        stub = _read(find_systemd_boot(name), Missing(name, _SYSTEMD_BOOT), missing)
    if want_grub_efi:
        lacking = Missing("GRUB for UEFI", _GRUB_UEFI)
        efi = _core(architecture.grub_efi, grub_partition, lacking, missing)
    if want_grub_bios:
        lacking = Missing("GRUB for BIOS", _GRUB_BIOS)
        core = _core(architecture.grub_bios, grub_partition, lacking, missing)
        if core:
            first = _read(find_grub(architecture.grub_bios, "boot.img"), lacking, missing)
    return LoaderParts(
        systemd_boot=boot, stub=stub, grub_efi=efi, grub_boot=first, grub_core=core,
        missing=tuple(missing),
    )  # fmt: skip


def _read(path: Path | None, lacking: Missing, missing: list[Missing]) -> bytes:
    if path is None:
        missing.append(lacking)
        return b""
    return path.read_bytes()


def _core(target: str, partition: str, lacking: Missing, missing: list[Missing]) -> bytes:
    if not target or find_grub(target) is None or find_mkimage() is None:
        missing.append(lacking)
        return b""
    return mkimage(target, partition)


@lru_cache(maxsize=16)
def mkimage(target: str, partition: str) -> bytes:
    """Returns the core image that grub-mkimage makes, without writing a file.

    Raises:
        OSError: grub-mkimage failed; the message holds what it said.
    """
    with _memory("core") as (output, output_path):
        tool = find_mkimage() or "grub-mkimage"
        lacking = (name for name in grub.DROPPED if find_grub(target, f"{name}.mod") is None)
        argv = grub.mkimage_argv(tool, target, partition, output_path, frozenset(lacking))
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
