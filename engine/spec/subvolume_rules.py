"""What can be wrong with the subvolumes of a volume: one by one, and together."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.disk.subvolumes import Subvolume, below, mounted
from engine.disk.volume import Volume
from engine.problem import Fix, Problem
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.model import VolumeEntry
from engine.spec.refusals import edit, error
from engine.spec.settings import Settings
from engine.spec.shape import nearest, show
from engine.units import in_bytes

_NAME = re.compile(r"[^\s:,\\\"']+")
"""What a mount option of fstab(5) and of the kernel's command line can name without escapes."""
_MAX_NAME_BYTES = 255
"""Of each part of the path (BTRFS_NAME_LEN in include/uapi/linux/btrfs_tree.h of Linux)."""
_GRAMMAR = 'write a name and, behind a colon, where it is mounted, as in "@home:/home"'


def check_values(path: str, entry: VolumeEntry) -> Iterator[Problem]:
    """Yields what is wrong with the subvolumes of an entry whatever the others say.

    Args:
        path: Key path of the entry.
        entry: It.
    """
    names: set[str] = set()
    mounts: dict[str, str] = {}
    for index, text in enumerate(entry.subvolumes):
        where = f"{path}.subvolumes[{index}]"
        why = _malformed(text)
        if why:
            yield error("bad-subvolume", where, f"is {show(text)}, {why}", _GRAMMAR)
            continue
        one = Subvolume.parsed(text)
        if one.name in names:
            yield error(
                "subvolume-taken", where, f"is {show(text)}, and an earlier one has that name",
                "give each subvolume a name of its own", edit("Remove it", (where, None)),
            )  # fmt: skip
        elif one.mount and one.mount in mounts:
            yield error(
                "subvolume-taken", where,
                f"is {show(text)}, and {mounts[one.mount]} is mounted at {one.mount}",
                "mount one of them elsewhere", edit("Mount it nowhere", (where, one.name)),
            )  # fmt: skip
        names.add(one.name)
        mounts.setdefault(one.mount, one.name)


def _malformed(text: str) -> str:
    """Returns why a text does not say what a subvolume is, or ""."""
    name, colon, mount = text.partition(":")
    parts = [part for part in name.split("/") if part]
    if not parts:
        return "which has no name"
    if any(part in {".", ".."} for part in parts):
        return 'whose name has a part "." or ".."'
    if not all(_NAME.fullmatch(part) for part in parts):
        return "and a name has no blanks, commas, colons, quotes or backslashes"
    if any(len(part.encode(errors="replace")) > _MAX_NAME_BYTES for part in parts):
        return f"and a name has {in_bytes(_MAX_NAME_BYTES)} at most"
    if colon and (not mount.startswith("/") or ".." in mount.split("/")):
        return f"and {show(mount)} is not an absolute path"
    return ""


def check_together(settings: Settings) -> Iterator[Problem]:
    """Yields what is wrong with subvolumes and the volumes that they are of."""
    for volume in settings.volumes:
        if not volume.path or not (volume.subvolumes or volume.default_subvolume):
            continue
        row = FILESYSTEMS.get(volume.format)
        if row is None or not row.subvolumes:
            yield from _unfit(volume)
            continue
        yield from _default(volume)
        yield from _places(volume, settings)
    yield from _root_flags(settings)


def _root_flags(settings: Settings) -> Iterator[Problem]:
    """A command line whose rootflags= name no subvolume, where the root is in one."""
    root = settings.root
    option = "" if root is None else next(
        (root.option(one) for one in root.mounts if one.mount == root.top), ""
    )  # fmt: skip
    words = settings.boot.cmdline.split()
    flags = next((word for word in words if word.startswith("rootflags=")), "")
    if not option or not flags or "subvol" in flags:
        return
    mended = " ".join(f"{word},{option}" if word == flags else word for word in words)
    yield Problem(
        "rootflags-without-subvolume", "warning", "boot.cmdline",
        f"has {flags}, and the root is in a subvolume, which nothing names then; the system does "
        "not find its root",
        f"add {option} to it", Fix("Add the subvolume", (("boot.cmdline", mended),)),
    )  # fmt: skip


def _unfit(volume: Volume) -> Iterator[Problem]:
    key = "subvolumes" if volume.subvolumes else "default_subvolume"
    btrfs = edit("Take Btrfs", (f"{volume.path}.format", "btrfs"))
    known = FILESYSTEMS.get(volume.format)
    title = known.title if known is not None else volume.format
    yield error(
        "subvolumes-unknown", f"{volume.path}.{key}",
        f"is for a Btrfs, and {title} has no subvolumes",
        'take format = "btrfs", or volumes of their own',
        btrfs if volume.subvolumes else edit("Remove the key", (f"{volume.path}.{key}", None)),
    )  # fmt: skip


def _default(volume: Volume) -> Iterator[Problem]:
    name, path = volume.default_subvolume, f"{volume.path}.default_subvolume"
    there = {one.name: one for one in volume.subvolumes}
    if not name:
        return
    if name not in there:
        near = nearest(name, there)
        yield error(
            "no-such-subvolume", path,
            f"is {show(name)}, and the subvolumes are {', '.join(there) or 'none'}",
            f"did you mean {show(near)}?" if near else "add it to subvolumes",
            edit(f"Take {near}", (path, near)) if near else Fix("Remove the key", ((path, None),)),
        )  # fmt: skip
    elif volume.top and there[name].mount != volume.top:
        yield error(
            "default-subvolume-elsewhere", path,
            f"is {show(name)}, and what is mounted at {volume.top} is not it",
            "a mount that names no subvolume gets the default one: take the one mounted at "
            f"{volume.top}, or leave the key out",
            Fix("Remove the key", ((path, None),)),
        )  # fmt: skip


def _places(volume: Volume, settings: Settings) -> Iterator[Problem]:
    """Mount points that are not on the volume, or that show a subvolume twice."""
    others = {
        one.top: one.id
        for one in settings.volumes if one.id != volume.id and one.mount and one.takes_below
    }  # fmt: skip
    for index, one in enumerate(volume.subvolumes):
        if not one.mount:
            continue
        where = f"{volume.path}.subvolumes[{index}]"
        nowhere = edit("Mount it nowhere", (where, one.name))
        if not volume.top or below(one.mount, volume.top) is None:
            at = f"at {volume.top}" if volume.top else "nowhere"
            yield error(
                "subvolume-outside", where,
                f"is mounted at {one.mount}, and the volume is mounted {at}",
                "a subvolume is mounted at its volume's place or below it", nowhere,
            )  # fmt: skip
            continue
        between = [
            place for place in others
            if len(place) > len(volume.top) and below(one.mount, place) is not None
        ]  # fmt: skip
        if between:
            place = max(between, key=len)
            yield error(
                "subvolume-outside", where,
                f"is mounted at {one.mount}, where contents go to the volume {others[place]} "
                f"(mounted at {place})",
                "leave one of the two out", nowhere,
            )  # fmt: skip
            continue
        seen = _natural(one, volume)
        if seen and seen != one.mount:
            name = (below(one.mount, volume.top) or "").strip("/")
            yield error(
                "subvolume-twice", where,
                f"is mounted at {one.mount}, and shows at {seen} as well, since what it lies in is "
                "mounted there",
                f"name it by its place, or mount a subvolume at {volume.top} that it does not lie "
                "in", edit(f"Call it {name}", (where, f"{name}:{one.mount}"))
                if _is_top(volume) and _NAME.fullmatch(name) else nowhere,
            )  # fmt: skip


def _is_top(volume: Volume) -> bool:
    """Whether the top of the file system itself is mounted."""
    return all(one.mount != volume.top for one in volume.subvolumes)


def _natural(one: Subvolume, volume: Volume) -> str:
    """Returns where a subvolume shows without a mount of its own, or "" for nowhere."""
    around = [
        (other, rest)
        for other in mounted(volume.subvolumes, volume.top)
        if other.name != one.name and (rest := below(one.name, other.name))
    ]
    if not around:
        return ""
    inner, rest = max(around, key=lambda pair: len(pair[0].name))
    return f"{inner.mount.rstrip('/')}/{rest}"
