"""What of an image's files a spec can have, and what it cannot."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engine.filesystems.ext4.reader import ExtFilesystem
from engine.image.container import BadImage
from engine.inspect.image import AnyFilesystem, Image, Part
from engine.spec.keys import CONTENT_PARTITIONS
from engine.spec.model import Content, ImageSpec

_BOOT_SECTOR = "boot sector"
"""Where a report says that a loader is, if it is in no file."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """What can come along into a spec.

    Attributes:
        filesystems: By the partition of a spec's contents, "root" or "esp".
        left: Sentences on what stays behind.
    """

    filesystems: dict[str, AnyFilesystem]
    left: tuple[str, ...]

    def archives(self, folder: Path, stem: str) -> dict[str, Path]:
        """Returns where each file system's files go to: archives that are not there yet."""
        return {name: free_archive(folder, f"{stem}-{name}") for name in self.filesystems}


def takeover(image: Image, report: dict[str, Any]) -> Takeover:
    """Returns what can be taken along of an image, given its report."""
    roles = {found["number"]: found["role"] for found in report["partitions"]}
    found: dict[str, AnyFilesystem] = {}
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
        if role in found and not _is_empty(found[role])
    }
    return Takeover(taken, tuple(left))


def _fits(role: str, filesystem: AnyFilesystem) -> bool:
    """Whether a spec's contents can name a file system's files."""
    return role == "esp" or (role == "root" and isinstance(filesystem, ExtFilesystem))


def _is_empty(filesystem: AnyFilesystem) -> bool:
    try:
        top = filesystem.lookup(b"")
        return top is not None and next(filesystem.children(top), None) is None
    except (BadImage, struct.error):
        return False


def _left(part: Part) -> str:
    if part.filesystem is None:
        return f"{part.name}: no file system that can be read"
    return f"{part.name} ({part.filesystem.type}): a spec has one root file system and one ESP"


def with_archives(spec: ImageSpec, archives: dict[str, str]) -> ImageSpec:
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


def free_archive(folder: Path, stem: str) -> Path:
    """Returns where an archive can go: `STEM.tar`, or with a number if that is there."""
    path, number = folder / f"{stem}.tar", 2
    while os.path.lexists(path):
        path, number = folder / f"{stem}-{number}.tar", number + 1
    return path
