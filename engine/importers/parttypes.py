"""Partition types by the codes and short names that other tools give them.

Sources: gdisk's codes (parttypes.cc), sfdisk's and genimage's short names; the types with an
architecture are those of `engine.disk.discoverable`.
"""

from __future__ import annotations

from engine.disk.discoverable import named, role_of_type
from engine.disk.roles import BIOS_BOOT_TYPE, ESP_TYPE, LINUX_TYPE
from engine.spec.identity import is_uuid

_MICROSOFT_DATA = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
_RAID = "A19D880F-05FC-4D3B-A006-743F0F84911E"
_LVM = "E6D6D379-F507-44C2-A23C-238F2A3DF928"
_CODES = {
    "0700": _MICROSOFT_DATA, "8E00": _LVM, "FD00": _RAID, "EF02": BIOS_BOOT_TYPE,
    "8200": "swap", "8300": "linux-generic", "8302": "home", "8303": "root-x86",
    "8304": "root-x86-64", "8305": "root-arm64", "8306": "srv", "8307": "root-arm",
    "8310": "var", "8311": "tmp", "8312": "user-home", "EA00": "xbootldr", "EF00": "esp",
}  # fmt: skip
_SHORT = {
    "L": LINUX_TYPE, "S": "swap", "H": "home", "U": "esp", "R": _RAID, "V": _LVM,
    "F": _MICROSOFT_DATA, "linux": LINUX_TYPE, "swap": "swap", "home": "home", "esp": ESP_TYPE,
    "uefi": ESP_TYPE, "raid": _RAID, "lvm": _LVM, "fat32": _MICROSOFT_DATA,
}  # fmt: skip


def by_code(code: str) -> tuple[str, str] | None:
    """Returns GUID and role of a GUID or of a code as gdisk has it ("EF00"), or None."""
    return _found(_CODES.get(code.upper().removeprefix("0X"), code))


def by_short_name(name: str) -> tuple[str, str] | None:
    """Returns GUID and role of a GUID, or of a short name such as "L" or "root-arm64"; or None."""
    return _found(_SHORT.get(name, name))


def _found(text: str) -> tuple[str, str] | None:
    if is_uuid(text):
        guid = text.upper()
        return guid, role_of_type(guid)
    return named(text)
