"""Random and timely fields of converted images, set to values derived from the seed."""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from engine.image.crc32c import crc32c
from engine.spec.formats import StampKey
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

# VMware, Virtual Disk Format 5.0, "Hosted Sparse Extent Header": the descriptor's place and size
# in sectors. It is text; the content id changes with every write, and the extent is named.
_SECTOR = 512
_VMDK_MAGIC, _VMDK_TEXT_AT = b"KDMV", 28
_VMDK_CID = re.compile(rb"^CID=[0-9a-f]{1,8}$", re.MULTILINE)
_VMDK_EXTENT = re.compile(rb'^(RW \d+ SPARSE )"[^"\n]*"$', re.MULTILINE)
_UNQUOTABLE = re.compile(r"[^ -!#-~]")
"""Outside of a text without an encoding of its own, or its quotation mark."""

# Microsoft, MS-VHDX: 2.2.2 (headers), 2.2.3 (regions), 2.6 (metadata).
_VHDX_MAGIC = b"vhdxfile"
_VHDX_HEADERS_AT, _VHDX_HEADER = (64 << 10, 128 << 10), 4096
_VHDX_REGIONS_AT, _VHDX_TABLE = 192 << 10, 64 << 10
_VHDX_METADATA = uuid.UUID("8B7CA206-4790-4B9A-B8FE-575F050F886E")
_VHDX_DISK_ID = uuid.UUID("BECA12AB-B2E6-4523-93EF-C309E000C746")


@dataclass(frozen=True, slots=True)
class Origin:
    """What the identity of a file follows from.

    Attributes:
        seed: Every identifier derives from it.
        time: Of its making, in seconds since 1970.
        name: The file's final name.
    """

    seed: uuid.UUID
    time: int
    name: str


def stamp_vdi(path: Path, origin: Origin) -> None:
    """Sets the image's two UUIDs (the format holds no time)."""
    with path.open("r+b") as image:
        image.seek(_VDI_SIGNATURE_AT)
        if image.read(4) != _VDI_SIGNATURE:
            raise StepFailed(f"{path.name}: qemu-img wrote no VDI header")
        image.seek(_VDI_UUIDS_AT)
        for role in ("vdi/image", "vdi/snapshot"):
            image.write(uuid.uuid5(origin.seed, role).bytes_le)


def stamp_vpc(path: Path, origin: Origin) -> None:
    """Sets time and UUID of the footer, and of a dynamic disk's copy of it at the start."""
    size = path.stat().st_size
    with path.open("r+b") as image:
        image.seek(size - _VHD_FOOTER)
        footer = bytearray(image.read(_VHD_FOOTER))
        if not footer.startswith(_VHD_COOKIE):
            raise StepFailed(f"{path.name}: qemu-img wrote no VHD footer")
        since = min(max(origin.time - _VHD_EPOCH, 0), 0xFFFFFFFF)
        struct.pack_into(">I", footer, _VHD_TIME_AT, since)
        footer[_VHD_UUID_AT : _VHD_UUID_AT + 16] = uuid.uuid5(origin.seed, "vhd").bytes
        struct.pack_into(">I", footer, _VHD_CHECKSUM_AT, 0)
        struct.pack_into(">I", footer, _VHD_CHECKSUM_AT, ~sum(footer) & 0xFFFFFFFF)
        image.seek(size - _VHD_FOOTER)
        image.write(footer)
        image.seek(0)
        if image.read(len(_VHD_COOKIE)) == _VHD_COOKIE:
            image.seek(0)
            image.write(footer)


def stamp_vmdk(path: Path, origin: Origin) -> None:
    """Sets the content id, and the name of the extent to that which the file is about to get."""
    with path.open("r+b") as image:
        head = image.read(_SECTOR)
        if not head.startswith(_VMDK_MAGIC):
            raise StepFailed(f"{path.name}: qemu-img wrote no VMDK header")
        at, size = (_SECTOR * number for number in struct.unpack_from("<QQ", head, _VMDK_TEXT_AT))
        image.seek(at)
        # Behind the text is what a longer one, with a longer id, left when qemu-img wrote this one.
        text = image.read(size).partition(b"\0")[0]
        content = uuid.uuid5(origin.seed, "vmdk").int >> 96 or 1
        # "No parent" is ffffffff, and readers of a child compare with it.
        text, ids = _VMDK_CID.subn(b"CID=%08x" % min(content, 0xFFFF_FFFD), text)
        name = _UNQUOTABLE.sub("_", origin.name).encode()
        text, names = _VMDK_EXTENT.subn(lambda found: found[1] + b'"' + name + b'"', text)
        if (ids, names) != (1, 1) or len(text) > size:
            raise StepFailed(f"{path.name}: qemu-img wrote an unknown VMDK descriptor")
        image.seek(at)
        image.write(text.ljust(size, b"\0"))


def stamp_vhdx(path: Path, origin: Origin) -> None:
    """Sets the GUIDs of both headers and of the disk; clears the log, which has nothing to say."""
    with path.open("r+b") as image:
        if image.read(len(_VHDX_MAGIC)) != _VHDX_MAGIC:
            raise StepFailed(f"{path.name}: qemu-img wrote no VHDX header")
        _stamp_headers(image, path.name, origin)
        at = _vhdx_item(image, path.name, _VHDX_DISK_ID)
        image.seek(at)
        image.write(uuid.uuid5(origin.seed, "vhdx/disk").bytes_le)


def _stamp_headers(image: BinaryIO, name: str, origin: Origin) -> None:
    """Numbers the headers 1 and 2, the newer one 2, and empties the log that neither refers to."""
    headers = []
    for at in _VHDX_HEADERS_AT:
        image.seek(at)
        headers.append((at, bytearray(image.read(_VHDX_HEADER))))
    headers.sort(key=lambda pair: struct.unpack_from("<Q", pair[1], 8))
    for sequence, (at, header) in enumerate(headers, start=1):
        if header[:4] != b"head" or any(header[48:64]):
            raise StepFailed(f"{name}: qemu-img wrote a VHDX that is damaged or was not closed")
        struct.pack_into("<Q", header, 8, sequence)
        header[16:32] = uuid.uuid5(origin.seed, "vhdx/file").bytes_le
        header[32:48] = uuid.uuid5(origin.seed, "vhdx/data").bytes_le
        struct.pack_into("<I", header, 4, 0)
        # The checksum is that of iSCSI, whose result is inverted; the kernel of ext4's is not.
        struct.pack_into("<I", header, 4, crc32c(header) ^ 0xFFFF_FFFF)
        image.seek(at)
        image.write(header)
    length, log_at = struct.unpack_from("<IQ", headers[-1][1], 68)
    image.seek(log_at)
    image.write(bytes(length))


def _vhdx_item(image: BinaryIO, name: str, wanted: uuid.UUID) -> int:
    """Returns the offset of a metadata item."""
    image.seek(_VHDX_REGIONS_AT)
    table = image.read(_VHDX_TABLE)
    for at in range(16, 16 + 32 * min(struct.unpack_from("<I", table, 8)[0], 2047), 32):
        if table[at : at + 16] == _VHDX_METADATA.bytes_le:
            (region,) = struct.unpack_from("<Q", table, at + 16)
            image.seek(region)
            items = image.read(_VHDX_TABLE)
            for item in range(32, 32 + 32 * min(struct.unpack_from("<H", items, 10)[0], 2047), 32):
                if items[item : item + 16] == wanted.bytes_le:
                    return int(region + struct.unpack_from("<I", items, item + 16)[0])
    raise StepFailed(f"{name}: qemu-img wrote a VHDX without an identifier of its disk")


STAMPS: Mapping[StampKey, Callable[[Path, Origin], None]] = {
    "vdi": stamp_vdi,
    "vpc": stamp_vpc,
    "vmdk": stamp_vmdk,
    "vhdx": stamp_vhdx,
}
"""By the `stamp` of a format's row. Each raises StepFailed where the file is not of its kind."""
