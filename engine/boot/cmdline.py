"""What a kernel's command line says of the image's volumes.

Sources: the kernel's Documentation/admin-guide/kernel-parameters.txt (root=, ro, rw, rootwait);
systemd-fstab-generator(8) (mount.usr=).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.disk.volume import Volume
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.settings import Settings

ROOT = "root="
USR = "mount.usr="


def device(settings: Settings, volume: Volume) -> str:
    """Returns what systems find a volume by: its file system, else its partition."""
    return f"UUID={volume.uuid}" if volume.uuid else f"PARTUUID={settings.partuuid(volume)}"


def finding(settings: Settings) -> tuple[tuple[str, ...], ...]:
    """Returns the words that find the volumes of the system, in groups.

    A group goes into a command line that does not have its first word's key ("root=") already.
    """
    groups: list[tuple[str, ...]] = []
    if settings.root is not None:
        groups.append((ROOT + device(settings, settings.root), _access(settings.root)))
    usr = next((volume for volume in settings.volumes if volume.mount == "/usr"), None)
    if usr is not None:
        more = f"mount.usrfstype={usr.format}", f"mount.usrflags={_access(usr)}"
        groups.append((USR + device(settings, usr), *more))
    return tuple(groups)


def completed(given: Sequence[str], groups: Iterable[tuple[str, ...]]) -> list[str]:
    """Returns the words of a command line with the groups that it lacks, these first."""
    keys = {word.partition("=")[0] for word in given}
    lacking = (group for group in groups if group[0].partition("=")[0] not in keys)
    return [*(word for group in lacking for word in group), *given]


def without_initrd(settings: Settings) -> str:
    """Returns the words by which a kernel alone finds the root, or "" where it cannot."""
    root = settings.root
    if root is None or not settings.partuuid(root):
        return ""
    return f"{ROOT}PARTUUID={settings.partuuid(root)} {_access(root)} rootwait"


def _access(volume: Volume) -> str:
    writable = FILESYSTEMS[volume.format].writable and "read-only" not in volume.attributes
    return "rw" if writable else "ro"
