"""/etc/fstab: written for the volumes of the image, or read to find what the image does not have.

Source: fstab(5), systemd.mount(5).
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.boot import fstab_lines
from engine.boot.devices import Devices, device, is_numbered, mounts_as
from engine.boot.fstab_lines import Line, unescaped
from engine.boot.tree import read_text
from engine.disk import verity
from engine.disk.subvolumes import Subvolume, subvolume_in
from engine.disk.volume import Volume
from engine.manifest.entry import Entry, SourceChanged
from engine.manifest.lookup import LeadsNowhere, resolve
from engine.manifest.memory import file_of
from engine.manifest.mounted import Mounted
from engine.problem import Fix, Problem
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.settings import Settings

PATH = b"etc/fstab"
_SECOND_NS = 1_000_000_000
_HEAD = "# Written by Diskwright for the volumes of this image.\n"
_NAMED = 5


def text(
    settings: Settings, tree: Mounted, devices: Devices
) -> tuple[str | None, tuple[Problem, ...]]:
    """Returns the fstab to write, if any, and what is wrong with the contents' own.

    Args:
        settings: The spec, resolved.
        tree: The contents, as mounted.
        devices: What the image has.
    """
    if settings.layout.fstab == "keep" or tree.get(b"") is None:
        return None, ()
    try:
        brought = read_text(tree, PATH) or ""
        resolve(tree.get, PATH, may_miss=True)
    except (LeadsNowhere, OSError, SourceChanged) as error:
        message = f"/etc/fstab of the contents cannot be read: {error}"
        return None, (Problem("fstab-unreadable", "warning", "layout.fstab", message),)
    own = possible(settings)
    if settings.layout.fstab == "write" or (own and not any(fstab_lines.parsed(brought))):
        return _HEAD + "".join(f"{line}\n" for line in own), ()
    return None, tuple(_wrong(brought, settings, tree, devices))


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


def _wrong(text: str, settings: Settings, tree: Mounted, devices: Devices) -> Iterator[Problem]:
    """Yields what an fstab names and the image does not have, and what no system understands."""
    bad, missing, swap = [], [], []
    for line in fstab_lines.parsed(text):
        if line.optional:
            continue
        nonsense = fstab_lines.nonsense(line)
        absent = "" if nonsense else fstab_lines.absent(line, tree)
        if nonsense:
            bad.append(f"line {line.number}: {nonsense}")
        elif absent and line.type == "swap":
            swap.append(f"line {line.number}: {absent}")
        elif absent:
            missing.append(f"line {line.number}: {absent}, for {line.place}")
        elif why := _lacking(line, settings, devices):
            missing.append(f"line {line.number}: {why}")
    fix = Fix("Write /etc/fstab anew", (("layout.fstab", "write"),))
    hint = 'layout.fstab = "write" writes one for the volumes of the image'
    if missing:
        yield Problem(
            "fstab-unknown-device", "warning", "layout.fstab",
            f"/etc/fstab of the contents names what this image does not have: "
            f"{_listed(missing)}; a system that waits for it does not boot", hint, fix,
        )  # fmt: skip
    if bad:
        yield Problem(
            "fstab-bad-line", "warning", "layout.fstab",
            f"/etc/fstab of the contents has lines that no system can follow: {_listed(bad)}",
            f"correct them, or {hint}", fix,
        )  # fmt: skip
    if swap:
        yield Problem(
            "fstab-swap-file", "warning", "layout.fstab",
            f"/etc/fstab of the contents names a swap file: {_listed(swap)}; the system runs "
            "without that swap",
            'add a volume with role = "swap" in its place, or have the system make the file when '
            "it first boots",
        )  # fmt: skip


def _listed(texts: list[str]) -> str:
    more = f", and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return "; ".join(texts[:_NAMED]) + more


def _lacking(line: Line, settings: Settings, devices: Devices) -> str:
    """Returns what a line names and the image does not have, or ""."""
    what, name = f"{line.device} for {line.place}", unescaped(line.device)
    if devices.lacks(name) or is_numbered(name):
        meant = _meant(settings, line.place, line.type)
        return what + (f" (here {devices.name(meant)})" if meant is not None else "")
    volume = devices.named(name)
    if volume is None or volume.format == "none":
        return ""
    if not mounts_as(volume, line.type):
        return f"{what} as {line.type} (here {volume.format})"
    given = subvolume_in(line.options)
    there = [one.name for one in volume.subvolumes]
    if given and given not in there:
        here = f" (here {', '.join(there)})" if there else ""
        return f"the subvolume {given} of {what}{here}"
    return ""


def _meant(settings: Settings, place: str, type_: str) -> Volume | None:
    """Returns the volume that a line should be about, by where it is mounted."""
    if type_ == "swap":
        return next((volume for volume in settings.volumes if volume.format == "swap"), None)
    at = "/" + place.strip("/")
    there = (one for one in settings.volumes if any(each.mount == at for each in one.mounts))
    return next(there, None)
