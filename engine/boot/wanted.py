"""Which loaders of this tool's own a spec asks for."""

from __future__ import annotations

from engine.boot import esp
from engine.boot.architecture import Architecture
from engine.spec.loaders import LOADERS
from engine.spec.settings import Settings

_OWN_LOADERS = {"grub", "systemd-boot", "uki"}


def is_own(settings: Settings) -> bool:
    """Whether a loader of this tool's own is to be installed, and has a place for it."""
    return settings.boot.loader in _OWN_LOADERS and LOADERS[settings.boot.loader].fits(
        settings.boots
    )


def boots_by_bios(settings: Settings) -> bool:
    """Whether this tool writes BIOS boot code: wherever the layout is for a BIOS."""
    return is_own(settings) and "bios" in settings.boots


def boots_by_uefi(settings: Settings) -> bool:
    """Whether this tool fills the ESP with a loader."""
    return is_own(settings) and "uefi" in settings.boots


def takes_systemd_boot(settings: Settings) -> bool:
    """Whether systemd-boot starts kernels by entries of their own."""
    return boots_by_uefi(settings) and settings.boot.loader == "systemd-boot"


def ukis_elsewhere(settings: Settings) -> bool:
    """Whether UKIs go to an extended boot partition, where systemd-boot has to find them.

    Firmware itself starts nothing but what is on the ESP.
    """
    return settings.boot.loader == "uki" and esp.extended(settings) is not None


def grub_targets(settings: Settings, architecture: Architecture) -> tuple[str, ...]:
    """Returns GRUB's targets that have to be built; "" stands for one that there is not."""
    uefi = boots_by_uefi(settings) and settings.boot.loader == "grub"
    return (
        *([architecture.grub_bios] if boots_by_bios(settings) else []),
        *([architecture.grub_efi] if uefi else []),
    )
