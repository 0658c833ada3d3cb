"""How a planned disk boots: which firmware, which menu, and the boot code outside partitions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from engine.boot import grub
from engine.boot.architecture import X86_64
from engine.boot.assemble import BootAssets
from engine.boot.firmware import PACKAGES, Firmware
from engine.boot.qemu import BOARDS
from engine.boot.wanted import is_own
from engine.plan.host import Host
from engine.plan.model import BootPlan, DiskPlan, Plan, VolumePlan
from engine.problem import Problem
from engine.spec.filesystems import RAW
from engine.spec.loaders import LOADERS
from engine.spec.settings import Settings
from engine.tools.extras import EFI, extra_hint
from engine.tools.table import packages_hint

_FIRMWARE = "OVMF or AAVMF"
_LOADER = re.compile(rb"efi/boot/boot[^/]+\.efi", re.IGNORECASE)
"""What UEFI boots where no variable says otherwise (UEFI 2.10, 3.5.1.1); FAT ignores case."""


def plan(
    settings: Settings,
    disk: DiskPlan,
    volumes: Sequence[VolumePlan],
    assets: BootAssets,
    uefi: Mapping[str, Firmware],
) -> BootPlan:
    """Returns how the disk boots, its boot code placed.

    Args:
        settings: What is wanted.
        disk: The disk, of 512-byte sectors where there is boot code.
        volumes: With their places.
        assets: What the loader brought.
        uefi: Firmware of this machine, by architecture.
    """
    promised, architecture = settings.boots, assets.architecture or X86_64.name
    board = BOARDS.get(architecture)
    provable = promised if board is None else tuple(set(promised) & board.machines.keys())
    return BootPlan(
        loader=settings.boot.loader,
        menu=assets.menu,
        firmware=promised if is_own(settings) else (),
        proofs=tuple(kind for kind in promised if kind in provable) if settings.boot.prove else (),
        expect=settings.boot.expect,
        timeout=settings.boot.timeout,
        code=_placed(disk, volumes, assets) if assets.core else None,
        efi_entries=assets.efi_entries,
        architecture=architecture,
        uefi=uefi.get(architecture),
        guest=assets.guest,
        filler=assets.filler,
    )


def _placed(
    disk: DiskPlan, volumes: Sequence[VolumePlan], assets: BootAssets
) -> grub.BootCode | None:
    """Places core.img: in the BIOS boot partition, else in the gap behind an MBR."""
    if not volumes:
        return None
    for volume in volumes:
        if volume.role == "bios-boot":
            return grub.place(assets.boot, assets.core, volume.start, volume.sectors)
    first = min(volume.start for volume in volumes)
    return grub.place(assets.boot, assets.core, 1, first - 1) if disk.table == "mbr" else None


def problems(plan: Plan) -> Iterator[Problem]:
    """Yields what keeps the disk from booting, whatever the machine that builds it."""
    code = plan.boot.code
    if code is not None and code.sectors > code.room:
        where = "BIOS boot partition" if plan.has("bios-boot") else "gap before the first partition"
        yield Problem(
            "core-too-large",
            "error",
            "boot.loader",
            f"GRUB's core.img takes {code.sectors} sectors of {grub.SECTOR} bytes, and the "
            f"{where} has {code.room}",
            'take layout.table = "legacy+gpt", whose BIOS boot partition has room for it',
        )


def unbootable(plan: Plan) -> str:
    """Returns why nothing boots from a disk whose layout is for booting, in a sentence, or "".

    Neither its loader nor the contents bring anything; what a hook or raw bytes bring is unknown.
    """
    settings = plan.settings
    boot = settings.boot
    brought = boot.loader != "none" or boot.prove or settings.hooks.after_build
    raw = any(volume.filesystem and volume.filesystem.type == RAW for volume in plan.volumes)
    if not settings.boots or plan.boot.firmware or brought or raw:
        return ""
    esp = plan.of_role("esp")
    if esp is not None and esp.filesystem is not None:
        if any(_LOADER.fullmatch(entry.path) for entry in esp.filesystem.manifest):
            return ""
        return "Nothing boots from this disk: no boot loader, and no /EFI/BOOT/BOOT*.EFI on the ESP"
    return "Nothing boots from this disk: no boot loader"


def lacking(plan: Plan, assets: BootAssets, host: Host) -> Iterator[Problem]:
    """Yields what this machine lacks to install the loader, make EFI variables or prove."""
    loader = LOADERS[plan.settings.boot.loader]
    for missing in assets.missing:
        yield Problem(
            "loader-not-installed",
            "error",
            "boot.loader",
            f"{loader.title} on layout {plan.settings.layout.table} needs {missing.what}, which "
            "this machine does not have",
            missing.hint or packages_hint(missing.packages, host.distribution),
        )
    purpose = _needs_firmware(plan)
    if purpose and plan.boot.uefi is None:
        yield _no_firmware(plan, purpose, host)
    if plan.settings.boot.efi_variables and plan.has("esp") and EFI.program not in host.tools:
        yield Problem(
            "efi-extra-missing",
            "error",
            "boot.efi_variables",
            f"needs {EFI.program} of {EFI.package}, which is not installed",
            f"install it: {extra_hint(EFI)}",
        )
    if plan.boot.proofs and plan.boot.architecture not in BOARDS:
        yield Problem(
            "prove-architecture",
            "error",
            "boot.prove",
            f"the proof boots machines of {' and '.join(BOARDS)} only, and the kernel is for "
            f"{plan.boot.architecture}",
            "leave it out",
        )


def _needs_firmware(plan: Plan) -> str:
    if plan.settings.boot.efi_variables:
        return "boot.efi_variables"
    return "boot.prove" if "uefi" in plan.boot.proofs else ""


def _no_firmware(plan: Plan, path: str, host: Host) -> Problem:
    settings, architecture = plan.settings, plan.boot.architecture
    packages = PACKAGES.get(architecture)
    if settings.boot.firmware or settings.boot.firmware_variables:
        given = ", ".join(filter(None, (settings.boot.firmware, settings.boot.firmware_variables)))
        return Problem(
            "firmware-missing",
            "error",
            "boot.firmware" if settings.boot.firmware else "boot.firmware_variables",
            f"{given}: no pair of UEFI code and variables of matching size is there",
            "give both files of one firmware, or neither",
        )
    return Problem(
        "firmware-missing",
        "error",
        path,
        f"needs UEFI firmware for QEMU and {architecture} ({_FIRMWARE}), which this machine does "
        "not have",
        packages_hint(packages, host.distribution) if packages else "",
    )
