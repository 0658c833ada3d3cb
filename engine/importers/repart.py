"""A repart.d folder: partitions as systemd-repart makes them, one file each.

Source: repart.d(5) of systemd 257, with what older and newer versions have.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import msgspec

from engine.disk.discoverable import named, role_of_type
from engine.disk.roles import ROLES
from engine.disk.subvolumes import Arrangement, Subvolume, with_default
from engine.importers.draft import Draft, mount_of, size_text
from engine.importers.model import Candidate, Imported
from engine.importers.repart_files import Definition, Option, definition, files
from engine.spec.choices import VOLUME_FORMATS
from engine.spec.identity import is_uuid
from engine.spec.model import Content, ImageSpec, Layout, VolumeEntry
from engine.units import KIB, MIB, ceil_to

_SECTION = re.compile(r"^\s*\[Partition\]\s*$", re.MULTILINE)
_SIZE = re.compile(r"([0-9]+)(?:\.([0-9]+))?\s*([BKMGTPE]?)\s*")
_UNITS = {"": 0, "B": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_LEAST = 10 * MIB
"""What a partition has at least where nothing else is said."""
_ALIGNED = 4 * KIB

_GROWS = {"root", "usr", "home", "srv", "var", "tmp", "xbootldr"}
"""Roles whose file systems grow unless GrowFileSystem= says otherwise."""
_FORMATTED = {"root", "usr", "home", "srv", "var", "tmp", "esp", "xbootldr", "swap"}
"""Roles that are of no use without their format."""
_FLAGS = {2: "legacy-boot", 59: "grow-file-system", 60: "read-only", 63: "no-auto"}
_SWITCHES = {"ReadOnly": 60, "NoAuto": 63, "GrowFileSystem": 59}

_READ = {
    "Type", "Label", "UUID", "SizeMinBytes", "SizeMaxBytes", "Minimize", "Format", "CopyFiles",
    "CopyBlocks", "ExcludeFiles", "Flags", "ReadOnly", "NoAuto", "GrowFileSystem", "Verity",
    "VerityMatchKey", "Compression", "Subvolumes", "DefaultSubvolume", "MountPoint", "Weight",
}  # fmt: skip
_NOT = {
    "Priority": "all partitions are made, or the build is refused",
    "FactoryReset": "it is for a running system",
    "SplitName": "there is one output, the whole disk",
    "Encrypt": "Diskwright does not encrypt",
    "EncryptedVolume": "Diskwright does not encrypt",
    "TPM2PCRs": "Diskwright does not encrypt",
    "Integrity": "Diskwright does not make dm-integrity",
    "IntegrityAlgorithm": "Diskwright does not make dm-integrity",
    **dict.fromkeys(
        ("PaddingWeight", "PaddingMinBytes", "PaddingMaxBytes"),
        "partitions follow each other without room between them; an empty volume with "
        'format = "none" keeps room, as a partition of its own',
    ),
    "MakeDirectories": "a spec has no directories without a source",
    "MakeSymlinks": "a spec has no links without a source",
    "ExcludeFilesTarget": "a spec leaves out what is in a source, not what is in the target",
    "CompressionLevel": "a spec has the method of compression only",
    "VerityDataBlockSizeBytes": "hash trees are made for blocks of 4096 bytes",
    "VerityHashBlockSizeBytes": "hash trees are made for blocks of 4096 bytes",
    "AddValidateFS": "no such attribute is written",
    "FileSystemSectorSize": "the disk has one sector size (layout.sector_size)",
    "SupplementFor": "a disk that is made anew has nothing to reuse",
    "Discard": "it is for devices",
    "CopyFrom": "partitions come from sources, not from another image",
}


def recognise(candidate: Candidate) -> bool:
    """Whether it is a folder of definitions, or one definition."""
    if candidate.is_folder:
        return any(_defines(path) for path in files(candidate.path))
    return candidate.text is not None and _SECTION.search(candidate.text) is not None


def _defines(path: Path) -> bool:
    text = Candidate(path).text
    return text is not None and _SECTION.search(text) is not None


def read(candidate: Candidate, environment: Mapping[str, str]) -> Imported:
    """Makes a spec of a folder of definitions, or of one.

    Raises:
        Refused: A file cannot be read.
    """
    draft = Draft()
    paths = files(candidate.path) if candidate.is_folder else [candidate.path]
    definitions = [definition(path, _READ, _NOT, draft) for path in paths]
    keys = {}
    for one in definitions:
        entry = _volume(one, candidate.root, draft)
        match, kind = one.last("VerityMatchKey"), one.last("Verity")
        if match is not None and kind is not None and kind.value == "data":
            keys[match.value] = entry.id
        _contents(one, entry, candidate.root, draft)
    for index, one in enumerate(definitions):
        _verity(index, one, keys, draft)
    _said_once(draft, candidate)
    mounted = any(one.last("MountPoint") for one in definitions)
    spec = ImageSpec(
        name=re.sub(r"[^A-Za-z0-9._-]", "", candidate.path.name.partition(".")[0]) or None,
        layout=Layout(table="gpt", fstab=None if mounted else "keep"),
        volume=draft.mounted(),
        contents=tuple(draft.contents),
    )
    return Imported(spec, draft.told(*(path.name for path in paths)))


def _said_once(draft: Draft, candidate: Candidate) -> None:
    if candidate.root is None and (draft.contents or any(one.source for one in draft.volumes)):
        draft.say(
            None, "CopyFiles= and CopyBlocks= are taken as paths of this machine",
            "--root DIR names the tree that systemd-repart --root= would be given",
        )  # fmt: skip


def _volume(one: Definition, root: Path | None, draft: Draft) -> VolumeEntry:
    role, type_ = _type(one, draft)
    size, least = _sizes(one, draft)
    source = _blocks(one, root, draft)
    format_ = _format(one, role, source, draft)
    name = _name(one, draft)
    mount, places = _mounts(one, draft)
    label = one.last("Label")
    fixed = role in {"esp", "bios-boot"} and size is None
    return draft.add(
        VolumeEntry(
            id=draft.id_for(one.name),
            role=role,
            format=format_,
            mount=mount,
            size=size,
            free=0 if fixed else None,
            min=least if size is None else None,
            label=draft.label(label.where, name, format_) if name and label else None,
            guid=_guid(one, draft),
            name=name,
            type=type_,
            flags=_flags(one, role, draft),
            compression=_compression(one, format_, draft),
            subvolumes=_subvolumes(one, places, draft),
            default_subvolume=_default_subvolume(one, draft),
            source=source,
        )
    )


def _type(one: Definition, draft: Draft) -> tuple[str, str | None]:
    """Returns role and, where the role does not imply it, the type."""
    option = one.last("Type")
    text = "linux-generic" if option is None else option.value
    found = named(text)
    if found is not None:
        guid, role = found
    elif is_uuid(text):
        guid, role = text.upper(), role_of_type(text)
    else:
        draft.note(one.where if option is None else option.where, f"Type={text}",
                   "it is neither a name of repart.d(5) nor a GUID")  # fmt: skip
        return "data", None
    implied = ROLES[role].type("gpt", "x86_64")
    # A name without an architecture follows the contents' kernel, as a role does.
    follows = text in ROLES or not ROLES[role].gpt_by_architecture
    return role, None if guid == implied and follows else guid


def _sizes(one: Definition, draft: Draft) -> tuple[int | str | None, int | str | None]:
    """Returns a fixed size or a least one."""
    least, most = (_bytes(one.last(f"Size{each}Bytes"), draft) for each in ("Min", "Max"))
    weight, minimize = one.last("Weight"), one.last("Minimize")
    if least is not None and most is not None and ceil_to(least, _ALIGNED) >= most:
        return size_text(ceil_to(least, _ALIGNED)), None
    maximum = one.last("SizeMaxBytes")
    if most is not None and maximum is not None:
        draft.note(maximum.where, f"SizeMaxBytes={maximum.value}",
                   "a volume has a least size but not a largest one")  # fmt: skip
    if weight is not None and weight.value != "0":
        share = f"grow = {weight.value}"
        draft.note(weight.where, f"Weight={weight.value}",
                   "the disk is as large as its volumes need",
                   f"give size.disk, and the volume {share}")  # fmt: skip
    minimized = minimize is not None and minimize.value not in {"off", "no", "false", "0"}
    if least is None:
        return None, None if minimized else size_text(_LEAST)
    return None, size_text(ceil_to(least, _ALIGNED))


def _bytes(option: Option | None, draft: Draft) -> int | None:
    """Returns a size in bytes: numbers with units to the base of 1024, added up."""
    if option is None:
        return None
    at = total = 0
    while match := _SIZE.match(option.value, at):
        whole, fraction, unit = match.groups()
        factor = 1024 ** _UNITS[unit]
        digits = (fraction or "")[:30]
        total += int(whole[:30]) * factor + int(digits or "0") * factor // 10 ** len(digits)
        at = match.end()
    if at < len(option.value) or not option.value or total >= 1 << 63:
        draft.note(option.where, f"{option.key}={option.value}", "it is not a size")
        return None
    return total


def _blocks(one: Definition, root: Path | None, draft: Draft) -> str | None:
    option = one.last("CopyBlocks")
    if option is None:
        return None
    path = _path(option, option.value, draft)
    if option.value == "auto":
        draft.note(option.where, "CopyBlocks=auto", "it is for the system that runs",
                   "name an image of the file system as source")  # fmt: skip
        return None
    return None if path is None else _on(root, path)


def _on(root: Path | None, path: str) -> str:
    """Returns a path as systemd-repart reads it: below the tree that it is run on."""
    return path if root is None else f"{root.absolute()}/{path.lstrip('/')}"


def _path(option: Option, text: str, draft: Draft) -> str | None:
    """Returns a path without specifiers; notes what has one."""
    if "%" in text.replace("%%", ""):
        draft.note(option.where, f"{option.key}={option.value}",
                   "only a running system knows what its % stands for")  # fmt: skip
        return None
    return text.replace("%%", "%")


def _format(one: Definition, role: str, source: str | None, draft: Draft) -> str:
    option = one.last("Format")
    default = ROLES[role].format
    if source is not None:
        return "none"
    if option is None:
        if one.all("CopyFiles"):
            return "vfat" if role in {"esp", "xbootldr"} else "ext4"
        if role not in _FORMATTED:
            return "none"
        draft.say(one.where, f"has no Format=, so that systemd-repart makes no file system; "
                  f"here it is {default}", 'format = "none" leaves it empty')  # fmt: skip
        return default
    if option.value == "empty":
        return "none"
    if option.value not in VOLUME_FORMATS:
        draft.note(option.where, f"Format={option.value}",
                   f"Diskwright does not know it; {default} is taken")  # fmt: skip
        return default
    return option.value


def _name(one: Definition, draft: Draft) -> str | None:
    option = one.last("Label")
    return None if option is None else _path(option, option.value, draft)


def _guid(one: Definition, draft: Draft) -> str | None:
    option = one.last("UUID")
    if option is None:
        return None
    if is_uuid(option.value):
        return option.value.lower()
    draft.note(option.where, f"UUID={option.value}", "a partition has a UUID that is derived")
    return None


def _mounts(one: Definition, draft: Draft) -> tuple[str | None, dict[str, str]]:
    """Returns where a volume is mounted, and where which of its subvolumes are, by name."""
    first: str | None = None
    found: dict[str, str] = {}
    for option in one.all("MountPoint"):
        place, _, options = option.value.partition(":")
        words = options.split(",") if options else []
        names = [word.partition("=")[2].strip("/") for word in words if word.startswith("subvol=")]
        others = [word for word in words if not word.startswith("subvol=")]
        if others:
            draft.note(option.where, f"the mount options {','.join(others)}",
                       "fstab has those of the format")  # fmt: skip
        if names and names[0]:
            found[names[0]] = place
        elif first is not None:
            draft.note(option.where, f"MountPoint={option.value}", "a volume has one mount point")
        if first is None or (names and len(place) < len(first)):
            first = place
    return first, found


def _subvolumes(one: Definition, places: Mapping[str, str], draft: Draft) -> tuple[str, ...]:
    """Returns the subvolumes as a spec has them, with those that only a mount names."""
    names: dict[str, None] = {}
    for option in one.all("Subvolumes"):
        text = _path(option, option.value, draft) or ""
        for word in text.split():
            path, _, flags = word.partition(":")
            if flags:
                draft.note(option.where, f"the flags {flags} of {path}", "it is made writable")
            names[path.strip("/")] = None
    names |= dict.fromkeys(places)
    return tuple(f"{name}:{places[name]}" if name in places else name for name in names if name)


def _default_subvolume(one: Definition, draft: Draft) -> str | None:
    option = one.last("DefaultSubvolume")
    path = None if option is None else _path(option, option.value, draft)
    return (path or "").strip("/") or None


def _flags(one: Definition, role: str, draft: Draft) -> tuple[str, ...]:
    """Returns the attributes of the partition, with the defaults of systemd-repart."""
    bits = 0
    option = one.last("Flags")
    if option is not None:
        try:
            bits = int(option.value, 0)
        except ValueError:
            draft.note(option.where, f"Flags={option.value}", "it is not a number")
    for bit in range(64):
        if bits >> bit & 1 and bit not in _FLAGS:
            draft.note(option.where if option else None, f"bit {bit} of Flags=",
                       "a spec has " + ", ".join(_FLAGS.values()))  # fmt: skip
    switches = {key: _switch(one.last(key), draft) for key in _SWITCHES}
    if switches["ReadOnly"] is None and role.endswith("-verity"):
        switches["ReadOnly"] = True
    if switches["GrowFileSystem"] is None and role in _GROWS:
        switches["GrowFileSystem"] = not switches["ReadOnly"]
    for key, value in switches.items():
        if value is not None:
            bits = bits & ~(1 << _SWITCHES[key]) | value << _SWITCHES[key]
    return tuple(flag for bit, flag in _FLAGS.items() if bits >> bit & 1)


def _switch(option: Option | None, draft: Draft) -> bool | None:
    if option is None:
        return None
    text = option.value.lower()
    if text in {"1", "yes", "y", "true", "t", "on"}:
        return True
    if text not in {"0", "no", "n", "false", "f", "off"}:
        draft.note(option.where, f"{option.key}={option.value}", "it is neither yes nor no")
        return None
    return False


def _compression(one: Definition, format_: str, draft: Draft) -> str | None:
    option = one.last("Compression")
    if option is None:
        return None
    return draft.compression(option.where, f"Compression={option.value}", option.value, format_)


def _verity(index: int, one: Definition, keys: Mapping[str, str], draft: Draft) -> None:
    """Names the volume that a hash tree is of; keeps a place for a signature."""
    kind, match = one.last("Verity"), one.last("VerityMatchKey")
    if kind is None or kind.value == "off":
        return
    entry = draft.volumes[index]
    of = keys.get(match.value) if match is not None else None
    if kind.value == "data":
        # What is hashed does not grow, whatever the type says of it.
        flags = tuple(flag for flag in entry.flags if flag != "grow-file-system")
        draft.volumes[index] = msgspec.structs.replace(entry, flags=flags)
    elif kind.value == "signature":
        draft.note(kind.where, "Verity=signature", "the key that signs is in no definition; give "
                   "the volume verity, key and certificate")  # fmt: skip
        draft.volumes[index] = msgspec.structs.replace(
            entry, size=entry.size or entry.min, min=None if entry.size is None else entry.min
        )
    elif of is None:
        draft.note(kind.where, f"Verity={kind.value}", "no partition has Verity=data and its key")
    elif kind.value == "hash":
        draft.volumes[index] = msgspec.structs.replace(entry, verity=of)


def _contents(one: Definition, entry: VolumeEntry, root: Path | None, draft: Draft) -> None:
    """Adds what CopyFiles= brings, without what ExcludeFiles= names."""
    excluded = [path for option in one.all("ExcludeFiles") for path in _words(option.value)]
    used: set[str] = set()
    for option in one.all("CopyFiles"):
        path = _path(option, option.value, draft)
        if path is None:
            continue
        source, target, options = _parts(path)
        if options:
            draft.note(option.where, f"the options {options} of CopyFiles=",
                       "files are copied as they are")  # fmt: skip
        if source.strip("/") == "" and root is None:
            draft.note(option.where, f"CopyFiles={option.value}",
                       "what is copied is the tree that systemd-repart is run on",
                       "--root DIR names it; or add it to the contents")  # fmt: skip
            continue
        inside = _target(target or source, entry, option, draft)
        if inside is None:
            continue
        below = {each: _below(each, source) for each in excluded}
        used.update(each for each, pattern in below.items() if pattern)
        draft.contents.append(
            Content(
                source=_on(root, source),
                target=inside,
                exclude=tuple(pattern for pattern in below.values() if pattern),
                volume=entry.id,
            )
        )
    for option in one.all("ExcludeFiles"):
        for path in _words(option.value):
            if path not in used:
                draft.note(option.where, f"ExcludeFiles={path}", "it is in no CopyFiles=")


def _words(value: str) -> list[str]:
    """Returns the paths of an option that may have several; quotes hold blanks together."""
    try:
        return shlex.split(value)
    except ValueError:
        return [value]


def _target(path: str, entry: VolumeEntry, option: Option, draft: Draft) -> str | None:
    """Returns where below the volume's mount a path of its file system shows, if it does."""
    if not entry.subvolumes:
        return path
    top = mount_of(entry) or "/"
    given = map(Subvolume.parsed, entry.subvolumes)
    subvolumes = with_default(given, entry.default_subvolume or "", top)
    shown = Arrangement(subvolumes, top).outside(path.strip("/").encode())
    if shown is not None:
        return "/" + shown.decode()
    draft.note(option.where, f"CopyFiles={option.value}",
               f"{path} is in no subvolume that is mounted",
               "give the subvolume a mount point")  # fmt: skip
    return None


def _parts(text: str) -> tuple[str, str, str]:
    """Returns source, target and options of CopyFiles=; a backslash keeps a colon in a path."""
    found = [re.sub(r"\\(.)", r"\1", part) for part in re.findall(r"(?:[^:\\]|\\.)+", text)]
    source, target, options = [*found, "", "", ""][:3]
    return source, target, options


def _below(excluded: str, source: str) -> str:
    """Returns the pattern that leaves out a path below a source, or ""."""
    top = source.rstrip("/")
    if not excluded.startswith(f"{top}/"):
        return ""
    inside = excluded[len(top) :]
    return f"{inside.rstrip('/')}/**" if inside.endswith("/") else inside
