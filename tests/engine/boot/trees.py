"""Small root file systems as manifests."""

from __future__ import annotations

import os
import stat

from engine.manifest.entry import Entry, order
from engine.manifest.manifest import Manifest
from engine.manifest.memory import file_of
from engine.manifest.merge import merge
from engine.manifest.part import Part
from engine.manifest.volumes import Mounts, mount_points, split


def tree(files: dict[str, bytes | str]) -> Manifest:
    """Returns a manifest: bytes are a file's contents, text is a symlink's target."""
    entries: dict[bytes, Entry] = {b"": Entry(b"", stat.S_IFDIR | 0o755)}
    for name, content in files.items():
        path = os.fsencode(name)
        parts = path.split(b"/")
        for depth in range(1, len(parts)):
            folder = b"/".join(parts[:depth])
            entries.setdefault(folder, Entry(folder, stat.S_IFDIR | 0o755))
        if isinstance(content, bytes):
            entries[path] = file_of(path, content, mtime_ns=0)
        else:
            target = content.encode()
            entries[path] = Entry(path, stat.S_IFLNK | 0o777, size=len(target), target=target)
    return Manifest(sorted(entries.values(), key=lambda entry: order(entry.path)))


def _kernel(pieces: dict[int, bytes]) -> bytes:
    data = bytearray(4096)
    for at, piece in pieces.items():
        data[at : at + len(piece)] = piece
    return bytes(data)


# Headers as Documentation/arch/x86/boot.rst and arch/arm64/booting.rst of the kernel have them.
X86_KERNEL = _kernel({0x202: b"HdrS", 0x20E: b"\x00\x04", 0x600: b"6.1-given (by us) #1\0"})
ARM64_KERNEL = _kernel({0x38: b"ARM\x64"})


def x86_kernel(release: str) -> bytes:
    """Returns the head of an x86-64 kernel that states a release."""
    text = release.encode() + b" (by us) #1\0"
    return _kernel({0x202: b"HdrS", 0x20E: b"\x00\x04", 0x600: text})


def zboot_kernel(packing: bytes = b"zstd", machine: int = 0xAA64) -> bytes:
    """Returns the head of a kernel that unpacks itself under UEFI (zboot-header.S)."""
    pe = b"PE\0\0" + machine.to_bytes(2, "little")
    return _kernel({
        0: b"MZ", 4: b"zimg", 8: (2048).to_bytes(4, "little"), 24: packing,
        0x38: b"\xcd\x23\x82\x81", 0x3C: (0x40).to_bytes(4, "little"), 0x40: pe,
    })  # fmt: skip


def spread(files: dict[str, bytes | str], at: Mounts) -> dict[str, Manifest]:
    """Returns manifests by volume: a tree that is split at mount points, as a scan does it."""
    parts: dict[str, list[Part]] = {volume: [] for volume in at.values()}
    shares = [split(Part(entries=list(tree(files))), at), mount_points(at, at, 0)]
    for share in shares:
        for volume, part in share.items():
            parts[volume].append(part)
    return {volume: Manifest(merge(each, epoch_ns=0).entries) for volume, each in parts.items()}
