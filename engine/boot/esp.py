"""Which partitions UEFI's loaders read: the ESP, and the one that kernels and entries go to.

Source: the UAPI Group's Boot Loader Specification, "The partitions": an extended boot partition
of a GPT has the entries where there is one, and firmware has to be able to read it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.boot import kernels, systemd_boot
from engine.boot.tree import read_text
from engine.disk.roles import XBOOTLDR_TYPE
from engine.disk.volume import Volume
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from engine.manifest.mounted import Mounted
from engine.problem import Fix, Problem
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.settings import Settings

MACHINE_ID = b"etc/machine-id"
_NOTHING = Manifest(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a loader for UEFI is put onto.

    Attributes:
        esp: Id of the ESP; "" where there is none.
        entries: Id of the partition that entries and kernels go to.
        names: What the entries are called.
        there: What the contents bring already.
    """

    esp: str
    entries: str
    names: systemd_boot.Names
    there: systemd_boot.Present
    tree: Mounted

    def there_as(self, entry: Entry) -> bytes | None:
        """Returns the path by which the partition of the entries has a file, if it has it."""
        where = self.tree.place(entry.path)
        return where.path if where.volume == self.entries else None


def target(settings: Settings, tree: Mounted, contents: Mapping[str, Manifest]) -> Target:
    """Returns where the loader's files go.

    Args:
        settings: The spec, resolved.
        tree: The contents, as mounted.
        contents: By id of the volume.
    """
    esp = settings.of_role("esp")
    other = extended(settings)
    home = "" if esp is None else esp.id
    entries = home if other is None else other.id
    there = systemd_boot.present(contents.get(home, _NOTHING), contents.get(entries, _NOTHING))
    sort_key = kernels.os_release(tree).get("ID") or "linux"
    names = systemd_boot.Names(sort_key, _kept_machine_id(settings, tree))
    return Target(esp=home, entries=entries, names=names, there=there, tree=tree)


def unreadable(settings: Settings) -> Iterator[Problem]:
    """Yields the partitions that firmware would have to read and cannot."""
    if "uefi" not in settings.boots:
        return
    other = extended(settings) if settings.boot.loader in {"systemd-boot", "uki"} else None
    for volume in filter(None, (settings.of_role("esp"), other)):
        if not FILESYSTEMS[volume.format].firmware:
            yield Problem(
                "firmware-cannot-read", "error", f"{volume.path}.format",
                f"is {volume.format}, and {'systemd-boot' if other else 'UEFI'} reads the "
                f"{volume.purpose.title} through the firmware, which reads FAT only",
                "take vfat",
                Fix(f"Make {volume.id} FAT", ((f"{volume.path}.format", "vfat"),)),
            )  # fmt: skip


def extended(settings: Settings) -> Volume | None:
    """Returns the extended boot partition, as systemd-boot would find it."""
    volume = settings.of_role("xbootldr")
    if volume is None or settings.scheme != "gpt":
        return None
    return volume if volume.type.upper() in {"", XBOOTLDR_TYPE} else None


def pins_machine_id(settings: Settings) -> bool:
    """Whether the spec places a machine id itself."""
    return any(content.target == b"/" + MACHINE_ID for content in settings.contents)


def _kept_machine_id(settings: Settings, tree: Mounted) -> str:
    text = (read_text(tree, MACHINE_ID) or "").strip() if pins_machine_id(settings) else ""
    return text if len(text) == 32 else ""
