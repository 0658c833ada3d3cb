"""A disk image: a spec for a disk like it, and its files as archives where they are wanted."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from engine.disk.presets import PRESETS
from engine.disk.subvolumes import Arrangement, Subvolume, with_default
from engine.image.container import BadImage
from engine.image.mounted import MountedView
from engine.image.reading import Filesystem, Node, Window, is_divided
from engine.importers.draft import Draft, mount_of
from engine.importers.files import extract_all
from engine.importers.image_mounts import swap_files, with_mounts
from engine.importers.image_volumes import Disk, disk_of
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
from engine.inspect.report import image_report, stale_because
from engine.problem import printable
from engine.spec.filesystems import ROOT_FILESYSTEMS
from engine.spec.formats import FORMATS
from engine.spec.model import Content, Identity, ImageSpec, Layout, Output, Size, VolumeEntry
from engine.units import MIB, format_exact

_BOOT_SECTOR = "boot sector"
"""Where a report says that a loader is, if it is in no file."""
_MBR_GAP = 512
"""Where GRUB's core begins that a boot sector of an MBR starts."""
_UNREADABLE = "no file system that can be read"
_NAMED = 3
_LOADER_LEFT = (
    "the loader for BIOS in the boot sector is not carried over: step Boot can put GRUB in"
)


@dataclass(frozen=True, slots=True)
class Takeover:
    """What of an image can come along into a spec.

    Attributes:
        filesystems: Those with files, by the id of their volume.
        raw: Bytes that no reader knows, by the id of their volume; or, outside of all partitions,
            by what `piece_name` calls them.
        left: Sentences on what stays behind.
    """

    filesystems: dict[str, Filesystem]
    raw: dict[str, Window]
    left: tuple[str, ...]

    @property
    def suffixes(self) -> dict[str, str]:
        """Suffixes of the files that it makes, by name."""
        return dict.fromkeys(self.filesystems, "tar") | dict.fromkeys(self.raw, "img")


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
        spec, found = of_image(image, image_report(image))
        notes = [not_carried(sentence) for sentence in found.left]
        return Imported(spec, tuple(notes), found.suffixes)


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
        _, found = of_image(image, image_report(image))
        return take(found, archives, progress, cancelled)


def take(
    found: Takeover, dests: Mapping[str, Path], progress: OnProgress, cancelled: IsCancelled
) -> Extracted:
    """Writes what comes along of an opened image, as `write_files` does."""
    wanted = [
        (found.filesystems[name], top(found.filesystems[name]), dest)
        for name, dest in dests.items()
        if name in found.filesystems
    ]
    copies = [(found.raw[name], dest) for name, dest in dests.items() if name in found.raw]
    return extract_all(wanted, progress, cancelled, copies)


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


def is_disk(path: Path) -> bool:
    """Whether a file holds a table or a file system, be it one that is not read here."""
    try:
        image = open_image(path)
    except (BadImage, struct.error, OSError):
        return False
    with closing(image.disk):
        return not is_unknown(image) or any(part.foreign is not None for part in image.parts)


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


def of_image(image: Image, report: dict[str, Any]) -> tuple[ImageSpec, Takeover]:
    """Returns a spec for a disk like this one, and what of its files can come along.

    Args:
        image: The opened image.
        report: What `image_report` says of it.
    """
    if image.table.kind == "none":
        return _bare(image, report)
    draft = Draft()
    disk = disk_of(image, report, draft)
    left = [note.line() for note in draft.notes]
    parts = disk.parts
    filesystems = {}
    for name, part in parts.items():
        if part.filesystem is not None and _has_files(part.filesystem):
            filesystems[name] = part.filesystem
        elif part.trouble or (part.filesystem is not None and not _is_readable(part.filesystem)):
            left.append(f"what is in {part.name} is not carried over: it cannot be read")
    for entry in disk.volumes:
        if entry.id in filesystems:
            stored = filesystems[entry.id]
            left += _unmounted(entry, stored)
            filesystems[entry.id] = _shown(entry, stored)
            if mount_of(entry) == "/":
                left += swap_files(stored, filesystems[entry.id])
    raw = {name: part.window for name, part in parts.items() if _is_raw(name, part, disk)}
    boots = any(loader["where"] == _BOOT_SECTOR for loader in report["loaders"])
    if boots:
        left.append(_LOADER_LEFT)
    gap = _MBR_GAP if boots and image.table.kind == "mbr" else -1
    raw |= {piece_name(at): piece for at, piece in disk.pieces.items() if at != gap}
    left += _older({name: part.filesystem for name, part in parts.items() if part.filesystem})
    first = {name: filesystems[name] for name in ("root", "esp") if name in filesystems}
    return _spec(image, report, disk), Takeover(first | filesystems, raw, tuple(left))


def piece_name(at: int) -> str:
    """Returns what data outside of all partitions is called, by the byte where it begins."""
    return f"raw-{at}"


def _is_raw(name: str, part: Part, disk: Disk) -> bool:
    """Whether a volume has bytes that nothing here can read or make."""
    entry = next(one for one in disk.volumes if one.id == name)
    if part.content is not None or entry.role == "bios-boot" or name == "bios-boot":
        return False
    try:
        return bool(part.window.read(0, min(MIB, part.window.size)).strip(b"\0"))
    except (BadImage, struct.error):
        return False


def _bare(image: Image, report: dict[str, Any]) -> tuple[ImageSpec, Takeover]:
    """Returns what there is of an image that is one file system."""
    part, disk = image.parts[0], report["disk"]
    inside = report.get("filesystem")
    kind = inside["type"] if inside is not None else ""
    root = kind in ROOT_FILESYSTEMS
    spec = ImageSpec(
        name=_name(image.path),
        layout=Layout(
            table="none",
            filesystem=kind if root else None,
            label=(inside["label"] or None) if root and inside is not None else None,
        ),
        size=Size(disk=format_exact(disk["bytes"])),
        volume=with_mounts((VolumeEntry(id="root", format=kind),), {"root": part})
        if kind and not root
        else (),
        output=_output(report),
        identity=Identity(
            root_filesystem_uuid=inside["uuid"] if root and inside is not None else None
        ),
    )
    if part.filesystem is None:
        return spec, Takeover({}, {}, (f"{part.name} is not carried over: {_UNREADABLE}",))
    files = {"root": part.filesystem} if _has_files(part.filesystem) else {}
    left = list(_older({"root": part.filesystem}))
    for entry in spec.volume if files else ():
        left += _unmounted(entry, files["root"])
        files["root"] = _shown(entry, files["root"])
    if files:
        left += swap_files(part.filesystem, files["root"])
    return spec, Takeover(files, {}, tuple(left))


def _shown(entry: VolumeEntry, filesystem: Filesystem) -> Filesystem:
    """Returns the files of a volume as its subvolumes show them, once they are mounted."""
    top = mount_of(entry)
    if not entry.subvolumes or not top:
        return filesystem
    given = map(Subvolume.parsed, entry.subvolumes)
    subvolumes = with_default(given, entry.default_subvolume or "", top)
    return MountedView(filesystem, Arrangement(subvolumes, top))


def _unmounted(entry: VolumeEntry, filesystem: Filesystem) -> Iterator[str]:
    """Yields the subvolumes that stay behind, since nothing mounts them."""
    if not entry.subvolumes or not is_divided(filesystem):
        return
    there = {Subvolume.parsed(text).name for text in entry.subvolumes}
    names = (top.decode("utf-8", "replace") for top in filesystem.tops if top)
    left = [printable(name) for name in names if name not in there]
    if left:
        more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        yield (
            f"what only the subvolumes {', '.join(left[:_NAMED])}{more} of {entry.id} hold is not "
            "carried over: it does not show where they are mounted"
        )


def _older(filesystems: Mapping[str, Filesystem]) -> Iterator[str]:
    """Yields which files may not be those that a mount would show, and why."""
    for name, filesystem in filesystems.items():
        why = stale_because(filesystem)
        if why:
            yield f"the files of {name} may be older than what a mount shows: {why}"


def _has_files(filesystem: Filesystem) -> bool:
    """Whether there is something to take along, as far as the topmost folder can be read."""
    try:
        node = filesystem.lookup(b"")
        return node is not None and any(
            one.name != b"lost+found" for one in filesystem.children(node)
        )
    except (BadImage, struct.error):
        return False


def _is_readable(filesystem: Filesystem) -> bool:
    try:
        node = filesystem.lookup(b"")
        return node is not None and next(filesystem.children(node), None) is not node
    except (BadImage, struct.error):
        return False


def _spec(image: Image, report: dict[str, Any], disk: Disk) -> ImageSpec:
    """Returns a spec for a partitioned disk; its contents are not known."""
    found = report["disk"]
    root = next((one for one in disk.volumes if one.id == "root"), None)
    layout, identity = Layout(), Identity()
    volumes = disk.volumes
    if root is not None and (root.format or "ext4") in ROOT_FILESYSTEMS:
        # The root has keys of its own for what other volumes say in their entry.
        layout = Layout(filesystem=root.format, label=root.label or None)
        identity = Identity(root_partition_guid=root.guid, root_filesystem_uuid=root.uuid)
        empty = root.label if root.label == "" else None
        rest = replace(root, format=None, label=empty, guid=None, uuid=None)
        volumes = tuple(rest if one is root else one for one in volumes)
    if not PRESETS[disk.table].own:
        volumes = tuple(one for one in volumes if one != VolumeEntry(id=one.id))
    return ImageSpec(
        name=_name(image.path),
        layout=replace(
            layout,
            table=disk.table,
            sector_size=4096 if found["sector_size"] == 4096 else None,
            fstab="keep" if volumes else None,
            pmbr_boot=image.table.pmbr_boot or None,
        ),
        size=Size(
            disk=format_exact(found["bytes"]) if disk.fits else None,
            boot=format_exact(disk.boot) if disk.boot is not None else None,
        ),
        volume=volumes,
        output=_output(report),
        identity=replace(
            identity,
            disk_guid=found["guid"],
            disk_signature=found["signature"] if disk_is_mbr(found) else None,
        ),
    )


def disk_is_mbr(found: Mapping[str, Any]) -> bool:
    """Whether a report's disk has an MBR with a signature."""
    return found["table"] == "mbr" and found["signature"] is not None


def _name(path: Path) -> str | None:
    return path.name.partition(".")[0] or None


def _output(report: Mapping[str, Any]) -> Output:
    return Output(format=report["format"] if report["format"] in FORMATS else None)


def with_archives(spec: ImageSpec, archives: Mapping[str, str]) -> ImageSpec:
    """Returns a spec with what came along of an image.

    Args:
        spec: That of the image.
        archives: Files by what `Takeover` calls them, named as a spec names sources.
    """
    outside = {name: at for name in archives if (at := _piece_at(name)) is not None}
    entries = {one.id: one for one in spec.volume}
    raw = {
        name
        for name in archives
        if name in entries and archives[name].endswith(".img") and name not in outside
    }
    volumes = [
        VolumeEntry(id=name, role="raw", source=archives[name], offset=format_exact(at))
        for name, at in outside.items()
    ]
    volumes += [
        replace(one, format=None, source=archives[one.id]) if one.id in raw else one
        for one in spec.volume
    ]
    filled = [name for name in archives if name not in outside and name not in raw]
    alone = set(filled) <= {"root", "esp"}
    contents = tuple(
        Content(
            source=archives[name],
            target="/",
            extract=True,
            volume=None if name == "root" and alone else name,
        )
        for name in filled
    )
    return replace(spec, volume=tuple(volumes), contents=contents)


def _piece_at(name: str) -> int | None:
    start, _, number = name.partition("-")
    return int(number) if start == "raw" and number.isdecimal() else None
