"""What partitions are for, by their types."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
BIOS_BOOT_TYPE = "21686148-6449-6E6F-744E-656564454649"
LINUX_TYPE = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
MBR_LINUX_TYPE = "0x83"

ROOT_TYPES = {
    "x86_64": "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
    "i686": "44479540-F297-41B2-9AF7-D131D5F0458A",
    "aarch64": "B921B045-1DF0-41C3-AF44-4C6F280D3FAE",
    "armv7l": "69DAD710-2CE4-4E3C-B16C-21A1D49ABED3",
    "riscv64": "72EC70A6-CF74-40E6-BD49-4BDA08E8F224",
    "loongarch64": "77055800-792C-4F94-B39A-98C91B762BB6",
    "ppc64le": "C31C45E6-3F39-412E-80FB-4809C4980599",
    "s390x": "5EEAD9A9-FE09-4A1E-A1D7-520D00531306",
}
"""Root partition types by machine, as `uname -m` names it.

Source: UAPI Group, Discoverable Partitions Specification.
"""

_BOOT_TYPE = "21686148-6449-6E6F-744E-656564454649"
LINUX_TYPE = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
MBR_LINUX_TYPE = "0x83"

ROOT_TYPES = {
    "x86_64": "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
    "i686": "44479540-F297-41B2-9AF7-D131D5F0458A",
    "aarch64": "B921B045-1DF0-41C3-AF44-4C6F280D3FAE",
    "armv7l": "69DAD710-2CE4-4E3C-B16C-21A1D49ABED3",
    "riscv64": "72EC70A6-CF74-40E6-BD49-4BDA08E8F224",
    "loongarch64": "77055800-792C-4F94-B39A-98C91B762BB6",
    "ppc64le": "C31C45E6-3F39-412E-80FB-4809C4980599",
    "s390x": "5EEAD9A9-FE09-4A1E-A1D7-520D00531306",
}
"""Root partition types by machine, as `uname -m` names it.

Source: UAPI Group, Discoverable Partitions Specification.
"""

_BOOT_TYPE = "BC13C2FF-59E6-4262-A352-B275FD6F7172"
_MBR_BOOT_TYPE = "0xea"
"""XBOOTLDR of the Discoverable Partitions Specification, which no layout of ours has."""

_ROLES: Mapping[str, str] = MappingProxyType(
    {
        ESP_TYPE: "esp",
        "0xef": "esp",
        BIOS_BOOT_TYPE: "bios-boot",
        _BOOT_TYPE: "boot",
        _MBR_BOOT_TYPE: "boot",
        MBR_LINUX_TYPE: "root",
        **dict.fromkeys((LINUX_TYPE, *ROOT_TYPES.values()), "root"),
    }
)


def role_of(partition_type: str) -> str:
    """Returns the role of a partition, in the words of `plan --json`, or "other"."""
    return _ROLES.get(partition_type, "other")
