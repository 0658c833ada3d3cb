"""The lines of an /etc/fstab, and what is wrong with them whatever the disk.

Sources: fstab(5), systemd-fstab-generator(8), swapon(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from engine.manifest.lookup import LeadsNowhere, resolve
from engine.manifest.mounted import Mounted
from engine.spec.filesystems import FILESYSTEMS

_OPTIONAL = frozenset({"noauto", "nofail"})
"""Options of what a system boots without (systemd.mount(5))."""
_OCTAL = re.compile(r"\\([0-7]{3})")
_TAG = re.compile(r"(?:UUID|LABEL|PARTUUID|PARTLABEL|ID)=.")
_LEAST = 3
_OF_DISKS = frozenset(FILESYSTEMS) | {"exfat", "f2fs", "iso9660", "msdos", "ntfs", "ntfs3", "udf"}
"""Types of what lies on a block device. Of others, any word can be the device."""
_MADE = ("dev", "proc", "run", "sys", "tmp")
"""What is at the top of the tree and made by the running system."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line that a system acts on.

    Attributes:
        number: In the file, from 1.
        device: As written, octal numbers and all.
        place: Where it is mounted.
        type: Of file system, or several with commas.
        options: As they are separated by commas.
    """

    number: int
    device: str
    place: str = ""
    type: str = ""
    options: tuple[str, ...] = ()

    @property
    def optional(self) -> bool:
        """Whether a system boots without it."""
        return not _OPTIONAL.isdisjoint(self.options)

    @property
    def file(self) -> bytes | None:
        """The path, without its leading slash, of a file or folder that is used as the device."""
        name = unescaped(self.device)
        if not name.startswith("/") or name.startswith("//"):
            return None
        used = self.type == "swap" or not {"bind", "rbind", "loop"}.isdisjoint(self.options)
        path = name.strip("/")
        made = path.partition("/")[0] in _MADE
        return path.encode("utf-8", "surrogateescape") if used and path and not made else None


def parsed(text: str) -> Iterator[Line]:
    """Yields the lines of a file that are not empty or comments."""
    for number, line in enumerate(text.splitlines(), start=1):
        fields = [] if line.lstrip().startswith("#") else line.split()
        if fields:
            options = tuple(fields[3].split(",")) if len(fields) > _LEAST else ()
            device, place, kind = (*fields, "", "")[:_LEAST]
            yield Line(number, device, place, kind, options)


def unescaped(field: str) -> str:
    """Returns a field as it is meant: blanks are octal numbers in it (fstab(5))."""
    return _OCTAL.sub(lambda code: chr(int(code[1], 8)), field)


def nonsense(line: Line) -> str:
    """Returns why no system can follow a line, or ""."""
    if not line.type:
        count = 1 + bool(line.place)
        return f"{count} of the {_LEAST} fields that a line has at least"
    on_disk = not _OF_DISKS.isdisjoint(line.type.split(","))
    if on_disk and not line.device.startswith("/") and not _TAG.match(line.device):
        return f"{line.device} is not a device: write /dev/..., UUID=... or LABEL=..."
    if line.type != "swap" and not line.place.startswith("/") and line.place != "none":
        return f"{line.place} is not a mount point: it begins with /"
    return ""


def absent(line: Line, tree: Mounted) -> str:
    """Returns what the contents lack of a file or folder that a line uses, or ""."""
    if line.file is None:
        return ""
    try:
        entry = tree.get(resolve(tree.get, line.file))
    except LeadsNowhere:
        entry = None
    if entry is None:
        return f"{line.device}, which nothing brings"
    if line.type == "swap" and entry.extents is not None:
        return f"{line.device}, which has holes, and swapon refuses such a file"
    return ""
