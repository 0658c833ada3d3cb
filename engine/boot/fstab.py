"""/etc/fstab: written for the volumes of the image, or read to find what the image does not have.

Source: fstab(5), systemd.mount(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.boot.devices import Devices, device, is_numbered, mounts_as
from engine.boot.tree import read_text
from engine.disk import verity
from engine.disk.subvolumes import Subvolume, subvolume_in
from engine.disk.volume import Volume
from engine.manifest.entry import Entry, SourceChanged
from engine.manifest.lookup import LeadsNowhere, resolve
from engine.manifest.manifest import Listing
from engine.manifest.memory import file_of
from engine.manifest.mounted import Mounted
from engine.problem import Fix, Problem
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.settings import Settings

PATH = b"etc/fstab"
_SECOND_NS = 1_000_000_000
_HEAD = "# Written by Diskwright for the volumes of this image.\n"
_NAMED = 5
_OPTIONAL = frozenset({"noauto", "nofail"})
"""Options of what a system boots without (systemd.mount(5))."""
_OCTAL = re.compile(r"\\([0-7]{3})")


def text(
    settings: Settings, root: Listing, devices: Devices
) -> tuple[str | None, tuple[Problem, ...]]:
    """Returns the fstab to write, if any, and what is wrong with the contents' own.

    Args:
        settings: The spec, resolved.
        root: Contents of the root file system.
        devices: What the image has.
    """
    if settings.layout.fstab == "keep" or root.get(b"") is None:
        return None, ()
    try:
        brought = read_text(root, PATH) or ""
        resolve(root.get, PATH, may_miss=True)
    except (LeadsNowhere, OSError, SourceChanged) as error:
        message = f"/etc/fstab of the contents cannot be read: {error}"
        return None, (Problem("fstab-unreadable", "warning", "layout.fstab", message),)
    own = possible(settings)
    if settings.layout.fstab == "write" or (own and not any(map(_fields, brought.splitlines()))):
        return _HEAD + "".join(f"{line}\n" for line in own), ()
    return None, tuple(_unknown(brought, settings, devices))


def possible(settings: Settings) -> tuple[str, ...]:
    """Returns the lines that are written where the contents bring none; () if none ever are."""
    # A preset's root alone needs no line, unless it grows.
    has_own_mounts = any(
        one.mount and (one.path or one.grown or (one.takes_below and one.mount != "/"))
        for one in settings.volumes
    )
    if settings.layout.fstab == "keep" or not (has_own_mounts or settings.layout.fstab == "write"):
        return ()
    return tuple(lines(settings))


def entry(settings: Settings, tree: Mounted, text: str) -> tuple[str, Entry]:
    """Returns the file that holds an fstab, where links lead it, and the volume it goes to."""
    where = tree.place(resolve(tree.get, PATH, may_miss=True))
    mtime_ns = settings.identity.source_date_epoch * _SECOND_NS
    return where.volume, file_of(where.path, text.encode(), mtime_ns=mtime_ns)


def lines(settings: Settings) -> Iterator[str]:
    """Yields a line for every volume that is mounted, parents first, and for every swap.

    What is hashed has no line: the initrd mounts it, by the device that verifies it.
    """
    hashed = verity.hashed(settings.volumes)
    there = (one for one in settings.volumes if one.mount and FILESYSTEMS[one.format].files)
    mounted = [one for one in there if one not in hashed]
    places = [(one, volume) for volume in mounted for one in volume.mounts]
    for one, volume in sorted(places, key=lambda place: place[0].mount.rstrip("/")):
        order = 0 if not FILESYSTEMS[volume.format].writable else 1 if one.mount == "/" else 2
        place = one.mount.replace(" ", "\\040")
        options = ",".join(_options(volume, one))
        yield f"{device(settings, volume)} {place} {volume.format} {options} 0 {order}"
    for volume in settings.volumes:
        if volume.format == "swap":
            options = FILESYSTEMS["swap"].options
            yield f"{device(settings, volume)} none swap {options} 0 0"


def _options(volume: Volume, subvolume: Subvolume) -> Iterator[str]:
    row = FILESYSTEMS[volume.format]
    read_only = not row.writable or "read-only" in volume.attributes
    yield "ro" if read_only else row.options
    if row.compressed and volume.compression in row.compressions:
        yield row.compressed.format(volume.compression)
    option = volume.option(subvolume)
    if option:
        yield option
    grows = (volume.grow or volume.grown) and row.grows and not read_only
    if grows and subvolume.mount == volume.top:
        yield "x-systemd.growfs"


def _unknown(text: str, settings: Settings, devices: Devices) -> Iterator[Problem]:
    """Yields what an fstab names and the image does not have."""
    missing = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = _fields(line)
        if len(fields) < 3:
            continue
        options = fields[3].split(",") if len(fields) > 3 else []
        why = "" if _OPTIONAL & set(options) else _lacking(fields, options, settings, devices)
        if why:
            missing.append(f"line {number}: {why}")
    if not missing:
        return
    more = f", and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    yield Problem(
        "fstab-unknown-device", "warning", "layout.fstab",
        f"/etc/fstab of the contents names what this image does not have: "
        f"{'; '.join(missing[:_NAMED])}{more}; a system that waits for it does not boot",
        'layout.fstab = "write" writes one for the volumes of the image',
        Fix("Write /etc/fstab anew", (("layout.fstab", "write"),)),
    )  # fmt: skip


def _lacking(fields: list[str], options: list[str], settings: Settings, devices: Devices) -> str:
    """Returns what a line names and the image does not have, or ""."""
    what, name = f"{fields[0]} for {fields[1]}", unescaped(fields[0])
    if devices.lacks(name) or is_numbered(name):
        meant = _meant(settings, fields[1], fields[2])
        return what + (f" (here {devices.name(meant)})" if meant is not None else "")
    volume = devices.named(name)
    if volume is None or volume.format == "none":
        return ""
    if not mounts_as(volume, fields[2]):
        return f"{what} as {fields[2]} (here {volume.format})"
    given = subvolume_in(options)
    there = [one.name for one in volume.subvolumes]
    if given and given not in there:
        here = f" (here {', '.join(there)})" if there else ""
        return f"the subvolume {given} of {what}{here}"
    return ""


def unescaped(field: str) -> str:
    """Returns a field as it is meant: blanks are octal numbers in it (fstab(5))."""
    return _OCTAL.sub(lambda code: chr(int(code[1], 8)), field)


def _fields(line: str) -> list[str]:
    """Returns the fields of a line; none where it only has a comment."""
    return [] if line.lstrip().startswith("#") else line.split()


def _meant(settings: Settings, place: str, type_: str) -> Volume | None:
    """Returns the volume that a line should be about, by where it is mounted."""
    if type_ == "swap":
        return next((volume for volume in settings.volumes if volume.format == "swap"), None)
    at = "/" + place.strip("/")
    there = (one for one in settings.volumes if any(each.mount == at for each in one.mounts))
    return next(there, None)
