"""What is wrong with what would boot: kernel and loader that do not go together, initrds."""

from __future__ import annotations

from collections.abc import Iterator

from engine.boot import grub, roothash
from engine.boot.initrdfiles import held
from engine.boot.menu import MenuEntry
from engine.boot.packed import Kind, described
from engine.boot.tree import regular
from engine.boot.wanted import boots_by_bios
from engine.disk import verity
from engine.manifest.lookup import find
from engine.manifest.mounted import Mounted
from engine.problem import Fix, Problem
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.loaders import LOADERS
from engine.spec.settings import Settings

_BIOS_SECTOR = 512
_MOUNT_POINTS = ("dev", "proc", "run", "sys")
"""What systemd takes along into the root that it switches to (src/shared/switch-root.c)."""
_HASH_TREES = "dm_verity"
_DRIVERS = {"ext2": "ext4", "ext3": "ext4"}
"""Modules that are not called as what they read."""


def undecided() -> Problem:
    """Returns that the contents' own entries may come before the kernels found."""
    return Problem(
        "default-undecided", "warning", "boot.loader",
        "the contents bring entries and a loader.conf of their own to the ESP, whose default is "
        "none of the kernels found: systemd-boot may start one of those entries",
        "name the default in their loader.conf, or exclude it from the contents",
    )  # fmt: skip


def unfit(settings: Settings, entry: MenuEntry, kind: Kind) -> Iterator[Problem]:
    """Yields why a kernel and what is to boot it do not go together."""
    loader, kernel, architecture = (
        LOADERS[settings.boot.loader],
        entry.kernel_path,
        kind.architecture,
    )
    if architecture is None:
        what, hint = described(kind)
        yield _error(
            "kernel-unknown", "boot.kernel",
            f"{kernel} is not a kernel that a loader can boot: it {what}", hint,
        )  # fmt: skip
    elif architecture.name not in loader.architectures:
        yield _error(
            "loader-architecture", "boot.loader",
            f"{loader.title} is for {', '.join(loader.architectures)}, and {kernel} is a kernel "
            f"for {architecture.name}",
            'take "systemd-boot" or "uki"',
            Fix("Take systemd-boot", (("boot.loader", "systemd-boot"),)),
        )  # fmt: skip
    elif entry.packing and (settings.boot.loader == "grub" or boots_by_bios(settings)):
        yield _error(
            "kernel-packed", "boot.kernel",
            f"{kernel} is packed with {entry.packing}, and GRUB as built here unpacks no kernels",
            "unpack it",
        )  # fmt: skip
    elif boots_by_bios(settings) and not architecture.grub_bios:
        yield _error(
            "no-bios", "layout.table",
            f"layout {settings.layout.table} boots under a BIOS, and {kernel} is a kernel for "
            f"{architecture.name}, which has none",
            'take layout.table = "efi"',
            Fix("Boot under UEFI only", (("layout.table", "efi"),)),
        )  # fmt: skip
    elif boots_by_bios(settings) and settings.layout.sector_size != _BIOS_SECTOR:
        yield _error(
            "bios-sector-size", "layout.sector_size",
            f"is {settings.layout.sector_size}, and a BIOS reads disks of {_BIOS_SECTOR}-byte "
            f"sectors only; layout {settings.layout.table} boots under a BIOS",
            f'take {_BIOS_SECTOR}, or layout.table = "efi"',
            Fix(f"Use {_BIOS_SECTOR}", (("layout.sector_size", _BIOS_SECTOR),)),
        )  # fmt: skip


def sealed(settings: Settings, entry: MenuEntry) -> Iterator[Problem]:
    """Yields what initrds, as far as can be seen, lack to open the hash trees of the disk."""
    wanted = entry.initrds and roothash.is_named(entry.options)
    found = held(entry.initrds) if wanted else None
    if found is None:
        return
    paths = " and ".join(entry.initrd_paths)
    if not found.opens_hash_trees():
        yield Problem(
            "initrd-without-verity", "warning", "boot.initrd",
            f"{paths} has no program that opens a hash tree: with systemd it takes "
            "systemd-veritysetup-generator, else veritysetup or dmsetup; without one the image "
            "does not boot",
            'make it with dracut --add "systemd-veritysetup dm" (packages dracut, '
            "cryptsetup-bin); what initramfs-tools makes has no systemd",
        )  # fmt: skip
    formats = (volume.format for volume in verity.hashed(settings.volumes))
    modules = dict.fromkeys((_HASH_TREES, *(_DRIVERS.get(each, each) for each in formats)))
    lacking = found.lacks(modules)
    if lacking:
        yield Problem(
            "initrd-without-module", "warning", "boot.initrd",
            f"{paths} has no module {' and no module '.join(lacking)}, which the kernel needs to "
            "read what has a hash tree and does not have built in; the image does not boot",
            f'make it with dracut --no-hostonly --add-drivers "{" ".join(lacking)}"',
        )  # fmt: skip


def unready(settings: Settings, tree: Mounted) -> Iterator[Problem]:
    """Yields that a root that can only be read lacks folders that a booting system mounts onto."""
    root = settings.root
    sealed_root = root is not None and root in verity.hashed(settings.volumes)
    if root is None or (FILESYSTEMS[root.format].writable and not sealed_root):
        return
    lacking = [name for name in _MOUNT_POINTS if find(tree.get, name.encode()) is None]
    if lacking:
        yield Problem(
            "root-without-mount-points", "warning", "contents",
            f"bring no /{', no /'.join(lacking)}, and on {root.id}, which can only be read, "
            "nothing adds them when the system boots: systemd leaves its initrd only for a root "
            f"that has all of /{', /'.join(_MOUNT_POINTS)}",
            "add them as empty folders",
        )  # fmt: skip


def _error(code: str, path: str, message: str, hint: str, fix: Fix | None = None) -> Problem:
    return Problem(code, "error", path, message, hint, fix)


def replaced_menu(tree: Mounted) -> Iterator[Problem]:
    """Yields that the contents have a menu of GRUB's, which ours takes the place of."""
    there = regular(tree, grub.CONFIG_PATH)
    if there is not None and there.size:
        origin = f" ({there.source.describe(there)})" if there.source is not None else ""
        yield Problem(
            "menu-replaced", "warning", "boot.loader",
            f"/{grub.CONFIG_PATH.decode()} of the contents{origin} is replaced by a menu of the "
            "kernels found",
            "exclude it from the contents to say so yourself",
        )  # fmt: skip
