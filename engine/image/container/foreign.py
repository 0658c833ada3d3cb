"""Files that hold a disk in a way that is not read here: what they are, and how to get at it."""

from __future__ import annotations

import shlex
import zlib
from pathlib import Path

HEAD = 512
"""Bytes of a file's start that `describe` wants."""

_UNPACK = {
    b"\x28\xb5\x2f\xfd": ("zstd", "zstd -d"),
    b"\xfd7zXZ\0": ("xz", "xz -dk"),
    b"\x1f\x8b\x08": ("gzip", "gzip -dk"),
    b"BZh": ("bzip2", "bzip2 -dk"),
}
"""First bytes of compressed files (RFC 8878, RFC 1952, the formats of xz and bzip2)."""

_CONVERT = {
    b"KDMV": "a VMDK image",
    b"COWD": "a VMDK image",
    b"# Disk DescriptorFile": "the description of a VMDK image",
    b"vhdxfile": "a VHDX image",
    b"QED\0": "a QED image",
}
"""First bytes of containers, as qemu-img probes for them."""

_TAR_MAGIC = slice(257, 262)
_NAME = slice(0, 100)


def describe(path: Path, head: bytes) -> str | None:
    """Returns what a file is and the command that makes a raw disk of it, or None.

    Args:
        path: The file, for the command.
        head: Its first `HEAD` bytes.
    """
    name = shlex.quote(str(path))
    raw = shlex.quote(str(path.with_suffix(".img")))
    for magic, kind in _CONVERT.items():
        if head.startswith(magic):
            return f"is {kind}: convert it with `qemu-img convert -O raw {name} {raw}` first"
    if _member(head).endswith(b".ovf"):
        disk = shlex.quote(str(path.with_suffix(".vmdk")))
        return (
            "is an OVA, a machine with its disk in a tar archive: take the disk out with "
            f"`tar -xOf {name} --wildcards '*.vmdk' > {disk}` and convert it with "
            f"`qemu-img convert -O raw {disk} {raw}` first"
        )
    for magic, (packer, command) in _UNPACK.items():
        if head.startswith(magic):
            inside = _member(_inflated(head)) if packer == "gzip" else b""
            if inside == b"disk.raw":
                return (
                    "is an image for Google Compute Engine, a tar archive compressed by gzip: "
                    f"take the disk out with `tar -xf {name} disk.raw` first"
                )
            return f"is compressed by {packer}: unpack it with `{command} {name}` first"
    return None


def _member(head: bytes) -> bytes:
    """Returns the name of a tar archive's first member, b"" where it is not a tar archive."""
    return head[_NAME].rstrip(b"\0") if head[_TAR_MAGIC] == b"ustar" else b""


def _inflated(head: bytes) -> bytes:
    """Returns what the first bytes of a gzip file hold, as far as it goes."""
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(head, HEAD)
    except zlib.error:
        return b""
