"""What a kernel's command line says of the image's volumes, and what it should not say.

Sources: the kernel's Documentation/admin-guide/kernel-parameters.txt (root=, ro, rw, rootwait);
systemd-fstab-generator(8) (mount.usr=); dracut.cmdline(7) (rd.*); systemd-cryptsetup-generator(8),
systemd-veritysetup-generator(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from engine.boot import roothash
from engine.boot.devices import Devices, device, mounts_as
from engine.disk import verity
from engine.disk.subvolumes import subvolume_in
from engine.disk.volume import Volume
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.settings import Settings

ROOT = "root="
USR = "mount.usr="
_WORD = re.compile(r'(?:[^\s"]|"[^"]*"?)+')
_DEVICES = frozenset(
    f"systemd.verity_{of}_{what}" for of in ("root", "usr") for what in ("data", "hash")
)
_LUKS = frozenset({"rd.luks.uuid", "luks.uuid", "rd.luks.name", "luks.name", "rd.md.uuid"})
_GROUPS = frozenset({"rd.lvm.vg", "rd.lvm.lv"})
_HASHES = {"roothash": "root-verity", "usrhash": "usr-verity"}


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a command line that names what the image does not have.

    Attributes:
        text: As it is there.
        better: What names the volume that is meant; "" where the image does not have it.
    """

    text: str
    better: str


def finding(settings: Settings) -> tuple[tuple[str, ...], ...]:
    """Returns the words that find the volumes of the system, in groups.

    A group goes into a command line that does not have its first word's key ("root=") already.
    """
    groups: list[tuple[str, ...]] = []
    if settings.root is not None:
        groups.append((ROOT + device(settings, settings.root), _access(settings.root)))
        option = _subvolume(settings.root, settings.root.top)
        if option:
            groups.append((f"rootflags={option}",))
    usr = _usr(settings)
    if usr is not None:
        flags = ",".join(filter(None, (_access(usr), _subvolume(usr, "/usr"))))
        more = f"mount.usrfstype={usr.format}", f"mount.usrflags={flags}"
        groups.append((USR + device(settings, usr), *more))
    return (*groups, *roothash.words(settings))


def completed(given: Sequence[str], groups: Iterable[tuple[str, ...]]) -> list[str]:
    """Returns the words of a command line with the groups that it lacks, these first."""
    keys = {word.partition("=")[0] for word in given}
    lacking = (group for group in groups if group[0].partition("=")[0] not in keys)
    return [*(word for group in lacking for word in group), *given]


def without_initrd(settings: Settings) -> str:
    """Returns the words by which a kernel alone finds the root, or "" where it cannot."""
    root = settings.root
    if root is None or root in verity.hashed(settings.volumes) or not settings.partuuid(root):
        return ""
    flags = _subvolume(root, root.top)
    words = (f"{ROOT}PARTUUID={settings.partuuid(root)}", _access(root),
             f"rootflags={flags}" if flags else "", "rootwait")  # fmt: skip
    return " ".join(filter(None, words))


def _subvolume(volume: Volume, place: str) -> str:
    """Returns the option that names the subvolume of a volume that is mounted at a place."""
    return next((volume.option(one) for one in volume.mounts if one.mount == place), "")


def _access(volume: Volume) -> str:
    writable = FILESYSTEMS[volume.format].writable and "read-only" not in volume.attributes
    return "rw" if writable else "ro"


def _usr(settings: Settings) -> Volume | None:
    return next(
        (one for one in settings.volumes if any(each.mount == "/usr" for each in one.mounts)), None
    )


def missing(text: str, devices: Devices) -> Iterator[Word]:
    """Yields the words that name what the image does not have."""
    settings = devices.settings
    swap = next((volume for volume in settings.volumes if volume.format == "swap"), None)
    meant = {
        "root": settings.root, "real_root": settings.root, "mount.usr": _usr(settings),
        "usr": _usr(settings), "resume": swap,
    }  # fmt: skip
    for word in _WORD.findall(text):
        key, _, value = word.replace('"', "").partition("=")
        if key in meant:
            volume = meant[key]
            if devices.lacks(value, volume):
                yield Word(word, f"{key}={devices.name(volume)}" if volume is not None else "")
        elif _names_missing(key, value, devices):
            yield Word(word, "")
        elif (better := _not_of(settings.root, key, value)) is not None:
            yield Word(word, better)


def _not_of(root: Volume | None, key: str, value: str) -> str | None:
    """Returns what says how the root is mounted, where a word says what it is not; else None."""
    if root is None or root.format == "none":
        return None
    if key == "rootfstype" and value and not mounts_as(root, value):
        return f"{key}={root.format}"
    if key != "rootflags":
        return None
    options = value.split(",")
    named = subvolume_in(options)
    if not named or named in {one.name for one in root.subvolumes}:
        return None
    kept = [each for each in options if not each.startswith("subvol=")]
    flags = ",".join(filter(None, (*kept, _subvolume(root, root.top))))
    return f"{key}={flags}" if flags else ""


def _names_missing(key: str, value: str, devices: Devices) -> bool:
    """Whether a word is about a device that the image does not have."""
    if key in _LUKS:
        return devices.lacks("UUID=" + value.removeprefix("luks-").partition("=")[0])
    if key in _GROUPS:
        return devices.lacks(f"/dev/mapper/{value}")
    if key in {"systemd.mount-extra", "systemd.swap-extra"}:
        options = value.split(":")[-1].split(",")
        return "nofail" not in options and devices.lacks(value.partition(":")[0])
    if key == "cryptdevice":
        return devices.lacks(value.partition(":")[0])
    if key in _HASHES:
        return all(volume.role != _HASHES[key] for volume in devices.settings.volumes)
    return key in _DEVICES and devices.lacks(value)


def mended(text: str, words: Iterable[Word]) -> str:
    """Returns a command line with its words replaced, and those left out that nothing replaces."""
    better = {word.text: word.better for word in words}
    found = (better.get(word, word) for word in _WORD.findall(text))
    return " ".join(filter(None, found))
