"""What there is to say about an image, with the keys of `plan --json` where both say the same."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from engine.inspect.ext import ExtFilesystem
from engine.inspect.fat import FatFilesystem
from engine.inspect.image import Image, Part
from engine.inspect.loaders import find_loaders
from engine.inspect.reading import Node
from engine.plan.placement import (
    BIOS_BOOT_TYPE,
    ESP_TYPE,
    LINUX_TYPE,
    MBR_LINUX_TYPE,
    ROOT_TYPES,
)

SCHEMA = 1

_BOOT_TYPE = "BC13C2FF-59E6-4262-A352-B275FD6F7172"
"""XBOOTLDR of the Discoverable Partitions Specification, which no layout of ours has."""

_ROLES: Mapping[str, str] = MappingProxyType(
    {
        ESP_TYPE: "esp",
        "0xef": "esp",
        BIOS_BOOT_TYPE: "bios-boot",
        _BOOT_TYPE: "boot",
        MBR_LINUX_TYPE: "root",
        **dict.fromkeys((LINUX_TYPE, *ROOT_TYPES.values()), "root"),
    }
)
_FLAGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"esp": ("boot", "esp"), "bios-boot": ("bios_grub",)}
)
_KINDS: Mapping[int, str] = MappingProxyType(
    {
        stat.S_IFREG: "file",
        stat.S_IFDIR: "directory",
        stat.S_IFLNK: "symlink",
        stat.S_IFCHR: "character device",
        stat.S_IFBLK: "block device",
        stat.S_IFIFO: "fifo",
        stat.S_IFSOCK: "socket",
    }
)


def image_report(image: Image) -> dict[str, Any]:
    """Returns table, partitions, file systems and boot loaders of an image."""
    table = image.table
    partitions = [part for part in image.parts if part.partition is not None]
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "image": image.path.name,
        "format": image.disk.format,
        "file_bytes": image.disk.file_size,
        "disk": {
            "bytes": image.disk.size,
            "sector_size": table.sector_size,
            "table": table.kind,
            "guid": table.guid,
            "signature": table.signature,
        },
        "partitions": [_partition(part, table.sector_size) for part in partitions],
    }
    if table.kind == "none" and image.parts:
        report["filesystem"] = _filesystem(image.parts[0])
    report["loaders"] = [
        {"where": loader.where, "name": loader.name} for loader in find_loaders(image)
    ]
    troubles = [f"{part.name}: {part.trouble}" for part in image.parts if part.trouble]
    filesystems = [finding for part in image.parts for finding in _filesystem_findings(part)]
    report["findings"] = [*table.findings, *troubles, *filesystems]
    return report


def _filesystem_findings(part: Part) -> Iterator[str]:
    filesystem = part.filesystem
    if filesystem is None:
        return
    if filesystem.size > part.window.size:
        yield (
            f"{part.name}: the {filesystem.type} file system of {filesystem.size} bytes is larger "
            f"than the {part.window.size} bytes it lies in; no kernel mounts it"
        )
    if isinstance(filesystem, ExtFilesystem) and not filesystem.clean:
        yield f"{part.name}: the {filesystem.type} file system was not unmounted cleanly"


def _partition(part: Part, sector_size: int) -> dict[str, Any]:
    partition = part.partition
    assert partition is not None
    role = _ROLES.get(partition.type, "other")
    flags = _FLAGS.get(role, ()) or (("boot",) if partition.active else ())
    return {
        "number": partition.number,
        "role": role,
        "start": partition.start,
        "sectors": partition.sectors,
        "bytes": partition.sectors * sector_size,
        "type": partition.type,
        "guid": partition.guid,
        "name": partition.name,
        "flags": list(flags),
        "filesystem": _filesystem(part),
    }


def _filesystem(part: Part) -> dict[str, Any] | None:
    filesystem = part.filesystem
    if filesystem is None:
        return None
    report: dict[str, Any] = {
        "type": filesystem.type,
        "label": filesystem.label,
        "uuid": filesystem.uuid,
        "bytes": filesystem.size,
        "block_size": filesystem.block_size,
        "free_bytes": filesystem.free,
    }
    if isinstance(filesystem, ExtFilesystem):
        report["blocks"] = filesystem.blocks
        report["inodes"] = filesystem.inodes
        report["free_inodes"] = filesystem.free_inodes
        report["clean"] = filesystem.clean
    if isinstance(filesystem, FatFilesystem):
        report["blocks"] = filesystem.clusters
        report["fat_bits"] = filesystem.bits
    return report


def node_report(node: Node) -> dict[str, Any]:
    """Returns the metadata of one file; bytes that are no UTF-8 are shown as escapes."""
    report: dict[str, Any] = {
        "path": "/" + text(node.path),
        "kind": _KINDS.get(stat.S_IFMT(node.mode), "unknown"),
        "mode": f"{stat.S_IMODE(node.mode):04o}",
        "uid": node.uid,
        "gid": node.gid,
        "size": node.size,
        "mtime": when(node.mtime_ns),
        "mtime_ns": node.mtime_ns,
        "links": node.links,
        "inode": node.inode,
    }
    if stat.S_ISLNK(node.mode):
        report["target"] = text(node.target)
    if stat.S_ISCHR(node.mode) or stat.S_ISBLK(node.mode):
        report["device"] = [node.rdev >> 8 & 0xFFF, node.rdev & 0xFF | node.rdev >> 12 & 0xFFF00]
    report["xattrs"] = {text(name): value.hex() for name, value in node.xattrs}
    return report


def text(raw: bytes) -> str:
    """Returns bytes as printable text, what is no UTF-8 and no print as escapes."""
    decoded = raw.decode("utf-8", "backslashreplace")
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in decoded
    )


def when(nanoseconds: int) -> str:
    """Returns a time as ISO 8601 in UTC, to the second."""
    try:
        return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return f"@{nanoseconds // 1_000_000_000}"
