"""Whether the root file system that a boot entry asks for is in the image.

Source: the kernel's Documentation/admin-guide/kernel-parameters.txt, "root="; libblkid's tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine.disk.roles import role_of
from engine.inspect.booting.entry import BootEntry
from engine.inspect.image import Image

_ROOT = "root="
_UUID, _LABEL, _PARTUUID, _PARTLABEL = "UUID", "LABEL", "PARTUUID", "PARTLABEL"


def absent_roots(image: Image, entries: Iterable[BootEntry]) -> Iterator[str]:
    """Yields a sentence for each entry whose root is named by a tag that nothing here has.

    Of an image with a partition whose contents are not known nothing is said: the root may lie in
    there, encrypted or in a volume group.
    """
    known = _tags(image)
    if known is None:
        return
    for entry in entries:
        words = [word for word in entry.options.split() if word.startswith(_ROOT)]
        # The kernel takes the last one.
        tag, equals, value = words[-1].removeprefix(_ROOT).partition("=") if words else ("", "", "")
        value = value.strip('"')
        wanted = value if tag in {_LABEL, _PARTLABEL} else value.lower()
        if equals and tag in known and wanted not in known[tag]:
            yield (
                f'{entry.where}: "{entry.title}" wants its root file system by {tag}={value}, '
                "which nothing in the image has"
            )


def _tags(image: Image) -> dict[str, set[str]] | None:
    """Returns the values of each tag in the image, or None where some may not be known."""
    found: dict[str, set[str]] = {_UUID: set(), _LABEL: set(), _PARTUUID: set(), _PARTLABEL: set()}
    signature = (image.table.signature or "").removeprefix("0x")
    for part in image.parts:
        partition, filesystem = part.partition, part.filesystem
        if filesystem is not None:
            found[_UUID].add(filesystem.uuid.lower())
            found[_LABEL].add(filesystem.label)
        elif partition is None or role_of(partition.type) != "bios-boot":
            return None
        if partition is not None:
            found[_PARTUUID].add((partition.guid or f"{signature}-{partition.number:02x}").lower())
            found[_PARTLABEL].add(partition.name or "")
    return found
