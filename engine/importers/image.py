"""A disk image: a spec for a disk like it, and its files as archives where they are wanted."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engine.image.container import BadImage
from engine.image.reading import Filesystem, Node
from engine.importers.files import extract_all
from engine.importers.model import (
    Candidate,
    Imported,
    IsCancelled,
    OnProgress,
    not_carried,
    refused,
)
from engine.inspect.extract import Extracted
from engine.inspect.image import Image, Part, open_image
from engine.inspect.report import image_report
from engine.spec.filesystems import ROOT_FILESYSTEMS
from engine.spec.formats import FORMATS
from engine.spec.keys import CONTENT_PARTITIONS
from engine.spec.model import Content, Identity, ImageSpec, Layout, Output, Size
from engine.units import format_exact

_BOOT_SECTOR = "boot sector"
"""Where a report says that a loader is, if it is in no file."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """What of an image's files can come along into a spec.

    Attributes:
        filesystems: By the partition of a spec's contents, "root" or "esp".
        left: Sentences on what stays behind.
    """

    filesystems: dict[str, Filesystem]
    left: tuple[str, ...]


def recognise(candidate: Candidate) -> bool:
    """Whether it is a file of bytes that are not text."""
    return not candidate.is_folder and candidate.text is None


def read(candidate: Candidate, environment: Mapping[str, str]) -> Imported:
    """Makes a spec of an image; reads metadata only.

    Raises:
        Refused: It is not an image, or not one that can be read.
    """
    image = _opened(candidate.path)
    with closing(image.disk):
        report = image_report(image)
        found = takeover(image, report)
        notes = tuple(not_carried(f"{sentence} is not carried over") for sentence in found.left)
        return Imported(spec_of(report, candidate.path), notes, tuple(found.filesystems))


def write_files(
    candidate: Candidate,
    archives: Mapping[str, Path],
    progress: OnProgress,
    cancelled: IsCancelled,
) -> Extracted:
    """Writes the files of partitions to archives, all or none of them.

    Raises:
        Refused: There is something at a destination, or nothing can be made there.
        engine.inspect.extract.ExtractFailed: A destination cannot be written.
        engine.manifest.progress.ScanCancelled: It was asked to stop; nothing is left.
    """
    image = _opened(candidate.path)
    with closing(image.disk):
        found = takeover(image, image_report(image)).filesystems
        wanted = [(found[name], top(found[name]), dest) for name, dest in archives.items()]
        return extract_all(wanted, progress, cancelled)


def _opened(path: Path) -> Image:
    try:
        image = open_image(path)
    except (BadImage, struct.error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise refused(f"{path} cannot be opened as a disk image: {reason}") from None
    if is_unknown(image):
        why = unknown_why(image)
        image.disk.close()
        raise refused(f"{path} {why}")
    return image


def is_unknown(image: Image) -> bool:
    """Whether an image holds neither a table nor a file system, known or damaged."""
    parts = image.parts
    return image.table.kind == "none" and not any(x.filesystem or x.trouble for x in parts)


def unknown_why(image: Image) -> str:
    """Returns what an image is of which nothing can be read, to follow its name."""
    named = [part.foreign.sentence for part in image.parts if part.foreign is not None]
    return f"is {named[0]}" if named else "has no partition table and no file system that is known"


def top(filesystem: Filesystem) -> Node:
    """Returns the topmost folder of a file system.

    Raises:
        Refused: It has none that can be read.
    """
    try:
        node = filesystem.lookup(b"")
    except (BadImage, struct.error) as error:
        raise refused(f"the topmost folder cannot be read: {error}") from None
    if node is None:
        raise refused("there is no topmost folder")
    return node


def takeover(image: Image, report: dict[str, Any]) -> Takeover:
    """Returns what can be taken along of an image, given its report."""
    roles = {found["number"]: found["role"] for found in report["partitions"]}
    found: dict[str, Filesystem] = {}
    left = []
    for part in image.parts:
        role = "root" if part.partition is None else roles.get(part.partition.number, "")
        if role not in found and part.filesystem is not None and _fits(role, part.filesystem):
            found[role] = part.filesystem
        elif role != "bios-boot":
            left.append(_left(part))
    if any(loader["where"] == _BOOT_SECTOR for loader in report["loaders"]):
        left.append("the loader for BIOS in the boot sector: step Boot can put GRUB in")
    taken = {
        role: found[role]
        for role in CONTENT_PARTITIONS
        if role in found and _has_files(found[role])
    }
    return Takeover(taken, tuple(left))


def _fits(role: str, filesystem: Filesystem) -> bool:
    """Whether a spec's contents can name a file system's files."""
    return role == "esp" or (role == "root" and filesystem.type in ROOT_FILESYSTEMS)


def _has_files(filesystem: Filesystem) -> bool:
    """Whether there is something to take along, as far as the topmost folder can be read."""
    try:
        node = filesystem.lookup(b"")
        return node is not None and next(filesystem.children(node), None) is not None
    except (BadImage, struct.error):
        return True


def _left(part: Part) -> str:
    if part.filesystem is None:
        return f"{part.name}: {part.unread}"
    return f"{part.name} ({part.filesystem.type}): a spec has one root file system and one ESP"


def spec_of(report: dict[str, Any], path: Path) -> ImageSpec:
    """Returns a spec for a disk like this one; its contents are not known."""
    disk = report["disk"]
    roles = {found["role"]: found for found in report["partitions"]}
    root = roles.get("root")
    inside = report.get("filesystem") if root is None else root["filesystem"]
    kind = inside["type"] if inside is not None else ""
    return ImageSpec(
        name=path.name.partition(".")[0] or None,
        layout=Layout(
            table=_layout(disk["table"], set(roles)),
            filesystem=kind if kind in ROOT_FILESYSTEMS else None,
            label=(inside["label"] or None) if inside is not None else None,
            sector_size=4096 if disk["sector_size"] == 4096 else None,
        ),
        size=Size(
            disk=format_exact(disk["bytes"]),
            boot=format_exact(roles["esp"]["bytes"]) if "esp" in roles else None,
        ),
        output=Output(format=report["format"] if report["format"] in FORMATS else None),
        identity=Identity(
            disk_guid=disk["guid"],
            root_partition_guid=root["guid"] if root is not None else None,
            root_filesystem_uuid=(
                inside["uuid"] if inside is not None and kind in ROOT_FILESYSTEMS else None
            ),
        ),
    )


def _layout(table: str, roles: set[str]) -> str:
    if table == "none":
        return "none"
    if table == "mbr":
        return "legacy"
    if "esp" in roles:
        return "hybrid" if "bios-boot" in roles else "efi"
    return "legacy+gpt"


def with_archives(spec: ImageSpec, archives: Mapping[str, str]) -> ImageSpec:
    """Returns a spec whose contents are archives, by partition and named as a spec does."""
    contents = tuple(
        Content(
            source=source,
            target="/",
            extract=True,
            partition=None if name == "root" else name,
        )
        for name, source in archives.items()
    )
    return msgspec.structs.replace(spec, contents=contents)
