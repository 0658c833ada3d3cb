"""Files that hold a disk in a way that is not read here: what they are, and how to get at it.

Sources: QEMU's block drivers for what qemu-img knows, the formats' own documents for what else
compresses or packs (RFC 1952, RFC 8878, the file formats of xz, bzip2, lz4, lzip, lzop), libewf's
documentation for EWF, the magic numbers of file(1) for the rest.
"""

from __future__ import annotations

import shlex
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path

from engine.image.container.disk import BadImage, RawDisk

HEAD = 512
"""Bytes of a file's start that `describe` wants, and of its end."""

ORIGINAL_QCOW = b"\0\0\0\x01"
"""Version of the format that qcow2 has its magic number from."""
_CONVERT = "convert it with `qemu-img convert -O raw {name} {raw}` first"


@dataclass(frozen=True, slots=True)
class Packed:
    """One way to hold a disk, or something else that is given for one.

    Attributes:
        magic: Bytes that a file has.
        what: What it is, to follow "is".
        advice: What to do; {name} is the file, {raw} a raw image beside it.
        at: Where the bytes are; below 0 it counts from the end.
    """

    magic: bytes
    what: str
    advice: str
    at: int = 0


_COMPRESSED = (
    Packed(b"\x28\xb5\x2f\xfd", "compressed by zstd", "unpack it with `zstd -d {name}` first"),
    *(
        Packed(
            bytes((first,)) + b"\x2a\x4d\x18",
            "compressed by zstd",
            "unpack it with `zstd -d {name}` first",
        )
        for first in range(0x50, 0x60)  # skippable frames (RFC 8878, 3.1.2)
    ),
    Packed(b"\xfd7zXZ\0", "compressed by xz", "unpack it with `xz -dk {name}` first"),
    Packed(b"\x5d\0\0", "compressed by lzma", "unpack it with `xz -dk {name}` first"),
    Packed(b"\x1f\x8b\x08", "compressed by gzip", "unpack it with `gzip -dk {name}` first"),
    Packed(b"BZh", "compressed by bzip2", "unpack it with `bzip2 -dk {name}` first"),
    Packed(b"\x04\x22\x4d\x18", "compressed by lz4", "unpack it with `lz4 -dk {name}` first"),
    Packed(b"\x02\x21\x4c\x18", "compressed by lz4", "unpack it with `lz4 -dk {name}` first"),
    Packed(b"LZIP", "compressed by lzip", "unpack it with `lzip -dk {name}` first"),
    Packed(b"\x89LZO\0\r\n\x1a\n", "compressed by lzop", "unpack it with `lzop -d {name}` first"),
    Packed(b"LRZI", "compressed by lrzip", "unpack it with `lrzip -d {name}` first"),
    Packed(b"\x1f\x9d", "compressed by compress", "unpack it with `gzip -dk {name}` first"),
    Packed(b"PK\x03\x04", "a zip archive", "take the image out with `unzip {name}` first"),
    Packed(b"7z\xbc\xaf\x27\x1c", "a 7z archive", "take the image out with `7z x {name}` first"),
    Packed(b"Rar!\x1a\x07", "a RAR archive", "take the image out with `unrar x {name}` first"),
)
_CONTAINERS = (
    Packed(b"KDMV", "a VMDK image", _CONVERT),
    Packed(b"COWD", "a VMDK image", _CONVERT),
    Packed(b"# Disk DescriptorFile", "the description of a VMDK image", _CONVERT),
    Packed(b"vhdxfile", "a VHDX image", _CONVERT),
    Packed(b"QED\0", "a QED image", _CONVERT),
    Packed(b"WithoutFreeSpace", "a Parallels image", _CONVERT),
    Packed(b"WithouFreSpacExt", "a Parallels image", _CONVERT),
    Packed(b"Bochs Virtual HD Image", "a Bochs image", _CONVERT),
    Packed(b"#!/bin/sh\n#V2.0 Format", "a cloop image", _CONVERT),
    Packed(b"QFI\xfb" + ORIGINAL_QCOW, "an image of the original qcow format", _CONVERT),
    Packed(b"OOOM", "a COW image of User-mode Linux", _CONVERT),
    Packed(
        b"koly", "an Apple disk image (DMG)", "convert it with `dmg2img {name} {raw}` first", -512
    ),
    Packed(b"encrcdsa", "an encrypted Apple disk image (DMG)", "macOS' hdiutil decrypts it"),
    Packed(b"sprs", "an Apple sparse image", "macOS' `hdiutil convert` makes a raw one of it"),
    Packed(
        b"EVF\x09\x0d\x0a\xff\x00",
        "an EWF (EnCase) image",
        "export it with `ewfexport -f raw {name}` first",
    ),
    Packed(
        b"EVF2\x0d\x0a\x81\x00",
        "an EWF (EnCase 7) image",
        "export it with `ewfexport -f raw {name}` first",
    ),
    Packed(
        b"LVF\x09\x0d\x0a\xff\x00",
        "a logical EWF image, files without their disk",
        "export it with `ewfexport -f files {name}`",
    ),
    Packed(b"AFF10\r\n\0", "an AFF image", "convert it with `affconvert -r {name}` first"),
    Packed(
        b"\x3a\xff\x26\xed",
        "an Android sparse image",
        "convert it with `simg2img {name} {raw}` first",
    ),
    Packed(b"partclone-image", "a partclone image", "`partclone.restore` writes it to a partition"),
    Packed(
        b"PaRtImAgE-VoLuMe", "a Partimage image", "`partimage restore` writes it to a partition"
    ),
    Packed(b"FsArCh_0", "an FSArchiver archive", "`fsarchiver restfs` restores it"),
    Packed(
        b"MSWIM\0\0\0", "a Windows image (WIM), files without their disk", "`wimapply` unpacks it"
    ),
    Packed(b"CISO", "a compressed ISO (CSO)", "`ciso` unpacks it"),
)
_PARENT = uuid.UUID("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C").bytes_le
"""Of the item of a VHDX that names its parent (Microsoft, MS-VHDX, 2.6.2.6)."""
_METADATA = uuid.UUID("8B7CA206-4790-4B9A-B8FE-575F050F886E").bytes_le
_REGIONS_AT, _TABLE = 192 << 10, 64 << 10

_TAR_MAGIC = slice(257, 262)
_NAME = slice(0, 100)


def describe(path: Path, head: bytes, foot: bytes = b"") -> str | None:
    """Returns what a file is and the command that makes a raw disk of it, or None.

    Args:
        path: The file, for the command.
        head: Its first `HEAD` bytes.
        foot: Its last ones.
    """
    name = shlex.quote(str(path))
    raw = shlex.quote(str(path.with_suffix(".img")))
    if head.startswith(b"vhdxfile") and _has_parent(path):
        return (
            "is a differencing VHDX, which holds only what changed against its parent: "
            "merge the two with Hyper-V's Merge-VHD first"
        )
    if _member(head).endswith(b".ovf"):
        disk = shlex.quote(str(path.with_suffix(".vmdk")))
        return (
            "is an OVA, a machine with its disk in a tar archive: take the disk out with "
            f"`tar -xOf {name} --wildcards '*.vmdk' > {disk}` and convert it with "
            f"`qemu-img convert -O raw {disk} {raw}` first"
        )
    if _member(head):
        return f"is a tar archive: take the image out with `tar -xf {name}` first"
    for row in (*_CONTAINERS, *_COMPRESSED):
        if _has(row, head, foot):
            inside = _member(_inflated(head)) if row.magic[:2] == b"\x1f\x8b" else b""
            if inside == b"disk.raw":
                return (
                    "is an image for Google Compute Engine, a tar archive compressed by gzip: "
                    f"take the disk out with `tar -xf {name} disk.raw` first"
                )
            if inside:
                return f"is a tar archive compressed by gzip: unpack it with `tar -xf {name}` first"
            return f"is {row.what}: {row.advice.format(name=name, raw=raw)}"
    return None


def _has(row: Packed, head: bytes, foot: bytes) -> bool:
    return head.startswith(row.magic) if row.at == 0 else foot[row.at :].startswith(row.magic)


def _has_parent(path: Path) -> bool:
    """Whether a VHDX holds only the differences from another."""
    with RawDisk(path) as disk:
        try:
            regions = disk.read(_REGIONS_AT, _TABLE)
            at = regions.find(_METADATA)
            if at < 0:
                return False
            start = int.from_bytes(regions[at + 16 : at + 24], "little")
            return _PARENT in disk.read(start, _TABLE)
        except BadImage:
            return False


def _member(head: bytes) -> bytes:
    """Returns the name of a tar archive's first member, b"" where it is not a tar archive."""
    return head[_NAME].rstrip(b"\0") if head[_TAR_MAGIC] == b"ustar" else b""


def _inflated(head: bytes) -> bytes:
    """Returns what the first bytes of a gzip file hold, as far as it goes."""
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(head, HEAD)
    except zlib.error:
        return b""
