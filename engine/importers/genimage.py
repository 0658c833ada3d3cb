"""A genimage configuration: one disk image of those that it describes, and what goes into it.

Source: genimage's README (version 19).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from engine.disk.discoverable import name_of
from engine.disk.roles import ROLES
from engine.disk.volume import Scheme
from engine.importers.confuse import Section, parse
from engine.importers.draft import Draft, mounts, size_text
from engine.importers.genimage_config import FILESYSTEMS, Config
from engine.importers.genimage_files import filled
from engine.importers.genimage_notes import moved, rest, unknown
from engine.importers.model import Candidate, Imported, refused
from engine.importers.parttypes import by_short_name
from engine.spec.filesystems import ROOT_FILESYSTEMS
from engine.spec.formats import FORMATS
from engine.spec.identity import is_uuid
from engine.spec.model import (
    Identity,
    ImageSpec,
    Layout,
    Output,
    Size,
    VolumeEntry,
)

_IMAGE = re.compile(r"""^\s*image\s+("[^"\n]*"|'[^'\n]*'|\S+)\s*\{""", re.MULTILINE)
_FLAGS = {
    "bootable": "legacy-boot", "read-only": "read-only", "growfs": "grow-file-system",
    "no-automount": "no-auto",
}  # fmt: skip

_IMAGE_KEYS = {"size", "mountpoint", "srcpath", "empty", "temporary", "name"}
_DISK_KEYS = {
    "partition-table", "partition-table-type", "gpt", "disk-signature", "disk-uuid", "fill",
}  # fmt: skip
_PARTITION_KEYS = {
    "image", "size", "offset", "partition-type", "partition-type-uuid", "partition-uuid",
    "in-partition-table", "autoresize", *_FLAGS,
}  # fmt: skip
_FILESYSTEM_KEYS = {"label", "files", "compression", "image", "use-mke2fs", "tool"}


def recognise(candidate: Candidate) -> bool:
    """Whether it has a section that describes an image."""
    return candidate.text is not None and _IMAGE.search(candidate.text) is not None


def read(candidate: Candidate, environment: Mapping[str, str]) -> Imported:
    """Makes a spec of the first disk image of a configuration.

    Raises:
        Refused: It is not one, or describes neither a disk nor a file system.
    """
    top = parse(candidate, environment)
    draft = Draft()
    images = {section.title: section for section in top.sections if section.kind == "image"}
    config = Config(
        images,
        root=candidate.root.absolute()
        if candidate.root
        else _path("root", top, candidate, environment),
        input=_path("input", top, candidate, environment),
        draft=draft,
    )
    main, format_ = _main(config, candidate)
    handler = main.inside("hdimage")
    spec = _bare(main, config) if handler is None else _disk(main, handler, config)
    rest(top, config)
    spec = ImageSpec(
        name=re.sub(r"[^A-Za-z0-9._-]", "", main.title.partition(".")[0]) or None,
        layout=spec.layout,
        size=spec.size,
        volume=draft.mounted(),
        contents=tuple(draft.contents),
        output=Output(format=format_ if format_ in FORMATS else None),
        identity=spec.identity,
    )
    return Imported(spec, draft.told(candidate.path.name))


def _path(which: str, top: Section, candidate: Candidate, environment: Mapping[str, str]) -> Path:
    """Returns rootpath or inputpath: the environment's, the file's, or genimage's default."""
    config = top.inside("config")
    text = environment.get(f"GENIMAGE_{which.upper()}PATH") or (
        config.text(f"{which}path") if config else ""
    )
    return candidate.path.absolute().parent / (text or which)


def _main(config: Config, candidate: Candidate) -> tuple[Section, str]:
    """Returns the image that becomes the spec, and the format that it is converted to."""
    converted = {}
    for section in config.images.values():
        handler = section.inside("qemu")
        for part in section.sections if handler is not None else ():
            if part.kind == "partition" and handler is not None:
                converted[part.text("image")] = (section.title, handler.text("format") or "qcow2")
    kinds = ({"hdimage"}, FILESYSTEMS)
    for wanted in kinds:
        for section in config.images.values():
            if section.inside(*wanted) is not None:
                outer, format_ = converted.get(section.title, ("", ""))
                config.used.update({section.title, outer})
                return section, format_
    raise refused(
        f"{candidate.path} describes neither a disk (hdimage) nor a file system",
        "Diskwright makes disks, not flash images or archives",
    )


def _disk(main: Section, handler: Section, config: Config) -> ImageSpec:
    kind = handler.text("partition-table-type") or (
        "gpt" if handler.yes("gpt") else "mbr"
        if handler.yes("partition-table", default=True) else "none"
    )  # fmt: skip
    scheme: Scheme = "mbr" if kind == "mbr" else "gpt"
    draft = config.draft
    unknown(handler, _DISK_KEYS, draft)
    unknown(main, _IMAGE_KEYS, draft)
    if kind == "hybrid":
        draft.note(handler.where, "the MBR beside the GPT", "a disk has one table")
    elif kind == "none":
        draft.note(handler.where, "a disk without a partition table",
                   "that has one file system only; here it has a GPT")  # fmt: skip
    places = []
    for part in main.sections:
        if part.kind == "partition":
            entry = _partition(part, scheme, kind == "hybrid", config)
            places.append((part.option("offset"), entry))
    filled(config)
    moved(scheme, places, draft)
    size = config.size(main.option("size"))
    return ImageSpec(
        layout=Layout(table=scheme, fstab="keep"),
        size=Size(disk=size_text(size) if size else None),
        identity=_identity(handler, scheme, draft),
    )


def _identity(handler: Section, scheme: str, draft: Draft) -> Identity:
    guid, signature = handler.option("disk-uuid"), handler.option("disk-signature")
    if guid is not None and scheme == "gpt":
        if is_uuid(guid.value):
            return Identity(disk_guid=guid.value.lower())
        draft.note(guid.where, f"disk-uuid = {guid.value}", "it is not a UUID")
    if signature is not None and scheme == "mbr":
        if re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}|[1-9][0-9]{0,8}", signature.value):
            return Identity(disk_signature=f"0x{int(signature.value, 0):08x}")
        draft.note(signature.where, f"disk-signature = {signature.value}",
                   "it derives from the seed")  # fmt: skip
    return Identity()


def _partition(part: Section, scheme: Scheme, hybrid: bool, config: Config) -> VolumeEntry | None:
    """Adds a partition, or bytes outside of all, as a volume."""
    draft = config.draft
    unknown(part, _PARTITION_KEYS | ({"holes"} if not part.text("holes") else set()), draft)
    name = part.text("image")
    image = config.images.get(name)
    if image is not None and image.inside("file") is not None:
        unknown(image.inside("file") or image, set(), draft)
        config.used.add(name)
        image = None
    if not part.yes("in-partition-table", default=True):
        return _outside(part, image, config)
    handler = image.inside(*FILESYSTEMS, "verity") if image is not None else None
    if image is not None and handler is None:
        config.used.add(name)
        draft.note(part.where, f"image = {name}", "Diskwright does not make such an image",
                   "genimage's result can be the source of a raw volume")  # fmt: skip
    kind = handler.kind if handler is not None else ""
    source = str(config.input / name) if name and image is None else None
    role, type_ = _role(part, scheme, image, kind, source, draft)
    if hybrid and part.text("partition-type"):
        draft.note(part.where, "partition-type", "a partition of a GPT has a GUID for a type")
    size = config.size(part.option("size"))
    if size is None and image is not None:
        size = config.size(image.option("size"))
    grows = part.yes("autoresize")
    mount = _mount(image, kind, config)
    entry = draft.add(
        VolumeEntry(
            id=draft.id_for(part.title or name),
            role=role,
            format=kind if kind in FILESYSTEMS else "none",
            mount=mount if mount or ROLES[role].mount else None,
            size=size_text(size) if size and not grows else None,
            free=0 if role in {"esp", "bios-boot"} and not size and not grows else None,
            min=size_text(size) if size and grows else None,
            grow=1 if grows else None,
            label=_label(handler, kind, draft),
            guid=_guid(part, scheme, draft),
            name=part.title or None if scheme == "gpt" else None,
            type=type_,
            compression=_compression(handler, kind, draft),
            flags=tuple(flag for key, flag in _FLAGS.items() if part.yes(key)),
            source=source,
        )
    )
    if image is not None and handler is not None:
        config.used.add(name)
        config.volumes.setdefault(name, entry.id)
        unknown(image, _IMAGE_KEYS, draft)
        unknown(handler, _FILESYSTEM_KEYS, draft)
        _tree(handler, config, entry)
    return entry


def _tree(handler: Section, config: Config, entry: VolumeEntry) -> None:
    """Names the volume that a hash tree is of."""
    if handler.kind != "verity":
        return
    of = config.volumes.get(handler.text("image"))
    if of is None:
        config.draft.note(handler.where, "the hash tree", "the volume that it is of comes later",
                          "verity names it")  # fmt: skip
        return
    at = config.draft.volumes.index(entry)
    config.draft.volumes[at] = VolumeEntry(
        id=entry.id, role="root-verity" if entry.id != "root-verity" else None,
        size=entry.size, guid=entry.guid, name=entry.name, type=entry.type, flags=entry.flags,
        verity=of,
    )  # fmt: skip


def _outside(part: Section, image: Section | None, config: Config) -> VolumeEntry | None:
    name, draft = part.text("image"), config.draft
    offset = config.size(part.option("offset")) or 0
    size = config.size(part.option("size"))
    if image is not None or not (name or size):
        draft.note(part.where, f"the partition {part.title}",
                   "outside of all partitions there can only be a file's bytes, or room that "
                   "has a size")  # fmt: skip
        return None
    return draft.add(
        VolumeEntry(
            id=draft.id_for(part.title or name),
            role="raw",
            source=str(config.input / name) if name else None,
            offset=size_text(offset),
            size=size_text(size) if size and not name else None,
        )
    )


def _role(
    part: Section,
    scheme: Scheme,
    image: Section | None,
    kind: str,
    source: str | None,
    draft: Draft,
) -> tuple[str, str | None]:
    """Returns what a partition is for, and its type where it is not the role's own."""
    guess = "raw" if source is not None else _purpose(image, kind, draft)
    option = part.option("partition-type-uuid" if scheme == "gpt" else "partition-type")
    if scheme == "mbr":
        if option is None or not re.fullmatch(r"0[xX][0-9a-fA-F]{1,2}|[0-9]{1,3}", option.value):
            return guess, None
        code = f"0x{int(option.value, 0) & 0xFF:02x}"
        role = {"0xef": "esp", "0x82": "swap"}.get(code, guess)
        return role, None if code == ROLES[role].mbr else code
    text = option.value if option is not None else "L"
    found = by_short_name(text)
    if found is None:
        draft.note(option.where if option else None, f"partition-type-uuid = {text}",
                   "it is neither a GUID nor one of genimage's short names")  # fmt: skip
        return guess, None
    guid, role = found
    if role == "data" and guess != "data":
        role = guess
    named = name_of(guid)
    return role, None if guid == ROLES[role].type("gpt", "x86_64") and named != "" else guid


def _purpose(image: Section | None, kind: str, draft: Draft) -> str:
    """Returns the role that the contents of a file system tell."""
    if image is None or kind in {"", "verity"}:
        return "root-verity" if kind == "verity" else "data"
    if not image.yes("empty") and not image.text("srcpath") and kind != "vfat":
        mount = image.text("mountpoint") or "/"
        found = {role.mount: role.key for role in ROLES.values() if role.mount}
        return found.get(mount, "data")
    return "data"


def _mount(image: Section | None, kind: str, config: Config) -> str:
    if image is None or kind not in FILESYSTEMS or image.yes("empty"):
        return ""
    place = image.text("mountpoint") or ("" if kind == "vfat" or image.text("srcpath") else "/")
    return place if place and place not in mounts(config.draft.volumes) else ""


def _label(handler: Section | None, kind: str, draft: Draft) -> str | None:
    option = handler.option("label") if handler is not None else None
    if handler is None or option is None:
        return None
    return draft.label(option.where, option.value, kind)


def _compression(handler: Section | None, kind: str, draft: Draft) -> str | None:
    option = handler.option("compression") if handler is not None else None
    if option is None:
        return None
    return draft.compression(option.where, f"compression = {option.value}", option.value, kind)


def _guid(part: Section, scheme: str, draft: Draft) -> str | None:
    option = part.option("partition-uuid")
    if option is None or scheme != "gpt":
        return None
    if is_uuid(option.value):
        return option.value.lower()
    draft.note(option.where, f"partition-uuid = {option.value}", "it is not a UUID")
    return None


def _bare(main: Section, config: Config) -> ImageSpec:
    """Makes the one file system of a disk without a table."""
    handler = main.inside(*FILESYSTEMS)
    assert handler is not None
    draft = config.draft
    unknown(main, _IMAGE_KEYS, draft)
    unknown(handler, _FILESYSTEM_KEYS, draft)
    known = handler.kind in ROOT_FILESYSTEMS
    size = config.size(main.option("size"))
    label = _label(handler, handler.kind, draft)
    if not known or label:
        draft.add(
            VolumeEntry(id="root", role="root", format=None if known else handler.kind, label=label)
        )
    config.volumes[main.title] = "root"
    filled(config)
    return ImageSpec(
        layout=Layout(table="none", filesystem=handler.kind if known else None, fstab="keep"),
        size=Size(disk=size_text(size) if size else None),
    )
