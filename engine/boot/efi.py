"""EFI boot variables: a load option for the image's loader, and the boot order.

Structures after the UEFI specification 2.10: EFI_LOAD_OPTION (3.1.3), the hard drive media
device path (10.3.5.1) and the file path media device path (10.3.5.4).
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

GLOBAL_VARIABLE = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
ATTRIBUTES = 0x7
"""Of a boot variable: non-volatile, boot service access, runtime access."""

_LOAD_OPTION_ACTIVE = 1
_MEDIA, _HARD_DRIVE, _FILE_PATH = 4, 1, 4
_GPT, _SIGNATURE_GUID = 2, 2
_END = b"\x7f\xff\x04\x00"


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the firmware's global namespace."""

    name: str
    data: bytes

    def stored(self) -> bytes:
        """Returns the part of a variable store that is the variable's own: GUID, name, data.

        The layout is that of EDK2's AUTHENTICATED_VARIABLE_HEADER and what follows it.
        """
        name = (self.name + "\0").encode("utf-16-le")
        return uuid.UUID(GLOBAL_VARIABLE).bytes_le + name + self.data


def _node(kind: int, subtype: int, body: bytes) -> bytes:
    return struct.pack("<BBH", kind, subtype, 4 + len(body)) + body


def device_path(number: int, start: int, sectors: int, guid: str, path: str) -> bytes:
    r"""Returns the device path HD(number,GPT,guid,start,sectors)/File(path).

    Args:
        number: Partition number.
        start, sectors: In logical sectors of the disk.
        guid: The partition's unique GUID.
        path: With backslashes, from the ESP's root ("\EFI\BOOT\BOOTX64.EFI").
    """
    disk = struct.pack(
        "<IQQ16sBB", number, start, sectors, uuid.UUID(guid).bytes_le, _GPT, _SIGNATURE_GUID
    )
    file = (path + "\0").encode("utf-16-le")
    return _node(_MEDIA, _HARD_DRIVE, disk) + _node(_MEDIA, _FILE_PATH, file) + _END


def load_option(description: str, path: bytes) -> bytes:
    """Returns an active EFI_LOAD_OPTION without optional data."""
    head = struct.pack("<IH", _LOAD_OPTION_ACTIVE, len(path))
    return head + (description + "\0").encode("utf-16-le") + path


def variables(entries: Sequence[tuple[str, bytes]]) -> tuple[Variable, ...]:
    """Returns boot options and their order.

    Args:
        entries: Description and device path of each, the one to start first.
    """
    options = (
        Variable(f"Boot{number:04X}", load_option(description, path))
        for number, (description, path) in enumerate(entries)
    )
    order = struct.pack(f"<{len(entries)}H", *range(len(entries)))
    return (*options, Variable("BootOrder", order))


def as_json(wanted: Sequence[Variable]) -> dict[str, object]:
    """Returns variables in the form of `virt-fw-vars --set-json`."""
    return {
        "version": 2,
        "variables": [
            {"name": v.name, "guid": GLOBAL_VARIABLE, "attr": ATTRIBUTES, "data": v.data.hex()}
            for v in wanted
        ],
    }
