"""What partitions are for, by their types."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from engine.plan.placement import (
    BIOS_BOOT_TYPE,
    ESP_TYPE,
    LINUX_TYPE,
    MBR_LINUX_TYPE,
    ROOT_TYPES,
)

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
