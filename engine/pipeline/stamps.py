"""Random and timely fields of VDI and VHD files, set to values derived from the seed."""

from __future__ import annotations

import struct
import uuid
from pathlib import Path

from engine.tools.failure import StepFailed

# VirtualBox, VDICore.h: VDIHEADER1 behind the 72 bytes of the preheader; two UUIDs that QEMU
# draws (the image's own, and that of its last snapshot) follow the block counts.
_VDI_SIGNATURE = struct.pack("<I", 0xBEDA107F)
_VDI_SIGNATURE_AT, _VDI_UUIDS_AT = 0x40, 392

# Microsoft, Virtual Hard Disk Image Format Specification 1.0, "Hard Disk Footer Format".
_VHD_COOKIE = b"conectix"
_VHD_FOOTER = 512
_VHD_TIME_AT, _VHD_CHECKSUM_AT, _VHD_UUID_AT = 24, 64, 68
_VHD_EPOCH = 946_684_800  # 2000-01-01T00:00:00Z


def stamp_vdi(path: Path, seed: uuid.UUID, epoch: int) -> None:
    """Sets the image's two UUIDs (the format holds no time)."""
    with path.open("r+b") as image:
        image.seek(_VDI_SIGNATURE_AT)
        if image.read(4) != _VDI_SIGNATURE:
            raise StepFailed(f"{path.name}: qemu-img wrote no VDI header")
        image.seek(_VDI_UUIDS_AT)
        for role in ("vdi/image", "vdi/snapshot"):
            image.write(uuid.uuid5(seed, role).bytes_le)


def stamp_vpc(path: Path, seed: uuid.UUID, epoch: int) -> None:
    """Sets time and UUID of the footer and of its copy at the start, checksums made right."""
    size = path.stat().st_size
    with path.open("r+b") as image:
        image.seek(size - _VHD_FOOTER)
        footer = bytearray(image.read(_VHD_FOOTER))
        if not footer.startswith(_VHD_COOKIE):
            raise StepFailed(f"{path.name}: qemu-img wrote no VHD footer")
        since = min(max(epoch - _VHD_EPOCH, 0), 0xFFFFFFFF)
        struct.pack_into(">I", footer, _VHD_TIME_AT, since)
        footer[_VHD_UUID_AT : _VHD_UUID_AT + 16] = uuid.uuid5(seed, "vhd").bytes
        struct.pack_into(">I", footer, _VHD_CHECKSUM_AT, 0)
        struct.pack_into(">I", footer, _VHD_CHECKSUM_AT, ~sum(footer) & 0xFFFFFFFF)
        image.seek(size - _VHD_FOOTER)
        image.write(footer)
        image.seek(0)
        if image.read(len(_VHD_COOKIE)) == _VHD_COOKIE:
            image.seek(0)
            image.write(footer)
