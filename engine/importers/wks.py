"""An OpenEmbedded kickstart file (.wks): partitions as wic makes them, a line each.

Source: Yocto Project Reference Manual, chapter OpenEmbedded Kickstart; the defaults are wic's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.disk.gpt import FIRST_USABLE
from engine.disk.roles import ROLES
from engine.importers import room
from engine.importers.draft import Draft, Place, mounts, size_text
from engine.importers.kickstart import COMMANDS, FLAGS, Command, commands, lines, number_of, size_of
from engine.importers.model import Candidate, Imported
from engine.importers.parttypes import by_code
from engine.importers.variables import unknown
from engine.importers.wks_sources import add_files, loader_of, raw_source, root_of
from engine.spec.identity import is_uuid
from engine.spec.model import Boot, Identity, ImageSpec, Layout, VolumeEntry
from engine.units import KIB, MIB, ceil_to

_EXTRA = 10 * MIB
"""What wic adds to what the files of a partition need."""

_NOT = {
    "extra-filesystem-space": "free says how much room there is",
    "extra-partition-space": "a file system is as large as its partition",
    "fsoptions": "fstab has the options of the format",
    "fspassno": "fstab has what goes with the mount point",
    "mkfs-extraopts": "file systems are made with options of Diskwright's own",
    "overhead-factor": "sizes are computed; free and min add to them",
    "hidden": "a spec has no such attribute",
    "mbr": "a disk has one table",
    "type": "from the fifth on, partitions of an MBR are logical ones",
    "no-fstab-update": "layout.fstab decides for the whole disk",
    "timeout": "a loader's menu waits as long as its own default",
    "grow": "the disk is as large as its volumes need; size.disk and the key grow give it the rest",
    "asprimary": "the first partitions of an MBR are primary ones",
    "recommended": "how large swap is goes by no machine",
    "configfile": "a loader's menu is made from the kernels of the contents",
}
_FORMATS = {"msdos": "vfat", "efi": "vfat"}
_BY_MOUNT = {
    role.mount: role.key for role in ROLES.values() if role.mount and role.key != "xbootldr"
}
_MICROSOFT_DATA = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
_MBR_FAT = "0x0c"
_MEMBER = re.compile(r"(pv|raid|btrfs)\.\S*")
"""What kickstart files of installers call a member of LVM, of a RAID or of a Btrfs."""


def recognise(candidate: Candidate) -> bool:
    """Whether its first command is one of wic's, and one makes a partition."""
    words = [line.split(maxsplit=1)[0] for _, line in lines(candidate.text or "")]
    return bool(words) and words[0] in COMMANDS and any(word in COMMANDS[:2] for word in words)


@dataclass(slots=True)
class _Disk:
    """What wic has put on the disk so far.

    Attributes:
        at: The byte behind the last partition, or None where a size is not known beforehand.
    """

    gpt: bool
    at: int | None
    partitions: int = 0


def read(candidate: Candidate, environment: Mapping[str, str]) -> Imported:
    """Makes a spec of a kickstart file and those that it includes.

    Raises:
        Refused: One cannot be read.
    """
    draft = Draft()
    found = list(commands(candidate, environment, draft, 0))
    for command in found:
        for key in (key for key in command.options if key in _NOT):
            shown = f"--{key}" if key in FLAGS else f"--{key}={command.get(key)}"
            draft.note(command.where, shown, _NOT[key])
    loader = next((one for one in found if one.name == "bootloader"), None)
    options = loader or Command("bootloader", Place(candidate.path.name, 1))
    gpt = options.get("ptable").startswith("gpt")
    disk = _Disk(gpt, (FIRST_USABLE[512] if gpt else 1) * 512)
    root = root_of(candidate, environment)
    started = ""
    for command in found:
        if command.name in COMMANDS[:2]:
            started = _partition(command, disk, root, candidate.path, draft) or started
    boot, identity = _bootloader(options, started, draft)
    _usual_sizes(found, draft)
    _fstab(draft)
    spec = ImageSpec(
        name=re.sub(r"[^A-Za-z0-9._-]", "", candidate.path.name.partition(".")[0]) or None,
        layout=Layout(table="gpt" if gpt else "mbr"),
        boot=boot,
        volume=draft.mounted(),
        contents=tuple(draft.contents),
        identity=identity,
    )
    return Imported(spec, draft.told(candidate.path.name))


def _partition(command: Command, disk: _Disk, root: str, file: Path, draft: Draft) -> str:
    """Adds a partition as a volume; returns the loader that wic would put on it, or ""."""
    source = command.get("source")
    params = dict(
        part.partition("=")[::2] for part in command.get("sourceparams").split(",") if part
    )
    raw = raw_source(command, params, file, draft) if source == "rawcopy" else None
    if command.get("no-table"):
        _outside(command, disk, raw, draft)
        return ""
    mount = command.words[0] if command.words else ""
    if _MEMBER.fullmatch(mount):
        draft.note(command.where, f"part {mount}", "Diskwright makes neither LVM nor RAID",
                   "a [[volume]] with the mount point takes the place of that")  # fmt: skip
        return ""
    disk.partitions += 1
    role, type_ = _role(command, disk, mount, draft)
    format_ = "none" if source == "rawcopy" else _format(command, role, mount, draft)
    if format_ == "vfat" and role not in {"esp", "xbootldr"} and type_ is None:
        type_ = _MICROSOFT_DATA if disk.gpt else _MBR_FAT
    size, free, least = _sizes(command, source, draft)
    start = _alignment(command, draft, first=disk.partitions == 1)
    mounted = _mount(command, mount, format_, draft)
    entry = draft.add(
        VolumeEntry(
            id=draft.id_for(_wanted_id(command, role, mount)),
            role=role,
            format=format_,
            mount=mounted if mounted or ROLES[role].mount else None,
            size=size,
            free=free,
            min=least,
            label=draft.label(command.where, command.get("label"), format_),
            uuid=_fsuuid(command, format_, draft),
            guid=_guid(command, disk, draft),
            name=command.get("part-name") or None,
            type=type_,
            flags=("legacy-boot",) if command.get("active") else (),
            compression=_compression(command, format_, draft),
            source=raw,
        )
    )
    if start and not room.keep("gpt" if disk.gpt else "mbr", start, draft):
        draft.note(command.where, f"the place at byte {start}", "what is before it does not fit")
    disk.at = None
    add_files(command, source, entry.id, root, file, draft)
    return loader_of(command, source, params, draft)


def _mount(command: Command, mount: str, format_: str, draft: Draft) -> str:
    """Returns where a partition is mounted: the first of those with this mount point."""
    if not mount.startswith("/") or mount in mounts(draft.volumes):
        return ""
    if format_ == "none":
        draft.note(command.where, f"the mount point {mount}", "the volume has raw bytes")
        return ""
    return mount


def _outside(command: Command, disk: _Disk, source: str | None, draft: Draft) -> None:
    """Adds bytes outside of the table at the place where wic would put them."""
    if source is None:
        if command.get("source") != "rawcopy":
            draft.note(command.where, "a partition with --no-table",
                       "outside of all partitions there can only be a file's bytes")  # fmt: skip
        return
    align = (number_of(command, "align", draft) or 0) * KIB
    at = size_of(command, "offset", draft, KIB)
    if at is None:
        at = ceil_to(disk.at, align or 512) if disk.at is not None else align
        if disk.at is None:
            draft.say(command.where, f"is put at byte {at}, its --align: how large the one before "
                      "it becomes is not known", "offset says where it is")  # fmt: skip
    if disk.partitions:
        draft.say(command.where, "is behind a partition; it is put outside of all of them")
    draft.add(
        VolumeEntry(
            id=draft.id_for(command.words[0] if command.words else Path(source).stem),
            role="raw",
            source=source,
            offset=size_text(at),
        )
    )
    length = size_of(command, "fixed-size", draft, MIB) or _length(source)
    disk.at = None if length is None else at + length


def _length(path: str) -> int | None:
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError):
        return None


def _role(command: Command, disk: _Disk, mount: str, draft: Draft) -> tuple[str, str | None]:
    """Returns what a partition is for, and its type where that is not the role's own."""
    system, code = command.get("system-id"), command.get("part-type")
    source, fstype = command.get("source"), command.get("fstype")
    found = by_code(code) if code and disk.gpt else None
    if found is not None:
        guid, role = found
        if role == "data":
            role = _BY_MOUNT.get(mount, "data")
        return role, None if guid == ROLES[role].type("gpt", "x86_64") else guid
    if code:
        draft.note(command.where, f"--part-type={code}", "it is not the type of a GPT partition"
                   if disk.gpt else "the type in an MBR is --system-id")  # fmt: skip
    if source in {"bootimg-efi", "bootimg_efi", "bootimg-biosplusefi"} or fstype == "efi":
        role = "esp"
    elif mount == "swap" or fstype == "swap":
        role = "swap"
    else:
        role = _BY_MOUNT.get(mount, "data")
    if not disk.gpt and re.fullmatch(r"(0[xX])?[0-9a-fA-F]{1,2}", system):
        return role, f"0x{int(system, 16):02x}"
    return role, None


def _wanted_id(command: Command, role: str, mount: str) -> str:
    if role in {"esp", "root", "swap"}:
        return role
    return mount.strip("/").rpartition("/")[2] or command.get("label") or role


def _format(command: Command, role: str, mount: str, draft: Draft) -> str:
    given = command.get("fstype")
    plain = given.partition("-")[0]
    if command.get("source") == "empty":  # that plugin of wic makes no file system
        return "none"
    if not given:
        default = {"swap": "swap", "none": "none"}.get(ROLES[role].format, "vfat")
        return "swap" if mount == "swap" else default
    found = _FORMATS.get(plain, plain)
    if found in {"ext2", "ext3", "ext4", "vfat", "swap", "squashfs", "erofs", "btrfs", "none"}:
        return found
    draft.note(command.where, f"--fstype={given}",
               f"Diskwright does not know it; {ROLES[role].format} is taken")  # fmt: skip
    return ROLES[role].format


def _compression(command: Command, format_: str, draft: Draft) -> str | None:
    method = command.get("fstype").partition("-")[2]
    what = f"the compression {method}"
    return draft.compression(command.where, what, {"zst": "zstd"}.get(method, method), format_)


def _sizes(
    command: Command, source: str, draft: Draft
) -> tuple[int | str | None, int | str | None, int | str | None]:
    """Returns a fixed size, or free space and a least size."""
    fixed, size = (size_of(command, key, draft, MIB) for key in ("fixed-size", "size"))
    if fixed:
        return size_text(fixed), None, None
    least = size_text(size) if size else None
    if source in {"", "empty"}:
        if not size:
            draft.say(command.where, "has neither files nor a size; it becomes 1 MiB at least")
        return least, None, None
    if source == "rawcopy":
        return None, None, least
    extra = size_of(command, "extra-space", draft, MIB)
    return None, size_text(_EXTRA if extra is None else extra), least


def _fstab(draft: Draft) -> None:
    if any(volume.mount for volume in draft.volumes):
        draft.say(
            None, "wic adds the mount points to the /etc/fstab that the files bring; here that one "
            "stays as it is", 'layout.fstab = "write" makes one',
        )  # fmt: skip


def _usual_sizes(commands: list[Command], draft: Draft) -> None:
    filled = [one for one in commands if one.get("source") not in {"", "empty", "rawcopy"}]
    if any(not one.get("fixed-size") for one in filled):
        draft.say(
            None, "wic makes a file system 1.3 times as large as its files and adds 10 MiB; here "
            "it is as large as they need, and free more",
        )  # fmt: skip


def _alignment(command: Command, draft: Draft, *, first: bool) -> int:
    """Returns the byte where the first partition begins, or 0; notes what other ones ask for."""
    align = number_of(command, "align", draft)
    at = size_of(command, "offset", draft, KIB) or (align or 0) * KIB
    if first and at > MIB and at % MIB == 0:
        return at
    if align and 1024 % align:
        draft.note(command.where, f"--align {align}", "partitions begin at whole MiB")
    if command.get("offset") and (not first or at != MIB):
        draft.note(command.where, f"--offset {command.get('offset')}",
                   "partitions follow each other at whole MiB")  # fmt: skip
    return 0


def _fsuuid(command: Command, format_: str, draft: Draft) -> str | None:
    text = command.get("fsuuid")
    if not text:
        return None
    digits = re.sub(r"^0[xX]|-", "", text)
    if format_ == "vfat" and re.fullmatch(r"[0-9A-Fa-f]{8}", digits):
        return f"{digits[:4]}-{digits[4:]}".upper()
    if format_ != "vfat" and is_uuid(text):
        return text.lower()
    draft.note(command.where, f"--fsuuid={text}", f"it does not identify a {format_}")
    return None


def _guid(command: Command, disk: _Disk, draft: Draft) -> str | None:
    text = command.get("uuid")
    if not text:
        return None
    if disk.gpt and is_uuid(text):
        return text.lower()
    draft.note(command.where, f"--uuid={text}",
               "it is not a UUID" if disk.gpt else "partitions of an MBR have none")  # fmt: skip
    return None


def _bootloader(command: Command, loader: str, draft: Draft) -> tuple[Boot, Identity]:
    if command.get("ptable") == "gpt-hybrid":
        draft.note(command.where, "the MBR beside the GPT", "a disk has one table")
    if loader and not draft.contents:
        draft.note(command.where, f"the loader {loader}", "no contents bring a kernel yet",
                   f'boot.loader = "{loader}" once they do')  # fmt: skip
        loader = ""
    left = unknown(command.get("append"))
    if left:
        draft.say(
            command.where, f"--append has {left}, which nothing here knows; it is kept as text",
            "set the variable in the environment, or write the value",
        )  # fmt: skip
    return (
        Boot(loader=loader or None, cmdline=command.get("append") or None),
        _identity(command, draft),
    )


def _identity(command: Command, draft: Draft) -> Identity:
    text = command.get("diskid")
    if not text:
        return Identity()
    if is_uuid(text):
        return Identity(disk_guid=text.lower())
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,9}", text):
        return Identity(disk_signature=f"0x{int(text, 0):08x}")
    draft.note(command.where, f"--diskid={text}", "it is neither a GUID nor a signature")
    return Identity()
