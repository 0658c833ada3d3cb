"""What there is to say about an image, with the keys of `plan --json` where both say the same."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, cast

from engine.disk.roles import role_of
from engine.filesystems.table import examine
from engine.image.reading import Content, Node, describes_itself
from engine.inspect.booting.boot import Boot
from engine.inspect.booting.entry import BootEntry
from engine.inspect.image import Image, Part
from engine.inspect.sealed import seals
from engine.inspect.survey import Survey, survey
from engine.problem import printable, text
from engine.units import in_bytes

SCHEMA = 1

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
    """Returns all there is to say of an image: `docs/commands.md` lists the keys.

    It reads what it needs to, and runs nothing. What cannot be read is a finding.
    """
    told: dict[str, None] = {}
    found = survey(image, told.setdefault)
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
            "pmbr_boot": table.pmbr_boot,
        },
        "partitions": [_partition(part, table.sector_size) for part in partitions],
    }
    if table.kind == "none" and image.parts:
        report["filesystem"] = _filesystem(image.parts[0])
        report["foreign"] = _foreign(image.parts[0])
    troubles = (f"{part.name}: {part.trouble}" for part in image.parts if part.trouble)
    looks = {part.name: examine(part.content) for part in image.parts if part.content is not None}
    for place, name in _places(report, image):
        if place["filesystem"] is not None:
            place["filesystem"]["unchecked"] = list(looks[name].unchecked)
    filesystems = [finding for part in image.parts for finding in _filesystem_findings(part)]
    filesystems += [f"{name}: {line}" for name, look in looks.items() for line in look.findings]
    report |= _survey(found)
    sealed = seals(image)
    report["verity"] = [
        {
            "where": seal.where,
            "data": seal.data,
            "root_hash": seal.root_hash or None,
            "intact": seal.intact,
            "signed": seal.signed,
        }
        for seal in sealed
    ]
    findings = (
        *image.disk.findings, *table.findings, *_past_the_end(image), *_around(image),
        *troubles, *filesystems, *(one for seal in sealed for one in seal.damage), *told,
    )  # fmt: skip
    report["findings"] = list(dict.fromkeys(findings))
    return cast("dict[str, Any]", _shown(report))


def _places(report: dict[str, Any], image: Image) -> Iterator[tuple[dict[str, Any], str]]:
    """Yields what a report says of each part, and the part's name."""
    if image.table.kind == "none":
        yield from ((report, part.name) for part in image.parts)
    else:
        yield from ((found, f"partition {found['number']}") for found in report["partitions"])


def _survey(found: Survey) -> dict[str, Any]:
    return {
        "loaders": [{"where": loader.where, "name": loader.name} for loader in found.loaders],
        "system": [asdict(system) for system in found.systems],
        "kernels": [
            {
                "where": kernel.where,
                "path": kernel.path,
                "version": kernel.version,
                "architecture": kernel.architecture,
                "initrd": kernel.initrd,
                "bytes": kernel.size,
            }
            for kernel in found.kernels
        ],
        "boot_entries": [
            {**_entry(entry), "default": entry in found.defaults} for entry in found.entries
        ],
        "boots": {firmware: _boot(boot) for firmware, boot in found.boots.items()},
    }


def _entry(entry: BootEntry) -> dict[str, Any]:
    return {
        "where": entry.where,
        "kind": entry.kind,
        "title": entry.title,
        "version": entry.version,
        "linux": entry.linux,
        "initrd": list(entry.initrd),
        "options": entry.options,
        "missing": list(entry.missing),
    }


def _boot(boot: Boot) -> dict[str, Any]:
    return {
        "starts": boot.starts,
        "chain": list(boot.chain),
        "entry": _entry(boot.entry) if boot.entry is not None else None,
        "why_not": boot.why_not or None,
        "notes": list(boot.notes),
    }


def _shown(value: object) -> object:
    """Returns a part of a report with every text in it printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {key: _shown(each) for key, each in value.items()}
    return [_shown(each) for each in value] if isinstance(value, list) else value


def _past_the_end(image: Image) -> Iterator[str]:
    """Yields which partitions a GPT has the room for and the disk does not: it was cut short."""
    table = image.table
    last = image.disk.size // table.sector_size - 1
    for partition in table.partitions:
        if last < partition.end - 1 <= table.last_usable:
            yield (
                f"partition {partition.number} ends at sector {partition.end - 1}, past the last "
                f"of the disk ({last})"
            )


def _around(image: Image) -> Iterator[str]:
    if image.around is not None:
        yield f"the disk as a whole is {image.around.sentence}"


def _filesystem_findings(part: Part) -> Iterator[str]:
    filesystem = part.content
    if filesystem is None:
        return
    if filesystem.size > part.window.size:
        yield (
            f"{part.name}: the {filesystem.type} file system of {in_bytes(filesystem.size)} is "
            f"larger than the {in_bytes(part.window.size)} it is in; no kernel mounts it"
        )
    if not filesystem.clean:
        yield f"{part.name}: the {filesystem.type} file system was not unmounted cleanly"
    recovered = getattr(filesystem, "recovered", 0)
    if recovered:
        yield (
            f"{part.name}: {recovered} blocks are not in their places yet; they are "
            "read from the journal, as a mount would"
        )
    stale = stale_because(filesystem)
    if stale:
        yield f"{part.name}: {stale}; what is shown may be older than what a mount shows"


def stale_because(filesystem: Content) -> str:
    """Returns why what is read may be older than what a mount would show, or ""."""
    return str(getattr(filesystem, "stale", ""))


def _partition(part: Part, sector_size: int) -> dict[str, Any]:
    partition = part.partition
    assert partition is not None
    role = role_of(partition.type)
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
        "foreign": _foreign(part),
    }


def _foreign(part: Part) -> dict[str, Any] | None:
    """Returns what a part holds that no reader knows, as far as its magic number tells."""
    found = part.foreign
    if found is None:
        return None
    return {
        "type": found.signature.key,
        "kind": found.signature.kind,
        "label": found.label,
        "uuid": found.uuid,
        "sentence": found.sentence,
    }


def _filesystem(part: Part) -> dict[str, Any] | None:
    filesystem = part.content
    if filesystem is None:
        return None
    report: dict[str, Any] = {
        "type": filesystem.type,
        "label": filesystem.label,
        "uuid": filesystem.uuid,
        "bytes": filesystem.size,
        "block_size": filesystem.block_size,
        "free_bytes": filesystem.free,
        "clean": filesystem.clean,
    }
    if describes_itself(filesystem):
        report |= filesystem.figures()
    return report


def node_report(node: Node) -> dict[str, Any]:
    """Returns the metadata of one file; bytes that are not UTF-8 are shown as escapes."""
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


def when(nanoseconds: int) -> str:
    """Returns a time as ISO 8601 in UTC, to the second."""
    try:
        return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return f"@{nanoseconds // 1_000_000_000}"
